"""WebVTT and SubRip: well formed, as YouTube makes them, and as junk."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from internvid_pipeline.text.subtitles import Cue, parse_subtitles


def texts(cues: list[Cue]) -> list[tuple[float, float, str]]:
    return [(cue.start_s, cue.end_s, cue.text) for cue in cues]


def test_webvtt_with_all_its_parts():
    data = (
        "\ufeffWEBVTT - title\r\nKind: captions\r\n\r\nSTYLE\r\n::cue {color: red}\r\n\r\nNOTE\r\n00 --> nothing\r\n\r\n"
        "intro\r\n00:01.500 --> 00:00:03.000 align:start position:0% line:-1\r\n<v Anna><i>Hello</i> &amp; <c.loud>you</c>\r\n- yes\r\n\r\n"
        "01:00:00.000 --> 01:00:01.250\r\nlate\r\n"
    )
    assert texts(parse_subtitles(data.encode())) == [(1.5, 3.0, "Hello & you - yes"), (3600.0, 3601.25, "late")]


def test_subrip_with_and_without_empty_lines():
    data = (
        "1\n00:00:01,000 --> 00:00:02,000\n{\\an8}<b>One</b>\n\n2\n00:00:02,000 --> 00:00:03,500\nTwo\n"
        "3\n00:00:04,000 --> 00:00:05,000\n1984\n"
    )
    assert texts(parse_subtitles(data)) == [(1.0, 2.0, "One"), (2.0, 3.5, "Two"), (4.0, 5.0, "1984")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
def test_encodings_and_line_breaks(encoding: str, line_break: str):
    data = line_break.join(["WEBVTT", "", "00:01.000 --> 00:02.000", "Привет 世界", ""]).encode(encoding)
    assert texts(parse_subtitles(data)) == [(1.0, 2.0, "Привет 世界")]


def test_times_that_cannot_be():
    """Negative ones begin at 0 or are gone; a missing or earlier end is where the next cue begins, or three seconds later."""
    data = (
        "-00:05.000 --> -00:01.000\ngone\n\n-00:01.000 --> 00:01.000\nearly\n\n00:05.000 --> 00:03.000\nbackwards\n\n"
        "00:06.000 --> \nopen\n\n00:30.000 --> 00:30.000\nlast\n\n00:xx.000 --> 00:40.000\nno time\n"
    )
    assert texts(parse_subtitles(data)) == [
        (0.0, 1.0, "early"), (5.0, 6.0, "backwards"), (6.0, 9.0, "open"), (30.0, 33.0, "last")
    ]  # fmt: skip


def test_overlapping_cues_stay_and_are_ordered():
    data = "00:03.000 --> 00:06.000\nb\n\n00:01.000 --> 00:04.000\na\n"
    assert texts(parse_subtitles(data)) == [(1.0, 4.0, "a"), (3.0, 6.0, "b")]


ROLLING = """WEBVTT
Kind: captions
Language: en

00:00:00.160 --> 00:00:02.470 align:start position:0%
@
hello<00:00:00.480><c> my</c><00:00:00.960><c> friends</c>

00:00:02.470 --> 00:00:02.480 align:start position:0%
hello my friends
@

00:00:02.480 --> 00:00:04.310 align:start position:0%
hello my friends
today<00:00:02.800><c> we</c><00:00:03.120><c> ride</c>

00:00:04.310 --> 00:00:04.320 align:start position:0%
today we ride
@

00:00:04.320 --> 00:00:06.000 align:start position:0%
today we ride
today we ride
""".replace("@\n", " \n")  # lines of one space


def test_rolling_captions_come_out_once():
    cues = parse_subtitles(ROLLING)
    assert texts(cues) == [(0.16, 2.47, "hello my friends"), (2.48, 4.31, "today we ride"), (4.32, 6.0, "today we ride")]
    assert [(word.text, word.start_s, word.end_s) for word in cues[0].words] == [
        ("hello", 0.16, 0.48), ("my", 0.48, 0.96), ("friends", 0.96, 2.47)
    ]  # fmt: skip
    assert [word.text for word in cues[1].words] == ["today", "we", "ride"]


def test_rolling_captions_without_word_times_are_found_out():
    lines = [f"line number {number}" for number in range(8)]
    blocks = [f"00:{n:02d}.000 --> 00:{n + 1:02d}.000\n{lines[n - 1]}\n{lines[n]}\n" for n in range(1, 8)]
    cues = parse_subtitles("\n".join(blocks))
    assert [cue.text for cue in cues] == ["line number 0 line number 1", *lines[2:]]


def test_people_may_repeat_themselves():
    data = "\n".join(f"00:{n:02d}.000 --> 00:{n + 1:02d}.000\nNo.\n" for n in range(10))
    assert [cue.text for cue in parse_subtitles(data)] == ["No."] * 10


LINE = st.text(
    alphabet=st.characters(blacklist_categories=("Cs",), blacklist_characters="\n\r\0<>{}&-\ufeff\u200b"), min_size=1, max_size=30
)


@given(st.lists(st.tuples(st.integers(0, 10**7), st.integers(1, 10**5), LINE.filter(lambda text: text.split())), max_size=20))
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read(cues: list[tuple[int, int, str]]):
    def stamp(milliseconds: int) -> str:
        return f"{milliseconds // 3600000:02d}:{milliseconds // 60000 % 60:02d}:{milliseconds // 1000 % 60:02d}.{milliseconds % 1000:03d}"

    data = "WEBVTT\n\n" + "".join(f"{stamp(start)} --> {stamp(start + length)}\n{text}\n\n" for start, length, text in cues)
    wanted = sorted(
        ((start / 1000, (start + length) / 1000, " ".join(text.split())) for start, length, text in cues), key=lambda cue: cue[0]
    )
    found = texts(parse_subtitles(data, rolling=False))
    assert [cue[2] for cue in found] == [cue[2] for cue in wanted]
    assert all(abs(a[0] - b[0]) < 1e-6 and abs(a[1] - b[1]) < 1e-6 for a, b in zip(found, wanted, strict=True))


@given(st.one_of(st.binary(max_size=2000), st.text(max_size=2000), st.text(alphabet="0123456789:.,<>- \nc/", max_size=2000)))
@settings(max_examples=150, deadline=None)
def test_anything_is_read_without_an_error(data: bytes | str):
    for cue in parse_subtitles(data):
        assert 0 <= cue.start_s < cue.end_s and cue.text.strip() == cue.text != ""
        assert all(cue.start_s <= word.start_s <= word.end_s <= cue.end_s for word in cue.words)


@pytest.mark.parametrize(
    "piece",
    [
        "<",
        "<c>",
        "-->",
        "00:00:01.000 --> 00:00:02.000\n",
        "<00:00:01.000>",
        "0",
        " ",
        "\n",
        "&amp",
        "{\\",
        "00:00:01.000 --> 00:00:02.000\na",
    ],
)
def test_junk_takes_linear_time(piece: str):
    """CPU time of 4 MB against 1 MB: four times, not sixteen."""

    def cost(size: int) -> float:
        data = "WEBVTT\n\n00:00:00.000 --> 00:00:09.000\n" + piece * (size // len(piece))
        start = time.process_time()
        parse_subtitles(data)
        return time.process_time() - start

    cost(10_000)
    small = min(cost(250_000) for _ in range(3))
    assert cost(2_000_000) < 40 * max(small, 0.002)
