"""ViCLIP, the video-text model that InternVid's authors trained on it (arXiv:2307.06942, section 4): videos and texts in one space.

Its code is no part of transformers: it lies in its repository on the Hub and is run only where the preset opts in (`remote_code`). Frames
are prepared as in its own demo (OpenGVLab/InternVideo, Data/InternVid/viclip/__init__.py): 8 of them, stretched to 224 x 224 by bilinear
interpolation, ImageNet's mean and deviation. Tried once with that folder's code at ViT-B/16's true shape and random weights, wrapped as on
the Hub (transformers 5.19): the scores are those of its own functions to 1e-7. The published weights were not at hand.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.models.base import RgbImage
from internvid_pipeline.models.batching import BatchSizer
from internvid_pipeline.models.frame_batches import pair_scores
from internvid_pipeline.models.remote_code import remote_model
from internvid_pipeline.models.torch_setup import device_and_dtype, import_torch
from internvid_pipeline.models.weights import loading, packages_for, weights_folder

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ViClipScorer:
    """A VideoTextScorer. Of a text, ViCLIP reads 32 tokens."""

    is_stand_in = False

    def __init__(self, preset: ModelPreset) -> None:
        """Runs the repository's code and loads the weights. Raises SetupError where the preset does not opt in, or a package or the weights
        are missing or do not fit."""
        self.name = preset.published_name
        self.commit = preset.published_commit
        folder = weights_folder(preset)
        self._torch = import_torch(preset)
        with packages_for(preset):
            import cv2
        self._cv2: Any = cv2
        self._device, self._dtype = device_and_dtype(self._torch, preset)
        with loading(preset, folder):
            model = remote_model(preset, folder, lambda config: _with_vocabulary(config, folder))
            for part in model.modules():
                if getattr(part, "checkpoint_num", 0):
                    part.checkpoint_num = 0  # computing again instead of keeping serves training alone
            self._model: Any = model.to(self._device, self._dtype)
            self.num_frames, self._side_px = int(model.video_input_num_frames), int(model.inputs_image_res)
        self._mean, self._deviation = (self._torch.tensor(values, device=self._device).view(3, 1, 1) for values in (_MEAN, _DEVIATION))
        self._sizer = BatchSizer(max(1, preset.batch_size // self.num_frames))

    def prepared(self, image: RgbImage) -> RgbImage:
        """See `base.VideoTextScorer`."""
        return np.asarray(self._cv2.resize(image, (self._side_px, self._side_px)), dtype=np.uint8)

    def scores(self, videos: Sequence[Sequence[RgbImage]], texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """See `base.VideoTextScorer`."""
        return pair_scores(self._sizer, videos, texts, self.num_frames, self._batch)

    def _batch(self, videos: list[list[RgbImage]], texts: list[str]) -> list[float]:
        frames = np.stack([self.prepared(frame) for video in videos for frame in video])
        pixels = self._torch.from_numpy(frames).to(self._device).permute(0, 3, 1, 2).float().div(255)
        pixels = ((pixels - self._mean) / self._deviation).to(self._dtype)
        with self._torch.inference_mode():
            seen = self._model.get_vid_features(pixels.reshape(len(videos), self.num_frames, *pixels.shape[1:]))
            # `get_text_features` takes one text at a time and keeps every one that it has seen; this is what it does.
            said = self._torch.nn.functional.normalize(self._model.encode_text(texts).float(), dim=-1)
            return [float(value) for value in (seen * said).sum(dim=-1).cpu()]


def _with_vocabulary(config: Any, folder: Path) -> None:
    """The published config names the tokenizer's file as if it lay in the current folder."""
    if getattr(config, "tokenizer_path", None):
        config.tokenizer_path = str(folder / config.tokenizer_path)
