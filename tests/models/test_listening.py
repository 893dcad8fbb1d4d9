"""From what a recogniser heard to utterances: cuts, guards with names, windows in several languages, and decoding ahead."""

import threading
from collections.abc import Sequence

import numpy as np
import pytest

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.models.base import HeardWord, Recognition, Sound
from internvid_pipeline.models.listening import ListenConfig, ahead, hear, utterances_of, with_english
from internvid_pipeline.models.speech_windows import SpeechWindow
from internvid_pipeline.models.whisper_windows import WhisperWindows
from internvid_pipeline.records import DropReason

RATE = 16_000


def window(*spans_s: tuple[float, float]) -> SpeechWindow:
    spans = tuple((round(a * RATE), round(b * RATE)) for a, b in spans_s)
    return SpeechWindow(spans, np.zeros(sum(b - a for a, b in spans), np.float32))


def heard(text: str, length_s: float = 10.0, **fields) -> Recognition:
    """Words of a text, evenly over the window."""
    texts = text.split(" ")
    step = length_s / len(texts)
    words = tuple(HeardWord(f" {part}", i * step, (i + 1) * step, 0.9) for i, part in enumerate(texts)) if text else ()
    defaults = {"language": "en", "language_probability": 0.99, "mean_log_probability": -0.2, "no_speech_probability": 0.01}
    return Recognition(words, **{**defaults, **fields})


def test_words_get_the_streams_times_and_are_cut_at_full_stops_and_pauses():
    """Two spans, 100-104 s and 110-116 s: the fourth of ten words ends the first; a pause of six seconds lies between them."""
    said, lost = utterances_of(window((100, 104), (110, 116)), heard("Hello my dear friend now we go. And then home"), ListenConfig())
    assert [(one.text, one.start_s, one.end_s) for one in said] == [
        ("Hello my dear friend", 100.0, 104.0),
        ("now we go.", 110.0, 113.0),
        ("And then home", 113.0, 116.0),
    ]
    assert not lost and all(one.language == "en" and one.has_word_times for one in said)


def test_punctuation_after_a_pause_does_not_stretch_what_it_ends():
    said, _ = utterances_of(window((0, 4), (20, 24)), heard("Hello there my friend . . . And more", 8.0), ListenConfig())
    assert [(one.text, one.end_s) for one in said] == [("Hello there my friend . . .", said[0].words[3].end_s), ("And more", 24.0)]
    assert said[0].end_s < 4.5 and all(word.start_s == word.end_s for word in said[0].words[5:])


@pytest.mark.parametrize(
    ("recognition", "reason"),
    [
        (heard(""), DropReason.NO_SPEECH),
        (heard("you", mean_log_probability=-1.5, no_speech_probability=0.9), DropReason.NO_SPEECH),
        (heard("mumble mumble", mean_log_probability=-1.5), DropReason.LOW_CONFIDENCE),
        (heard("thanks for watching " * 12), DropReason.REPETITION),
        (heard("no one no one no one no one"), DropReason.REPETITION),
        (heard("[Music]"), DropReason.NON_SPEECH),
        (heard("(музыка) ♪"), DropReason.NON_SPEECH),
        (heard("a long sentence that nobody can say in a tenth of a second", 0.1), DropReason.TEXT_OVER_SILENCE),
    ],
)
def test_what_is_made_up_is_left_out_by_name(recognition: Recognition, reason: DropReason):
    said, lost = utterances_of(window((5, 15)), recognition, ListenConfig())
    assert said == [] and [one.reason for one in lost] == [reason]
    assert 5 <= lost[0].start_s <= lost[0].end_s <= 15 and lost[0].message


def test_high_probability_of_no_speech_alone_loses_nothing():
    assert utterances_of(window((0, 10)), heard("hello there", no_speech_probability=0.95), ListenConfig())[0]


class Bilingual:
    """A recogniser that hears French where the sound is positive and English elsewhere, and is unsure of both at once."""

    name, commit, is_stand_in = "bilingual", "v0", True

    def __init__(self) -> None:
        self.calls: list[int] = []

    def languages(self, sounds: Sequence[Sound]) -> list[tuple[str, float]]:
        return [(one.language, one.language_probability) for one in map(self._one, sounds)]

    def recognise(self, sounds: Sequence[Sound], language: str | None = None, in_english: bool = False) -> list[Recognition]:
        self.calls.append(len(sounds))
        return [self._one(sound) for sound in sounds]

    def _one(self, sound: Sound) -> Recognition:
        share = float((sound > 0).mean())
        language = "fr" if share > 0.5 else "en"
        return heard(f"{language} {sound.shape[0]}", sound.shape[0] / RATE, language=language, language_probability=max(share, 1 - share))


