"""Encoder-decoder language models (T5, BART) through transformers, as summarisers.

InternVid merges coarse and fine captions with a T5 tuned for summaries, without a prompt (InternVideo issues 61 and 142).
"""

from collections.abc import Sequence
from typing import Any

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.models.torch_setup import device_and_dtype, import_torch
from internvid_pipeline.models.weights import check_loaded, loading, packages_for, weights_folder


class Seq2SeqSummariser:
    """A Summariser. Greedy decoding; texts beyond `max_input_tokens` are cut at the end."""

    is_stand_in = False

    def __init__(self, preset: ModelPreset) -> None:
        """Loads the weights. Raises SetupError where a package or the weights are missing or do not fit."""
        self.name = preset.published_name
        self.commit = preset.published_commit
        self._preset = preset
        folder = weights_folder(preset)
        self._torch = import_torch(preset)
        with packages_for(preset):
            from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
            from transformers.utils import logging as hf_logging
        hf_logging.disable_progress_bar()  # a bar for each worker hides the run's own progress
        self._device, dtype = device_and_dtype(self._torch, preset)
        with loading(preset, folder):
            tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model, info = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=dtype, local_files_only=True, output_loading_info=True)
            check_loaded(preset, info["missing_keys"])
            tokenizer.padding_side = "right"  # an encoder with absolute positions (BART) reads a left-padded text as a shifted one
            self._tokenizer = tokenizer
            self._model: Any = model.to(self._device).eval()

    def summaries(self, texts: Sequence[str], prompt: str | None = None) -> list[str]:
        """See `base.Summariser`. Texts of like length share a batch, since the longest decides what a batch costs."""
        asked = [f"{prompt}\n{text}" if prompt else text for text in texts]
        order = sorted((i for i in range(len(asked)) if texts[i].strip()), key=lambda i: len(asked[i]))
        answers = [""] * len(asked)
        size = self._preset.batch_size
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            for i, answer in zip(chosen, self._batch([asked[i] for i in chosen]), strict=True):
                answers[i] = answer
        return answers

    def _batch(self, texts: list[str]) -> list[str]:
        limit = self._preset.max_input_tokens
        inputs = self._tokenizer(texts, return_tensors="pt", padding=True, truncation=True, max_length=limit, return_token_type_ids=False)
        with self._torch.inference_mode():
            tokens = self._model.generate(
                **inputs.to(self._device), max_new_tokens=self._preset.max_new_tokens, do_sample=False, num_beams=1
            )
        return [" ".join(text.split()) for text in self._tokenizer.batch_decode(tokens, skip_special_tokens=True)]
