"""Instruction-tuned decoders (Qwen, Llama, …) through transformers, as summarisers. They need a prompt.

InternVid names Vicuna beside T5 for the fusion of captions (arXiv:2307.06942, section 3.2), InternVideo2 uses it (arXiv:2403.15377,
appendix B).
"""

from collections.abc import Sequence

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.models.base import Answer
from internvid_pipeline.models.batching import BatchSizer, in_batches
from internvid_pipeline.models.pretrained import answer_of, greedy, load_pretrained, stop_tokens


class InstructSummariser:
    """A Summariser. Greedy decoding in the model's own chat form; texts beyond `max_input_tokens` are cut at the end."""

    is_stand_in = False

    def __init__(self, preset: ModelPreset) -> None:
        """Loads the weights. Raises SetupError where a package or the weights are missing or do not fit."""
        self.name = preset.published_name
        self.commit = preset.published_commit
        self._preset = preset
        loaded = load_pretrained(preset, "AutoModelForCausalLM", "AutoTokenizer")
        self._torch, self._device, self._model, self._tokenizer = loaded.torch, loaded.device, loaded.model, loaded.processor
        self._tokenizer.padding_side = "left"  # a decoder goes on at the right end
        self._stops = stop_tokens(self._model)
        self._sizer = BatchSizer(preset.batch_size)

    def summaries(self, texts: Sequence[str], prompt: str | None = None) -> list[Answer]:
        """See `base.Summariser`."""
        there = [i for i, text in enumerate(texts) if text.strip()]
        asked = [self._asked(texts[i], prompt) for i in there]
        answers = [Answer("")] * len(texts)
        found = in_batches(self._sizer, [len(text) for text in asked], lambda chosen: self._batch([asked[i] for i in chosen]))
        for i, answer in zip(there, found, strict=True):
            answers[i] = answer
        return answers

    def _asked(self, text: str, prompt: str | None) -> str:
        """The conversation up to the model's turn."""
        tokens = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        if len(tokens) > self._preset.max_input_tokens:
            text = self._tokenizer.decode(tokens[: self._preset.max_input_tokens])
        message = {"role": "user", "content": f"{prompt}\n{text}" if prompt else text}
        return str(self._tokenizer.apply_chat_template([message], add_generation_prompt=True, tokenize=False))

    def _batch(self, texts: list[str]) -> list[Answer]:
        # The template has written the special tokens already.
        inputs = self._tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False, return_token_type_ids=False)
        with self._torch.inference_mode():
            tokens = self._model.generate(**inputs.to(self._device), **greedy(self._preset.max_new_tokens))
        fresh, most = tokens[:, inputs["input_ids"].shape[1] :], self._preset.max_new_tokens
        texts = self._tokenizer.batch_decode(fresh, skip_special_tokens=True)
        return [answer_of(text, row, self._stops, most) for text, row in zip(texts, fresh.tolist(), strict=True)]
