"""Encoder-decoder language models (T5, BART) through transformers, as summarisers.

InternVid merges coarse and fine captions with a T5 tuned for summaries, without a prompt (InternVideo issues 61 and 142).
"""

from collections.abc import Sequence

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.models.base import Answer
from internvid_pipeline.models.batching import BatchSizer, in_batches
from internvid_pipeline.models.pretrained import answer_of, load_pretrained, stop_tokens


class Seq2SeqSummariser:
    """A Summariser. Greedy decoding; texts beyond `max_input_tokens` are cut at the end."""

    is_stand_in = False

    def __init__(self, preset: ModelPreset) -> None:
        """Loads the weights. Raises SetupError where a package or the weights are missing or do not fit."""
        self.name = preset.published_name
        self.commit = preset.published_commit
        self._preset = preset
        loaded = load_pretrained(preset, "AutoModelForSeq2SeqLM", "AutoTokenizer")
        self._torch, self._device, self._model, self._tokenizer = loaded.torch, loaded.device, loaded.model, loaded.processor
        self._tokenizer.padding_side = "right"  # an encoder with absolute positions (BART) reads a left-padded text as a shifted one
        self._stops = stop_tokens(self._model)
        self._sizer = BatchSizer(preset.batch_size)

    def summaries(self, texts: Sequence[str], prompt: str | None = None) -> list[Answer]:
        """See `base.Summariser`. Texts of like length share a batch, since the longest decides what a batch costs."""
        there = [i for i, text in enumerate(texts) if text.strip()]
        asked = [f"{prompt}\n{texts[i]}" if prompt else texts[i] for i in there]
        answers = [Answer("")] * len(texts)
        found = in_batches(self._sizer, [len(text) for text in asked], lambda chosen: self._batch([asked[i] for i in chosen]))
        for i, answer in zip(there, found, strict=True):
            answers[i] = answer
        return answers

    def _batch(self, texts: list[str]) -> list[Answer]:
        limit = self._preset.max_input_tokens
        inputs = self._tokenizer(texts, return_tensors="pt", padding=True, truncation=True, max_length=limit, return_token_type_ids=False)
        with self._torch.inference_mode():
            tokens = self._model.generate(
                **inputs.to(self._device), max_new_tokens=self._preset.max_new_tokens, do_sample=False, num_beams=1
            )
        fresh, most = tokens[:, 1:], self._preset.max_new_tokens  # the first token begins every text
        texts = self._tokenizer.batch_decode(fresh, skip_special_tokens=True)
        return [answer_of(text, row, self._stops, most) for text, row in zip(texts, fresh.tolist(), strict=True)]
