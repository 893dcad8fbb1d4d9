"""Subtitles as transcripts, and which transcript is taken."""

import json
import time
from pathlib import Path

import pytest

from internvid_pipeline.records import ClipTranscript, DropReason, SpeechRecord
from internvid_pipeline.text.transcripts import chosen_transcript, main_language, sidecar_files, speech_json, subtitle_utterances, text_of
from tests.text.test_alignment import said
from tests.text.test_subtitles import ROLLING


def test_cues_become_utterances_on_the_containers_clock_and_marks_are_lost_by_name():
    data = "WEBVTT\n\n00:01.000 --> 00:02.000\nHi <i>you</i>\n\n00:02.000 --> 00:03.000\n[Music]\n\n00:03.000 --> 00:04.000\n你好 [笑]\n"
    found, lost = subtitle_utterances(data.encode(), "en", 10.5)
    assert [(one.start_s, one.end_s, one.text, one.language) for one in found][:1] == [(11.5, 12.5, "Hi you", "en")]
    assert found[1].text == "你好" and 13.5 <= found[1].start_s < found[1].end_s < 14.5
    assert lost == [(12.5, 13.5, DropReason.NON_SPEECH, "marks only: '[Music]'")]


def test_rolling_captions_keep_the_times_of_their_words():
    found, _ = subtitle_utterances(ROLLING.encode(), "en", 0.0)
    assert all(one.text == "".join(word.text for word in one.words).strip() for one in found)
    timed = [one for one in found if one.has_word_times]
    assert timed and all(word.start_s <= word.end_s for one in timed for word in one.words)
    spoken = " ".join(one.text for one in found).split()
    assert len(spoken) > 5 and all(spoken.count(word) == 1 for word in spoken if len(word) > 6), "each line once"


@pytest.mark.parametrize("data", [b"", b"WEBVTT\n", b"\xff\xfe\x00", b"\x00" * 100_000, b"00:00 --> " * 100_000])
def test_junk_holds_nothing(data: bytes):
    assert subtitle_utterances(data, "en", 0.0) == ([], [])


CUE = "00:00:01.000 --> 00:00:02.000\n"


@pytest.mark.parametrize(
    "piece", ["中" + "a" * 9000, "[", "[aaaaaaaa", "♪", "a ", "中", "ا", "👨‍👩‍👧", "1<00:00:01.500><c> w</c>", "&amp;"]
)
def test_cues_of_junk_take_linear_time(piece: str):
    """CPU time of four times as many cues of 10,000 characters: four times, not sixteen."""

    def cost(count: int) -> float:
        data = (CUE + (piece * 10_000)[:10_000] + "\n\n").encode() * count
        start = time.process_time()
        subtitle_utterances(data, "en", 0.0)
        return time.process_time() - start

    assert cost(12) < 12 * max(cost(3), 0.005)


def test_text_without_end_is_cut_by_name():
    data = (CUE + "w" * 9_995 + "\n\n").encode() * 170
    said, lost = subtitle_utterances(data, "en", 0.0)
    assert sum(len(one.text) for one in said) < 1_500_000 and len(said) == 150
    assert [(reason, message) for _, _, reason, message in lost] == [(DropReason.SUBTITLES, "more than 1500000 characters of text")]


def test_sidecars_are_found_by_name(tmp_path: Path):
    video = tmp_path / "a.b.mp4"
    for name in ("a.b.vtt", "a.b.en.srt", "a.b.zh-Hans.vtt", "a.vtt", "other.vtt", "a.b.klingon.vtt"):
        (tmp_path / name).write_text("WEBVTT\n")
    assert sorted((code, path.name) for code, path in sidecar_files(str(video))) == [
        ("", "a.b.vtt"),
        ("en", "a.b.en.srt"),
        ("zh-Hans", "a.b.zh-Hans.vtt"),
    ]
    assert list(sidecar_files("https://host/a.mp4")) == []


def part(source: str, language: str = "en", probability: float | None = 0.9, stand_in: bool = False, text: str = "hello") -> ClipTranscript:
    return ClipTranscript(
        source=source,
        track="t",
        language=language,
        language_probability=probability,
        model="m",
        model_commit="c",
        is_stand_in=stand_in,
        text=text,
        utterances=(said(text, 0.0, 1.0),),
    )


MANUAL, AUTOMATIC, HEARD, ENGLISH = "manual_subtitles", "automatic_subtitles", "recognised", "recognised_in_english"


@pytest.mark.parametrize(
    ("parts", "chosen"),
    [
        ([part(HEARD, "fr"), part(MANUAL, "fr-CA")], 1),  # people's, in the language spoken
        ([part(HEARD, "fr"), part(MANUAL, "en")], 0),  # people's translation
        ([part(MANUAL, "en"), part(MANUAL, "fr"), part(AUTOMATIC, "fr")], 1),
        ([part(AUTOMATIC, "fr"), part(HEARD, "fr")], 1),
        ([part(HEARD, "zh", 0.2), part(MANUAL, "en")], 1),  # a recogniser that is not sure overrules nobody
        ([part(HEARD, "und", None, stand_in=True), part(AUTOMATIC, "en")], 1),
        ([part(ENGLISH, "en"), part(HEARD, "fr")], 1),
        ([part(MANUAL, "und", None), part(HEARD, "en")], 0),
    ],
)
def test_which_transcript_is_taken(parts: list[ClipTranscript], chosen: int):
    assert chosen_transcript(parts) is parts[chosen]


def test_texts_are_put_together_as_their_script_is_written():
    assert text_of([said("How are you?", 0, 1), said("Fine.", 1, 2)]) == "How are you? Fine."
    assert text_of([said("你好。", 0, 1), said("再见", 1, 2)]) == "你好。再见"
    assert text_of([]) == "" and main_language([]) == ("und", None)


def test_json_of_speech_has_the_same_keys_and_types_with_and_without():
    row = SpeechRecord(
        clip_id="c",
        video_id="v",
        text="שלום 😀",
        language="he",
        language_probability=0.5,
        source=MANUAL,
        track="t",
        start_s=0.0,
        end_s=1.0,
        evidence=(),
        transcripts=(part(MANUAL, "he", None, text="שלום 😀"),),
    )
    full, empty = speech_json(row), speech_json(None)
    assert {key: type(value) for key, value in full.items()} == {key: type(value) for key, value in empty.items()}
    assert json.loads(full["transcripts_json"])[0]["utterances"][0]["text"] == "שלום 😀" and "שלום" in full["transcripts_json"]
