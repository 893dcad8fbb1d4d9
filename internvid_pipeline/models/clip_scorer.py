"""CLIP models (arXiv:2103.00020) through open_clip: cosine between a picture and a text.

InternVid-10M-FLT was chosen by CLIPScore with OpenAI's ViT-L/14 (InternVideo issue 91).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.models.base import Embeddings, RgbImage
from internvid_pipeline.models.batching import BatchSizer, in_batches
from internvid_pipeline.models.torch_setup import device_and_dtype, import_torch
from internvid_pipeline.models.weights import loading, packages_for, weights_folder

_PRECISION = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}
_TO_TENSOR, _NORMALISE = ("ToTensor", "MaybeToTensor"), "Normalize"


class ClipScorer:
    """An AlignmentScorer over a folder in open_clip's format (open_clip_config.json beside the weights).

    The folder is the Hub's snapshot of the preset's commit: open_clip's own `hf-hub:` names and pretrained tags take the newest
    revision and know no commit, so they are not used.
    """

    is_stand_in = False

    def __init__(self, preset: ModelPreset) -> None:
        """Loads the weights. Raises SetupError where a package or the weights are missing or do not fit."""
        self.name = preset.published_name
        self.commit = preset.published_commit
        folder = weights_folder(preset)
        self._torch = import_torch(preset)
        with packages_for(preset):
            import open_clip
        self._device, self._dtype = device_and_dtype(self._torch, preset)
        precision = _PRECISION[str(self._dtype).removeprefix("torch.")]
        with loading(preset, folder):
            source = f"local-dir:{folder}"
            model, _, preprocess = open_clip.create_model_and_transforms(
                source,
                precision=precision,
                device=self._device,
                force_quick_gelu=preset.quick_gelu,
                require_pretrained=True,  # without it, a folder that lacks the weights gives a random model and a line in the log
            )
            self._model: Any = model.eval()
            self._tokenizer: Any = open_clip.get_tokenizer(source)
            self._scale, self._mean, self._deviation = self._split(preprocess)
        self._sizer = BatchSizer(preset.batch_size)

    def prepared(self, image: RgbImage) -> RgbImage:
        """See `base.AlignmentScorer`: scaled and cropped as the model's own config says."""
        picture: Any = Image.fromarray(image)
        for step in self._scale:
            picture = step(picture)
        return np.array(picture, dtype=np.uint8)

    def embed_images(self, images: Sequence[RgbImage]) -> Embeddings:
        """See `base.AlignmentScorer`. Pictures travel to the device as bytes and are normalised there."""

        def encode(chosen: list[int]) -> Any:
            pixels = self._torch.from_numpy(np.stack([self.prepared(images[i]) for i in chosen])).to(self._device, non_blocking=True)
            scaled = pixels.permute(0, 3, 1, 2).float().div(255)
            return self._model.encode_image(((scaled - self._mean) / self._deviation).to(self._dtype))

        return self._rows(len(images), encode)

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """See `base.AlignmentScorer`. A text beyond the model's context (77 tokens for CLIP) is cut by its tokenizer."""
        return self._rows(len(texts), lambda chosen: self._model.encode_text(self._tokenizer([texts[i] for i in chosen]).to(self._device)))

    def _split(self, preprocess: Any) -> tuple[list[Any], Any, Any]:
        """open_clip's transform as steps on pictures, which run on the CPU ahead of time, and the mean and deviation of the channels.
        Raises ValueError for one of another form."""
        steps = list(preprocess.transforms)
        names = [type(step).__name__ for step in steps]
        if len(names) < 2 or names[-2] not in _TO_TENSOR or names[-1] != _NORMALISE:
            raise ValueError(f"its transform {names} does not end in {_TO_TENSOR[0]}, {_NORMALISE}")

        def column(values: Any) -> Any:
            return self._torch.tensor(values, dtype=self._torch.float32, device=self._device).view(1, -1, 1, 1)

        return steps[:-2], column(steps[-1].mean), column(steps[-1].std)

    def _rows(self, count: int, encode: Any) -> Embeddings:
        """Unit rows; lengths are taken in float32 whatever the weights are in. Results stay on the device until all batches are on their
        way: reading one back would make the device wait for the next."""
        if not count:
            return np.zeros((0, self._width), dtype=np.float32)
        with self._torch.inference_mode():
            rows = in_batches(
                self._sizer, [1.0] * count, lambda chosen: self._torch.nn.functional.normalize(encode(chosen).float(), dim=-1)
            )
            return np.asarray(self._torch.stack(rows).cpu().numpy(), dtype=np.float32)

    @property
    def _width(self) -> int:
        """Number of columns of an embedding, from the text tower's projection."""
        with self._torch.inference_mode():
            return int(self._model.encode_text(self._tokenizer([""]).to(self._device)).shape[-1])
