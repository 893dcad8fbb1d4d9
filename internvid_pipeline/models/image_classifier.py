"""Image classifiers through transformers, as judges of what is not safe for work, and of watermarks.

InternVid drops unsafe videos by a binary classifier that it does not name (arXiv:2307.06942, appendix B).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.errors import SetupError
from internvid_pipeline.models.base import RgbImage
from internvid_pipeline.models.batching import BatchSizer, in_batches
from internvid_pipeline.models.pretrained import load_pretrained, scaled_picture


class TransformersClassifier:
    """An ImageClassifier: the summed softmax of the preset's `unsafe_labels`."""

    is_stand_in = False

    def __init__(self, preset: ModelPreset) -> None:
        """Loads the weights. Raises SetupError where a package or the weights are missing, or the model lacks a label."""
        self.name = preset.published_name
        self.commit = preset.published_commit
        loaded = load_pretrained(preset, "AutoModelForImageClassification", "AutoImageProcessor")
        self._torch, self._device, self._dtype, self._model = loaded.torch, loaded.device, loaded.dtype, loaded.model
        self._pictures = loaded.processor
        numbers = {str(label): int(number) for number, label in self._model.config.id2label.items()}
        unknown = [label for label in preset.unsafe_labels if label not in numbers]
        if unknown or not preset.unsafe_labels:
            raise SetupError(f"model {preset.name!r}: unsafe_labels must be some of {sorted(numbers)}, not {list(preset.unsafe_labels)}")
        self._unsafe = [numbers[label] for label in preset.unsafe_labels]
        self._sizer = BatchSizer(preset.batch_size)

    def prepared(self, image: RgbImage) -> RgbImage:
        """See `base.ImageClassifier`."""
        return scaled_picture(self._pictures, image)

    def probabilities(self, images: Sequence[RgbImage]) -> npt.NDArray[np.float32]:
        """See `base.ImageClassifier`."""
        found = in_batches(self._sizer, [1.0] * len(images), lambda chosen: self._batch([images[i] for i in chosen]))
        return np.array(found, dtype=np.float32)

    def _batch(self, images: list[RgbImage]) -> list[float]:
        pixels = self._pictures(images=images, return_tensors="pt", device=self._device)["pixel_values"]
        with self._torch.inference_mode():
            logits = self._model(pixel_values=pixels.to(self._device, self._dtype)).logits.float()
        return [float(value) for value in logits.softmax(dim=-1)[:, self._unsafe].sum(dim=-1).cpu()]
