"""X-CLIP (arXiv:2208.02816) through transformers: a text against several frames that look at each other."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.models.base import RgbImage
from internvid_pipeline.models.batching import BatchSizer, in_batches
from internvid_pipeline.models.frames import evenly_spread
from internvid_pipeline.models.pretrained import load_pretrained


class XClipScorer:
    """A VideoTextScorer. X-CLIP changes a text's embedding by the video that it is compared with, so only pairs have a score."""

    is_stand_in = False

    def __init__(self, preset: ModelPreset) -> None:
        """Loads the weights. Raises SetupError where a package or the weights are missing or do not fit."""
        self.name = preset.published_name
        self.commit = preset.published_commit
        loaded = load_pretrained(preset, "XCLIPModel")
        self._torch, self._device, self._dtype, self._model = loaded.torch, loaded.device, loaded.dtype, loaded.model
        self._pictures, self._tokenizer = loaded.processor.image_processor, loaded.processor.tokenizer
        self.num_frames = int(self._model.config.vision_config.num_frames)
        self._context = int(self._model.config.text_config.max_position_embeddings)
        self._sizer = BatchSizer(max(1, preset.batch_size // self.num_frames))

    def scores(self, videos: Sequence[Sequence[RgbImage]], texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """See `base.VideoTextScorer`. A text beyond the model's context is cut."""
        shown = [self._exactly(video) for video in videos]
        found = in_batches(
            self._sizer, [1.0] * len(shown), lambda chosen: self._batch([shown[i] for i in chosen], [texts[i] for i in chosen])
        )
        return np.array(found, dtype=np.float32)

    def _exactly(self, video: Sequence[RgbImage]) -> list[RgbImage]:
        frames = evenly_spread(video, self.num_frames)
        return frames + frames[-1:] * (self.num_frames - len(frames))

    def _batch(self, videos: list[list[RgbImage]], texts: list[str]) -> list[float]:
        """Cosines of the pairs. The model compares every video with every text; its frames cost far more than the text towers' surplus."""
        frames = [frame for video in videos for frame in video]
        pixels = self._pictures(images=frames, return_tensors="pt")["pixel_values"].to(self._device, self._dtype)
        words = self._tokenizer(texts, return_tensors="pt", padding=True, truncation=True, max_length=self._context)
        with self._torch.inference_mode():
            output = self._model(
                input_ids=words["input_ids"].to(self._device),
                attention_mask=words["attention_mask"].to(self._device),
                pixel_values=pixels.reshape(len(videos), self.num_frames, *pixels.shape[-3:]),
            )
            own = self._torch.arange(len(videos), device=self._device)
            pairs = (output.video_embeds.float() * output.text_embeds[own, own].float()).sum(dim=-1)
        return [float(value) for value in pairs.cpu()]