def test_a_window_in_two_languages_is_taken_apart_and_a_sure_one_is_not():
    french, english = np.ones(5 * RATE, np.float32), -np.ones(4 * RATE, np.float32)
    short = -np.ones(RATE, np.float32)  # a second is too short to tell: it stays with what is before it
    spans = ((0, 5 * RATE), (6 * RATE, 7 * RATE), (10 * RATE, 14 * RATE))
    mixed = SpeechWindow(spans, np.concatenate([french, short, english]))
    sure = SpeechWindow(((0, 5 * RATE), (6 * RATE, 11 * RATE)), np.concatenate([french, french]))
    recogniser = Bilingual()
    found = list(hear([("a", mixed), ("b", sure)], recogniser, 8, ListenConfig()))
    assert [(key, part.spans, one.language) for key, part, one in found] == [
        ("a", spans[:2], "fr"),
        ("a", spans[2:], "en"),
        ("b", sure.spans, "fr"),
    ]
    assert recogniser.calls == [2, 2]
    told = list(hear([("a", mixed)], recogniser, 8, ListenConfig(), language="fr"))
    assert [part.spans for _, part, _ in told] == [spans]


class Translating(Bilingual):
    """Says `in English` of what it is asked about in English."""

    batch_size = 3

    def recognise(self, sounds: Sequence[Sound], language: str | None = None, in_english: bool = False) -> list[Recognition]:
        answers = super().recognise(sounds, language)
        return [heard(f"{language} in English {sound.shape[0]}") for sound in sounds] if in_english else answers


def test_english_is_asked_for_in_batches_of_one_language_and_for_other_languages_alone():
    sign = [1, -1, 1, 1, -1, 1, 1]
    entries = [(i, SpeechWindow(((i * RATE, i * RATE + 5000 + i),), np.full(5000 + i, sign[i], np.float32))) for i in range(7)]
    recogniser = Translating()
    found = list(with_english(hear(entries, recogniser, 3, ListenConfig()), recogniser))
    assert [key for key, _, _, _ in found] == list(range(7))
    texts = ["".join(word.text for word in english.words).strip() if english else None for _, _, _, english in found]
    assert texts == [f"fr in English {5000 + i}" if sign[i] > 0 else None for i in range(7)]
    assert recogniser.calls == [3, 2, 3, 2, 1, 1]


class Narrow(WhisperWindows):
    """A device that holds two windows."""

    def _languages_of(self, sounds: Sequence[Sound]) -> list[tuple[str, float]]:
        return [("jw", float(sound[0])) for sound in sounds]

    def _batch(self, sounds: Sequence[Sound], language: str | None, task: str) -> list[Recognition]:
        if len(sounds) > 2:
            raise RuntimeError("CUDA failed with error out of memory")
        return [heard(f"{task} {sound[0]:.0f}", 1.0) for sound in sounds]


def test_a_batch_that_does_not_fit_is_halved_and_nothing_lost():
    preset = ModelPreset(name="narrow", task="speech", adapter="whisper", repository="/narrow", batch_size=16)
    recogniser = Narrow(preset)
    assert recogniser.batch_size == 4, "on a CPU"
    sounds = [np.full(10, number, np.float32) for number in range(9)]
    found = recogniser.recognise(sounds, in_english=True)
    assert ["".join(word.text for word in one.words).strip() for one in found] == [f"translate {number}" for number in range(9)]
    assert recogniser.batch_size == 2
    assert recogniser.languages(sounds) == [("jv", float(number)) for number in range(9)]


def test_batches_are_filled_across_streams():
    recogniser = Bilingual()
    entries = [(number, window((number, number + 1))) for number in range(7)]
    assert [key for key, _, _ in hear(entries, recogniser, 3, ListenConfig())] == list(range(7))
    assert recogniser.calls == [3, 3, 1]


def test_items_are_made_ahead_in_order_and_no_further_than_asked():
    made: list[int] = []
    enough = threading.Event()

    def numbers():
        for number in range(100):
            made.append(number)
            if number == 5:
                enough.set()
            yield number

    found = ahead(numbers(), 4)
    assert next(found) == 0
    assert enough.wait(10) and len(made) <= 8
    assert list(found) == list(range(1, 100))


def test_an_error_ahead_is_raised_where_the_items_are_used_and_leaving_early_ends_the_thread():
    def broken():
        yield 1
        raise ValueError("broken")

    found = ahead(broken(), 2)
    assert next(found) == 1
    with pytest.raises(ValueError, match="broken"):
        next(found)
    early = ahead(iter(range(10**9)), 2)
    assert next(early) == 0
    early.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "listen-ahead"]
