"""Whisper through transformers: the second adapter, for machines without CTranslate2 and for checkpoints that are not converted."""

from collections.abc import Callable, Sequence
from typing import Any

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.errors import SetupError
from internvid_pipeline.models.base import HeardWord, Recognition, Sound
from internvid_pipeline.models.torch_setup import device_and_dtype, import_torch
from internvid_pipeline.models.weights import check_loaded, loading, packages_for, weights_folder
from internvid_pipeline.models.whisper_windows import MOST_TOKENS, RATE_HZ, WhisperWindows, own_code
from internvid_pipeline.text.languages import bcp47

_PROMPT_TOKENS = 4  # begin, language, task, no time stamps


class TransformersWhisperRecogniser(WhisperWindows):
    """A SpeechRecogniser. Greedy; times of words from the attention heads that the checkpoint names."""

    def __init__(self, preset: ModelPreset) -> None:
        """Loads the weights. Raises SetupError where a package or the weights are missing or do not fit."""
        super().__init__(preset)
        folder = weights_folder(preset)
        self._torch = import_torch(preset)
        with packages_for(preset):
            from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperTokenizer
            from transformers.utils import logging as hf_logging
        hf_logging.disable_progress_bar()
        hf_logging.set_verbosity_error()  # each call warns of arguments that Whisper's own `generate` adds
        device, self._dtype = device_and_dtype(self._torch, preset)
        self._set_device(device.type)
        with loading(preset, folder):
            self._features: Any = WhisperFeatureExtractor.from_pretrained(folder, local_files_only=True)
            self._tokenizer: Any = WhisperTokenizer.from_pretrained(folder, local_files_only=True)
            model, info = WhisperForConditionalGeneration.from_pretrained(
                folder, dtype=self._dtype, local_files_only=True, output_loading_info=True
            )
            check_loaded(preset, info["missing_keys"])
            self._model: Any = model.to(self._device).eval()
        self._languages: dict[str, int] = {token[2:-2]: i for token, i in (self._model.generation_config.lang_to_id or {}).items()}
        if not self._languages or not self._model.generation_config.alignment_heads:
            raise SetupError(f"model {preset.name!r}: generation_config.json lacks lang_to_id or alignment_heads; take OpenAI's own files")

    def _languages_of(self, sounds: Sequence[Sound]) -> list[tuple[str, float]]:
        return [(code, probability) for code, probability, _ in self._first_look(self._inputs(sounds))]

    def _inputs(self, sounds: Sequence[Sound]) -> Any:
        return self._features(list(sounds), sampling_rate=RATE_HZ, return_tensors="pt").input_features.to(self._device, self._dtype)

    def _first_look(self, inputs: Any) -> list[tuple[str, float, float]]:
        """Language (Whisper's code), its probability, and the probability that nobody speaks, all from the first token."""
        begin = self._model.config.decoder_start_token_id
        asked = self._torch.full((inputs.shape[0], 1), begin, device=self._device)
        with self._torch.inference_mode():
            logits = self._model(input_features=inputs, decoder_input_ids=asked).logits[:, 0].float()
        silent = self._silence_token()
        no_speech = logits.softmax(-1)[:, silent] if silent is not None else logits[:, 0] * 0
        codes = list(self._languages)
        among = logits[:, list(self._languages.values())].softmax(-1)
        best = among.argmax(-1).tolist()
        return [(codes[one], float(among[i, one]), float(no_speech[i])) for i, one in enumerate(best)]

    def _silence_token(self) -> int | None:
        vocabulary = self._tokenizer.get_vocab()
        return next((vocabulary[name] for name in ("<|nospeech|>", "<|nocaptions|>") if name in vocabulary), None)

    def _batch(self, sounds: Sequence[Sound], language: str | None, task: str) -> list[Recognition]:
        inputs = self._inputs(sounds)
        looks = self._first_look(inputs)
        if language is not None:
            code = own_code(language, self._languages)
            looks = [(code, 1.0, no_speech) for _, _, no_speech in looks]
        answers: dict[int, Recognition] = {}
        for code in dict.fromkeys(look[0] for look in looks):
            rows = [i for i, look in enumerate(looks) if look[0] == code]
            heard = self._heard(inputs[rows], code, task, [sounds[i].shape[0] / RATE_HZ for i in rows])
            for i, (words, log_probability) in zip(rows, heard, strict=True):
                answers[i] = Recognition(words, bcp47(code), round(looks[i][1], 4), round(log_probability, 4), round(looks[i][2], 4))
        return [answers[i] for i in range(len(sounds))]

    def _heard(self, inputs: Any, code: str, task: str, lengths_s: list[float]) -> list[tuple[tuple[HeardWord, ...], float]]:
        with self._torch.inference_mode():
            made = self._model.generate(
                inputs,
                language=code,
                task=task,
                return_timestamps=False,
                return_token_timestamps=True,
                return_dict_in_generate=True,
                force_unique_generate_call=True,  # a window is heard once; without it the call seeks on in the padding
                max_new_tokens=min(self._preset.max_new_tokens, MOST_TOKENS - _PROMPT_TOKENS),
                num_beams=1,
                do_sample=False,
            )
            sequences, times = self._with_prompt(made["sequences"], code, task), made["token_timestamps"]
            logits = self._model(input_features=inputs, decoder_input_ids=sequences[:, :-1]).logits.float().log_softmax(-1)
        heard = []
        for i, length_s in enumerate(lengths_s):
            tokens = sequences[i, _PROMPT_TOKENS:].tolist()
            scores = logits[i].gather(1, sequences[i, 1:, None])[_PROMPT_TOKENS - 1 :, 0].tolist()
            heard.append(self._words(tokens, times[i, -len(tokens) :].tolist() if tokens else [], scores, length_s))
        return heard

    def _with_prompt(self, sequences: Any, code: str, task: str) -> Any:
        """The tokens with the prompt before them; releases of transformers differ in whether they give it back."""
        settings = self._model.generation_config
        prompt = [
            self._model.config.decoder_start_token_id,
            self._languages[code],
            settings.task_to_id[task],
            settings.no_timestamps_token_id,
        ]
        first = self._torch.tensor([prompt], device=sequences.device).expand(sequences.shape[0], -1)
        has_prompt = sequences.shape[1] >= _PROMPT_TOKENS and bool((sequences[:, :_PROMPT_TOKENS] == first).all())
        return sequences if has_prompt else self._torch.cat([first, sequences], dim=1)

    def _words(self, tokens: list[int], times: list[float], scores: list[float], length_s: float) -> tuple[tuple[HeardWord, ...], float]:
        end_token = self._model.generation_config.eos_token_id
        end_token = end_token[0] if isinstance(end_token, list) else end_token
        count = tokens.index(end_token) if end_token in tokens else len(tokens)
        said = [i for i in range(count) if tokens[i] < end_token]  # special tokens have the highest numbers
        mean = sum(scores[: count + 1]) / (count + 1)
        words = []
        latest = 0.0
        for text, indices in token_words([tokens[i] for i in said], lambda part: self._tokenizer.decode(part, skip_special_tokens=True)):
            first, last = said[indices[0]], said[indices[-1]]
            start_s = min(max(float(times[first]), latest), length_s)
            end_s = min(max(float(times[last + 1]) if last + 1 < len(times) else length_s, start_s), length_s)
            probability = float(self._torch.tensor([scores[said[k]] for k in indices]).exp().mean())
            words.append(HeardWord(text, round(start_s, 3), round(end_s, 3), round(probability, 4)))
            latest = start_s
        return tuple(words), mean


def token_words(tokens: Sequence[int], decode: Callable[[list[int]], str]) -> list[tuple[str, list[int]]]:
    """Tokens as words, with the positions of their tokens: a word begins with a space, and never inside a character of several tokens.
    In scripts without spaces the characters are words; punctuation stays with the word before it."""
    from internvid_pipeline.text.words import split_words

    pieces: list[tuple[str, list[int]]] = []
    waiting: list[int] = []
    for i in range(len(tokens)):
        waiting.append(i)
        text = decode([tokens[k] for k in waiting])
        if "\ufffd" not in text or i == len(tokens) - 1:
            pieces.append((text, waiting))
            waiting = []
    words: list[tuple[str, list[int]]] = []
    for text, indices in pieces:
        if words and (not text.strip() or (not text[:1].isspace() and len(split_words(words[-1][0].strip() + text)) == 1)):
            words[-1] = words[-1][0] + text, words[-1][1] + indices
        else:
            words.append((text, indices))
    return [(text, indices) for text, indices in words if text.strip()]
