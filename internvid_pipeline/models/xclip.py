"""X-CLIP (arXiv:2208.02816) through transformers: a text against several frames that look at each other."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.models.base import RgbImage
from internvid_pipeline.models.batching import BatchSizer
from internvid_pipeline.models.frame_batches import pair_scores
from internvid_pipeline.models.pretrained import load_pretrained, scaled_picture


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

    def prepared(self, image: RgbImage) -> RgbImage:
        """See `base.VideoTextScorer`."""
        return scaled_picture(self._pictures, image)

    def scores(self, videos: Sequence[Sequence[RgbImage]], texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """See `base.VideoTextScorer`. A text beyond the model's context is cut."""
        return pair_scores(self._sizer, videos, texts, self.num_frames, self._batch)

    def _batch(self, videos: list[list[RgbImage]], texts: list[str]) -> list[float]:
        """Cosines of the pairs. The model compares every video with every text; its frames cost far more than the text towers' surplus."""
        frames = [frame for video in videos for frame in video]
        pixels = self._pictures(images=frames, return_tensors="pt", device=self._device)["pixel_values"].to(self._device, self._dtype)
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
