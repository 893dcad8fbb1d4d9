"""CLIP models (arXiv:2103.00020) through open_clip: cosine between a picture and a text.

InternVid-10M-FLT was chosen by CLIPScore with OpenAI's ViT-L/14 (InternVideo issue 91).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.models.base import Embeddings, RgbImage
from internvid_pipeline.models.torch_setup import device_and_dtype, import_torch
from internvid_pipeline.models.weights import loading, packages_for, weights_folder

_PRECISION = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}


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
        self._preset = preset
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
            self._preprocess: Any = preprocess
            self._tokenizer: Any = open_clip.get_tokenizer(source)

    def embed_images(self, images: Sequence[RgbImage]) -> Embeddings:
        """See `base.AlignmentScorer`. Pictures are scaled and cropped as the model's own config says."""

        def pixels(part: Sequence[RgbImage]) -> Any:
            return self._torch.stack([self._preprocess(Image.fromarray(image)) for image in part]).to(self._device, self._dtype)

        return self._rows(images, lambda part: self._model.encode_image(pixels(part)))

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """See `base.AlignmentScorer`. A text beyond the model's context (77 tokens for CLIP) is cut by its tokenizer."""
        return self._rows(texts, lambda part: self._model.encode_text(self._tokenizer(list(part)).to(self._device)))

    def _rows(self, inputs: Sequence[Any], encode: Any) -> Embeddings:
        size = self._preset.batch_size
        parts = []
        with self._torch.inference_mode():
            for start in range(0, len(inputs), size):
                raw = encode(inputs[start : start + size]).float()  # lengths are taken in float32 whatever the weights are in
                parts.append(self._torch.nn.functional.normalize(raw, dim=-1).cpu().numpy())
        if not parts:
            return np.zeros((0, self._width), dtype=np.float32)
        return np.asarray(np.concatenate(parts), dtype=np.float32)

    @property
    def _width(self) -> int:
        """Number of columns of an embedding, from the text tower's projection."""
        with self._torch.inference_mode():
            return int(self._model.encode_text(self._tokenizer([""]).to(self._device)).shape[-1])
