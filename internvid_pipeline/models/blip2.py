"""BLIP-2 (arXiv:2301.12597) through transformers: InternVid's coarse captioner (arXiv:2307.06942, section 3.2)."""

from collections.abc import Sequence
from typing import Any

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.models.base import Answer, RgbImage
from internvid_pipeline.models.batching import BatchSizer, in_batches
from internvid_pipeline.models.pretrained import answer_of, load_pretrained, scaled_picture, stop_tokens


class Blip2Captioner:
    """A Captioner. Greedy decoding, so that a picture always gets the same text (LAVIS decodes with 5 beams; InternVid does not say)."""

    is_stand_in = False

    def __init__(self, preset: ModelPreset) -> None:
        """Loads the weights. Raises SetupError where a package or the weights are missing or do not fit."""
        self.name = preset.published_name
        self.commit = preset.published_commit
        self._preset = preset
        loaded = load_pretrained(preset, "Blip2ForConditionalGeneration")
        self._torch, self._device, self._dtype, self._model = loaded.torch, loaded.device, loaded.dtype, loaded.model
        self._processor = loaded.processor
        if self._processor.num_query_tokens is None:  # processors saved before transformers 4.46 do not say
            self._processor.num_query_tokens = self._model.config.num_query_tokens
        self._stops = stop_tokens(self._model.language_model)
        self._sizer = BatchSizer(preset.batch_size)

    def prepared(self, image: RgbImage) -> RgbImage:
        """See `base.Captioner`."""
        return scaled_picture(self._processor.image_processor, image)

    def captions(self, images: Sequence[RgbImage], prompt: str | None = None) -> list[Answer]:
        """See `base.Captioner`. All pictures of a call are scaled to one size and share the prompt, so no batch holds padding."""
        return in_batches(self._sizer, [1.0] * len(images), lambda chosen: self._batch([images[i] for i in chosen], prompt))

    def _batch(self, images: Sequence[RgbImage], prompt: str | None) -> list[Answer]:
        asked = {"text": [prompt] * len(images)} if prompt else {}
        inputs = self._processor(images=list(images), return_tensors="pt", device=self._device, **asked).to(self._device)
        inputs["pixel_values"] = inputs["pixel_values"].to(self._dtype)
        with self._torch.inference_mode():
            tokens = self._model.generate(**inputs, max_new_tokens=self._preset.max_new_tokens, do_sample=False, num_beams=1)
        fresh = tokens[:, self._prompt_length(inputs) :]
        texts = self._processor.batch_decode(fresh, skip_special_tokens=True)
        most = self._preset.max_new_tokens
        return [answer_of(text, row, self._stops, most) for text, row in zip(texts, fresh.tolist(), strict=True)]

    def _prompt_length(self, inputs: Any) -> int:
        """Tokens that `generate` gives back before the answer: a decoder repeats the picture's places and the prompt; one behind an encoder
        begins with a token of its own."""
        if self._model.config.text_config.is_encoder_decoder:
            return 1
        if "input_ids" in inputs:
            return int(inputs["input_ids"].shape[1])
        return int(self._model.config.num_query_tokens) + 1  # generate itself writes the places and one token that begins the text
