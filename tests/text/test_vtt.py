"""WebVTT that our own parser, which takes any, reads back as it was."""

from hypothesis import given
from hypothesis import strategies as st

from internvid_pipeline.records import Utterance
from internvid_pipeline.text.subtitles import parse_subtitles
from internvid_pipeline.text.vtt import to_vtt
from tests.text.test_alignment import said


def cue(text: str, start_s: float, end_s: float) -> Utterance:
    return said(text, start_s, end_s)


def test_a_file():
    text = to_vtt([cue("שלום עולם", 2.0, 3.5), cue("a < b & c 😀", 0.0, 1.25)], "he")
    assert text == (
        "WEBVTT\nLanguage: he\n\n00:00:00.000 --> 00:00:01.250\na &lt; b &amp; c 😀\n\n00:00:02.000 --> 00:00:03.500\nשלום עולם\n"
    )
    assert to_vtt([]) == "WEBVTT\n"


words = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=12)
texts = st.lists(words, min_size=1, max_size=5).map(" ".join)


@given(st.lists(st.tuples(texts, st.integers(0, 3_600_000), st.integers(1, 9_000)), max_size=8))
def test_what_is_written_is_read(cues: list[tuple[str, int, int]]):
    made = [cue(text, start / 1000, (start + length) / 1000) for text, start, length in cues]
    read = parse_subtitles(to_vtt(made), rolling=False)
    assert [(one.start_s, one.end_s, one.text) for one in read] == [
        (one.start_s, one.end_s, one.text.replace("\u200b", "")) for one in sorted(made, key=lambda one: (one.start_s, one.end_s))
    ]
