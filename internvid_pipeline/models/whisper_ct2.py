"""Whisper through faster-whisper (CTranslate2), on a GPU or a CPU, in batches.

faster-whisper's own batched pipeline has one language for a whole file and reads the file itself; here the same calls of its model
are made for windows that are given, the language of each found out by itself.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.models.base import HeardWord, Recognition, Sound
from internvid_pipeline.models.weights import loading, packages_for, weights_folder
from internvid_pipeline.models.whisper_windows import MOST_TOKENS, RATE_HZ, WhisperWindows, own_code
from internvid_pipeline.text.languages import bcp47

_BEGINNINGS, _ENDINGS = "\"'“¿([{-", "\"'.。,，!！?？:：”)]}、"  # punctuation that belongs to the next or the last word
_APART = 10_000  # frames (100 s) between windows on the made-up clock on which faster-whisper aligns the words of a batch


class FasterWhisperRecogniser(WhisperWindows):
    """A SpeechRecogniser. Greedy, without sampling: the same sound gives the same words."""

    def __init__(self, preset: ModelPreset) -> None:
        """Loads the weights. Raises SetupError where a package or the weights are missing or do not fit."""
        super().__init__(preset)
        folder = weights_folder(preset)
        with packages_for(preset, "speech"):
            import ctranslate2
            from faster_whisper import WhisperModel
        self._set_device("cuda" if ctranslate2.get_cuda_device_count() else "cpu")
        number = {"cuda": "float16", "cpu": "int8"}[self._device] if preset.dtype == "auto" else preset.dtype
        with loading(preset, folder):
            self._whisper: Any = WhisperModel(str(folder), device=self._device, compute_type=number, local_files_only=True)
        self._tokenizers: dict[tuple[str, str], tuple[Any, list[int]]] = {}

    def _languages_of(self, sounds: Sequence[Sound]) -> list[tuple[str, float]]:
        return self._detected(self._encoded(sounds), len(sounds))

    def _features(self, sounds: Sequence[Sound]) -> Any:
        from faster_whisper.audio import pad_or_trim

        extract = self._whisper.feature_extractor
        return np.stack([pad_or_trim(extract(sound)[..., :-1]) for sound in sounds])

    def _encoded(self, sounds: Sequence[Sound]) -> Any:
        """(n, 1500, d) as CTranslate2 holds it. On a CPU one window after the other: attention takes 9 MB a window and head, and sixteen
        windows at once are dearer than one by one (benchmarks/README.md)."""
        if self._device != "cpu":
            return self._whisper.encode(self._features(sounds))
        return _storage(np.concatenate([np.asarray(self._whisper.encode(self._features([sound]))) for sound in sounds]))

    def _detected(self, encoded: Any, count: int) -> list[tuple[str, float]]:
        """Whisper's own codes (`jw`) and probabilities."""
        if not self._whisper.model.is_multilingual:
            return [("en", 1.0)] * count
        return [(ranked[0][0][2:-2], float(ranked[0][1])) for ranked in self._whisper.model.detect_language(encoded)]

    def _batch(self, sounds: Sequence[Sound], language: str | None, task: str) -> list[Recognition]:
        encoded = self._encoded(sounds)
        if language is None:
            detected = self._detected(encoded, len(sounds))
        else:
            detected = [(own_code(language, self._whisper.supported_languages), 1.0)] * len(sounds)
        results = self._generated(encoded, [code for code, _ in detected], task)
        codes = list(dict.fromkeys(code for code, _ in detected))
        answers: dict[int, Recognition] = {}
        for code in codes:
            rows = [i for i, (found, _) in enumerate(detected) if found == code]
            # Words are aligned with one language's prompt for a whole batch: those of several languages by turns.
            part = encoded if len(codes) == 1 else _rows_of(encoded, rows)
            words = self._aligned(part, code, task, [results[i] for i in rows], [sounds[i].shape[0] / RATE_HZ for i in rows])
            for i, said in zip(rows, words, strict=True):
                log_probability = float(results[i].scores[0]) * _mean_factor(results[i])
                no_speech = round(float(results[i].no_speech_prob), 4)
                answers[i] = Recognition(said, bcp47(code), round(detected[i][1], 4), round(log_probability, 4), no_speech)
        return [answers[i] for i in range(len(sounds))]

    def _tokenizer(self, code: str, task: str) -> tuple[Any, list[int]]:
        """The tokenizer for a language and a task, and the tokens that are never said."""
        from faster_whisper.tokenizer import Tokenizer
        from faster_whisper.transcribe import get_suppressed_tokens

        if (code, task) not in self._tokenizers:
            tokenizer = Tokenizer(self._whisper.hf_tokenizer, self._whisper.model.is_multilingual, task=task, language=code)
            self._tokenizers[code, task] = tokenizer, list(get_suppressed_tokens(tokenizer, [-1]))
        return self._tokenizers[code, task]

    def _generated(self, encoded: Any, codes: Sequence[str], task: str) -> Sequence[Any]:
        """CTranslate2's results, a window each, all windows in one call."""
        prompts = []
        for code in codes:
            tokenizer, suppressed = self._tokenizer(code, task)
            prompts.append([*tokenizer.sot_sequence, tokenizer.no_timestamps])
        results: Sequence[Any] = self._whisper.model.generate(
            encoded,
            prompts,
            beam_size=1,
            max_length=min(MOST_TOKENS, len(prompts[0]) + self._preset.max_new_tokens),
            suppress_blank=True,
            suppress_tokens=suppressed,
            return_scores=True,
            return_no_speech_prob=True,
            sampling_temperature=0,
        )
        return results

    def _aligned(
        self, encoded: Any, code: str, task: str, results: Sequence[Any], lengths_s: Sequence[float]
    ) -> list[tuple[HeardWord, ...]]:
        """The words of windows in one language, with their times."""
        windows = [
            [{"tokens": result.sequences_ids[0], "seek": i * _APART, "start": i * _APART / 100, "end": i * _APART / 100 + length_s}]
            for i, (result, length_s) in enumerate(zip(results, lengths_s, strict=True))
        ]
        frames = [int(np.ceil(length_s)) * self._whisper.frames_per_second for length_s in lengths_s]
        # The last argument is when speech was last heard: long ago, so that no window depends on the one before it.
        tokenizer, _ = self._tokenizer(code, task)
        self._whisper.add_word_timestamps(windows, tokenizer, encoded, frames, _BEGINNINGS, _ENDINGS, -1000.0)
        return [_clamped(window[0].get("words") or [], i * _APART / 100, lengths_s[i]) for i, window in enumerate(windows)]


