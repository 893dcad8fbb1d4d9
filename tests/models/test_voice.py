"""Speech is found where it is, in any language, and not in rain, music or silence; and block by block it is the same as at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from internvid_pipeline.media.speech_audio import SoundBlock
from internvid_pipeline.models.speech_windows import SpeechWindow, speech_windows
from internvid_pipeline.models.voice import FRAME, SileroVoice, SpeechSpans, VoiceConfig
from tests.spoken import RATE_HZ, SENTENCES, music, rain, silence, spoken

pytest.importorskip("faster_whisper", reason="the extra `speech` is not installed")

LIKE_FASTER_WHISPER = VoiceConfig(min_speech_s=0)


def windows(samples: np.ndarray, config: VoiceConfig | None = None, block: int = 160_000, max_gap_s: float = 3.0) -> list[SpeechWindow]:
    blocks = (SoundBlock(start, samples[start : start + block]) for start in range(0, samples.shape[0], block))
    return list(speech_windows(blocks, config or VoiceConfig(), max_gap_s))


@pytest.mark.parametrize("language", SENTENCES)
def test_speech_is_found_where_it_is(language: str):
    """Rain, a sentence, music: speech begins and ends with the sentence, within a pad and a half."""
    sentence = spoken(language)
    samples = np.concatenate([rain(4), silence(1), sentence, silence(1), music(4), silence(1), rain(2)])
    found = [span for window in windows(samples) for span in window.spans_s]
    begin, end = 5.0, 5.0 + sentence.shape[0] / RATE_HZ
    assert found and abs(found[0][0] - begin) < 0.6 and abs(found[-1][1] - end) < 0.6, found
    assert sum(b - a for a, b in found) > 0.7 * (end - begin)


@pytest.mark.parametrize("sound", [rain, music, silence])
def test_no_speech_in_rain_music_and_silence(sound):
    assert windows(sound(20)) == []


@pytest.mark.parametrize("block", [160_000, 4_800, 777])
def test_the_same_spans_as_faster_whisper_finds_at_once(block: int):
    from faster_whisper.vad import VadOptions, get_speech_timestamps

    samples = np.concatenate(
        [part for language in ("en", "zh", "ar", "ru") for part in (spoken(language), silence(0.3), spoken(language), rain(1.5))] * 2
    )
    options = VadOptions(max_speech_duration_s=30, min_silence_duration_ms=160)
    expected = [(span["start"], span["end"]) for span in get_speech_timestamps(samples.copy(), options)]
    assert len(expected) > 8
    assert [span for window in windows(samples, LIKE_FASTER_WHISPER, block) for span in window.spans] == expected


def original_spans(probabilities: list[float], length: int) -> list[tuple[int, int]]:
    """faster-whisper's own function over given probabilities."""
    from unittest import mock

    import faster_whisper.vad as vad

    options = vad.VadOptions(max_speech_duration_s=6, min_silence_duration_ms=160)
    with mock.patch.object(vad, "get_vad_model", lambda: lambda audio: np.array(probabilities[: audio.shape[0] // FRAME])):
        found = vad.get_speech_timestamps(np.zeros(length, np.float32), options)
    return [(span["start"], span["end"]) for span in found]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.4, 0.6, 0.9]), st.integers(1, 120)), min_size=1, max_size=12), st.integers(1, 40))
def test_the_same_rules_as_faster_whisper_whatever_the_probabilities(runs: list[tuple[float, int]], size: int):
    """Runs of equal probability, fed in pieces; speech of more than 6 s is cut."""
    probabilities = [value for value, count in runs for _ in range(count)]
    length = len(probabilities) * FRAME
    probabilities.append(0.0)  # of the silence that fills up the last frame
    finder = SpeechSpans(VoiceConfig(min_speech_s=0, max_speech_s=6))
    found = []
    for start in range(0, len(probabilities), size):
        found += list(finder.feed(np.asarray(probabilities[start : start + size], np.float32)))
    assert [*found, *finder.finish(length)] == original_spans(probabilities, length)


def test_probabilities_do_not_depend_on_the_blocks():
    samples = np.concatenate([spoken("en"), rain(1)])
    whole = SileroVoice()
    at_once = np.concatenate([whole.feed(samples), whole.finish()])
    voice, pieces = SileroVoice(), []
    for start in range(0, samples.shape[0], 999):
        pieces.append(voice.feed(samples[start : start + 999]))
    np.testing.assert_allclose(np.concatenate([*pieces, voice.finish()]), at_once, atol=1e-5)


def test_windows_hold_thirty_seconds_and_end_at_gaps():
    sentence = np.concatenate([spoken("en"), silence(0.5)])
    found = windows(np.concatenate([np.tile(sentence, 10), silence(5), sentence]))
    assert [window.samples.shape[0] <= 30 * RATE_HZ for window in found] == [True] * len(found) and len(found) >= 3
    assert found[-1].spans[0][0] - found[-2].spans[-1][1] > 3 * RATE_HZ
    assert all(window.samples.shape[0] == sum(b - a for a, b in window.spans) for window in found)


def test_a_jump_of_the_clock_begins_anew():
    sentence = spoken("fr")
    blocks = [SoundBlock(16_000, sentence), SoundBlock(16_000 * 1000, sentence)]
    found = list(speech_windows(blocks, VoiceConfig(), 3.0))
    assert [round(window.spans_s[0][0]) for window in found] == [1, 1000]


@given(st.lists(st.tuples(st.integers(1, 50_000), st.integers(0, 50_000)), min_size=1, max_size=5), st.floats(-5, 40), st.floats(0, 20))
def test_times_of_words_stay_in_their_span(spans: list[tuple[int, int]], start_s: float, length_s: float):
    places, position = [], 0
    for size, gap in spans:
        places.append((position + gap, position + gap + size))
        position += gap + size
    window = SpeechWindow(tuple(places), np.zeros(sum(b - a for a, b in places), np.float32))
    first, last = window.in_stream(start_s, start_s + length_s)
    assert first <= last and any(a / RATE_HZ <= first and last <= b / RATE_HZ for a, b in places)
    assert [part.spans[0] for part in window.parts()] == places
    assert SpeechWindow.of(window.parts()).spans == window.spans
