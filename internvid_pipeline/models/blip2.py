"""BLIP-2 (arXiv:2301.12597) through transformers: InternVid's coarse captioner (arXiv:2307.06942, section 3.2)."""

from collections.abc import Sequence
from typing import Any

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.models.base import RgbImage
from internvid_pipeline.models.torch_setup import device_and_dtype, import_torch
from internvid_pipeline.models.weights import check_loaded, loading, packages_for, weights_folder


class Blip2Captioner:
    """A Captioner. Greedy decoding, so that a picture always gets the same text (LAVIS decodes with 5 beams; InternVid does not say)."""

    is_stand_in = False

    def __init__(self, preset: ModelPreset) -> None:
        """Loads the weights. Raises SetupError where a package or the weights are missing or do not fit."""
        self.name = preset.published_name
        self.commit = preset.published_commit
        self._preset = preset
        folder = weights_folder(preset)
        self._torch = import_torch(preset)
        with packages_for(preset):
            from transformers import AutoProcessor, Blip2ForConditionalGeneration
            from transformers.utils import logging as hf_logging
        hf_logging.disable_progress_bar()  # a bar for each worker hides the run's own progress
        self._device, self._dtype = device_and_dtype(self._torch, preset)
        with loading(preset, folder):
            processor: Any = AutoProcessor.from_pretrained(folder, local_files_only=True)
            model, info = Blip2ForConditionalGeneration.from_pretrained(
                folder, dtype=self._dtype, local_files_only=True, output_loading_info=True
            )
            check_loaded(preset, info["missing_keys"])
            if processor.num_query_tokens is None:  # processors saved before transformers 4.46 do not say
                processor.num_query_tokens = model.config.num_query_tokens
            self._processor = processor
            self._model: Any = model.to(self._device).eval()

    def captions(self, images: Sequence[RgbImage], prompt: str | None = None) -> list[str]:
        """See `base.Captioner`. All pictures of a call are scaled to one size and share the prompt, so no batch holds padding."""
        size = self._preset.batch_size
        return [text for start in range(0, len(images), size) for text in self._batch(images[start : start + size], prompt)]

    def _batch(self, images: Sequence[RgbImage], prompt: str | None) -> list[str]:
        asked = {"text": [prompt] * len(images)} if prompt else {}
        inputs = self._processor(images=list(images), return_tensors="pt", **asked).to(self._device)
        inputs["pixel_values"] = inputs["pixel_values"].to(self._dtype)
        with self._torch.inference_mode():
            tokens = self._model.generate(**inputs, max_new_tokens=self._preset.max_new_tokens, do_sample=False, num_beams=1)
        if not self._model.config.text_config.is_encoder_decoder:
            tokens = tokens[:, self._prompt_length(inputs) :]
        return [" ".join(text.split()) for text in self._processor.batch_decode(tokens, skip_special_tokens=True)]

    def _prompt_length(self, inputs: Any) -> int:
        """Tokens that `generate` gives back before the answer: a decoder repeats the picture's places and the prompt."""
        if "input_ids" in inputs:
            return int(inputs["input_ids"].shape[1])
        return int(self._model.config.num_query_tokens) + 1  # generate itself writes the places and one token that begins the text