def _rows_of(encoded: Any, rows: Sequence[int]) -> Any:
    """Some windows of an encoded batch."""
    import ctranslate2

    on_cpu = encoded if encoded.device == "cpu" else encoded.to_device(ctranslate2.Device.cpu)
    return _storage(np.ascontiguousarray(np.asarray(on_cpu)[list(rows)]))


def _storage(array: Any) -> Any:
    import ctranslate2

    return ctranslate2.StorageView.from_array(array)


def _mean_factor(result: Any) -> float:
    """CTranslate2's score is the mean over the tokens; Whisper's thresholds are over one more, the end's."""
    count = len(result.sequences_ids[0])
    return count / (count + 1)


def _clamped(words: Sequence[Any], offset_s: float, length_s: float) -> tuple[HeardWord, ...]:
    """Words in order, within the window: alignment gives numpy floats, and times that may lie past the end or run back."""
    found: list[HeardWord] = []
    latest = 0.0
    for word in words:
        start_s = round(min(max(float(word["start"]) - offset_s, latest), length_s), 3)
        end_s = round(min(max(float(word["end"]) - offset_s, start_s), length_s), 3)
        found.append(HeardWord(word["word"], start_s, max(start_s, end_s), round(float(word["probability"]), 4)))
        latest = start_s
    return tuple(found)
