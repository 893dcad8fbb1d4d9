"""WebVTT and SubRip as sites give them, strangers' text in any state, as cues with times in seconds.

Automatic captions roll: every line stands in two or three cues, once while it is spoken and again while the next one is. They come out as
each line once, at the time at which it is spoken, with the times of single words where the file has them (`<00:00:01.000><c> word</c>`).
"""

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_TIME = r"(-?)(?:(\d{1,7}):)?(\d{1,7}):(\d{1,7})(?:[.,](\d{1,9}))?"
_TIMING = re.compile(rf"\s{{0,20}}{_TIME}\s{{0,20}}-->\s{{0,20}}(?:{_TIME})?")
_WORD_TIME = re.compile(r"<(\d{1,4}:)?(\d{1,2}):(\d{1,2})\.(\d{1,3})>")
_TAG = re.compile(r"<[^<>]{0,200}>|\{\\[^{}]{0,100}\}")
_MOST_CHARS = 20_000_000
_MOST_CUE_CHARS = 10_000
_MOST_CUES = 500_000
_UNKNOWN_LENGTH_S = 3.0  # of a cue without an end, where no next one bounds it
_CONTIGUOUS_S = 0.5  # a rolling line is repeated at once, if at all
_ROLLING_SHARE = 0.3  # of the cues that begin with the line before


@dataclass(frozen=True, slots=True)
class Word:
    """A word and when it is spoken."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Cue:
    """A piece of speech. words: with times of their own, empty where the file has none."""

    start_s: float
    end_s: float
    text: str
    words: tuple[Word, ...] = ()


@dataclass(slots=True)
class _Raw:
    """A cue as it stands in the file. lines: with their tags."""

    start_s: float
    end_s: float
    lines: list[str]


def parse_subtitles(data: bytes | str, rolling: bool | None = None) -> list[Cue]:
    """Cues by time. rolling: whether lines are repeated as they roll up; None: found out from the file. Never raises: what cannot be read
    as a cue is no cue. Time and memory are linear in the length, of which 20 million characters are looked at."""
    raw = _with_ends(sorted(_raw_cues(_decoded(data)), key=lambda cue: cue.start_s))
    if rolling is None:
        rolling = _rolls(raw)
    return list(_unrolled(raw) if rolling else _plain(raw))


def _decoded(data: bytes | str) -> str:
    if isinstance(data, bytes):
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            data = data.decode("utf-16", errors="replace")
        else:
            data = data.decode("utf-8-sig", errors="replace")
    return data[:_MOST_CHARS].removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")


def _seconds(sign: str, hours: str | None, minutes: str, seconds: str, fraction: str | None) -> float:
    scale = 10 ** len(fraction or "")  # one division at the end: 2.47 is 2.47
    value: float = ((int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds)) * scale + int(fraction or 0)) / scale
    return -value if sign else value


def _raw_cues(text: str) -> Iterator[_Raw]:
    """Timing lines and what follows each, up to an empty line or the next timing.
    A line of spaces belongs to the cue: YouTube has such."""
    cue: _Raw | None = None
    count = size = 0
    for line in text.split("\n"):
        match = _TIMING.match(line[:200]) if "-->" in line[:200] else None
        if match:
            if cue is not None:
                if cue.lines and cue.lines[-1].strip().isdigit():  # the next cue's number, where no empty line stands before it
                    cue.lines.pop()
                yield cue
            count, size = count + 1, 0
            if count > _MOST_CUES:
                return
            end = _seconds(match[6], *match.group(7, 8, 9, 10)) if match[8] else float("-inf")
            cue = _Raw(_seconds(match[1], *match.group(2, 3, 4, 5)), end, [])
        elif cue is not None:
            if not line:
                yield cue
                cue = None
            elif size < _MOST_CUE_CHARS:
                cue.lines.append(line[: _MOST_CUE_CHARS - size])
                size += len(line)
    if cue is not None:
        yield cue


def _with_ends(cues: Sequence[_Raw]) -> list[_Raw]:
    """Missing and impossible ends mended by the next cue's start; what ends before the video begins is left out."""
    kept = []
    for number, cue in enumerate(cues):
        if cue.end_s <= cue.start_s:
            following = next((one.start_s for one in cues[number + 1 : number + 50] if one.start_s > cue.start_s), None)
            cue.end_s = min(following or float("inf"), cue.start_s + _UNKNOWN_LENGTH_S)
        if cue.end_s > 0:
            cue.start_s = max(0.0, cue.start_s)
            kept.append(cue)
    return kept


def _clean(line: str) -> str:
    return " ".join(html.unescape(_TAG.sub("", line)).replace("\u200b", "").split())


def _shown(cue: _Raw) -> list[str]:
    return [text for line in cue.lines if (text := _clean(line))]


def _plain(cues: Sequence[_Raw]) -> Iterator[Cue]:
    for cue in cues:
        if lines := _shown(cue):
            yield Cue(cue.start_s, cue.end_s, " ".join(lines), tuple(word for line in cue.lines for word in _words(line, cue)))


def _rolls(cues: Sequence[_Raw]) -> bool:
    """True where single words carry times, or where cues often begin with the line that the one before ended with."""
    pairs = repeated = 0
    before: list[str] = []
    before_end_s = 0.0
    for cue in cues:
        if any(_WORD_TIME.search(line) for line in cue.lines):
            return True
        lines = _shown(cue)
        if before and lines and cue.start_s - before_end_s <= _CONTIGUOUS_S:
            pairs += 1
            repeated += len(lines) > 1 and lines[0] == before[-1]
        before, before_end_s = lines, cue.end_s
    return pairs >= 4 and repeated >= _ROLLING_SHARE * pairs


def _unrolled(cues: Sequence[_Raw]) -> Iterator[Cue]:
    before: list[str] = []
    before_end_s = 0.0
    for cue in cues:
        lines = [(line, text) for line in cue.lines if (text := _clean(line))]
        shown = [text for _, text in lines]
        if cue.start_s - before_end_s > _CONTIGUOUS_S:
            before = []
        new = lines[_repeated(before, shown) :]
        if new and before and (rest := _grown(before[-1], new[0][1])):  # painted on word by word
            new = [(rest, rest), *new[1:]]
        if new:
            text = " ".join(text for _, text in new)
            yield Cue(cue.start_s, cue.end_s, text, tuple(word for line, _ in new for word in _words(line, cue)))
        if shown:
            before = shown
        before_end_s = cue.end_s


def _repeated(before: Sequence[str], lines: Sequence[str]) -> int:
    """How many of the first lines are the last ones of the cue before."""
    most = min(len(before), len(lines), 10)
    return next((count for count in range(most, 0, -1) if list(before[-count:]) == list(lines[:count])), 0)


def _grown(before: str, line: str) -> str:
    return line[len(before) :].strip() if line.startswith(before + " ") else ""


def _words(line: str, cue: _Raw) -> Iterator[Word]:
    """Words of a line that has times in it; the first begins with the cue, the last ends with it."""
    pieces = _WORD_TIME.split(line)
    if len(pieces) == 1:
        return
    starts = [cue.start_s]
    texts = [pieces[0]]
    for index in range(1, len(pieces), 5):
        hours, minutes, seconds, fraction, text = pieces[index : index + 5]
        starts.append(_seconds("", hours.rstrip(":") if hours else None, minutes, seconds, fraction))
        texts.append(text)
    latest = cue.start_s
    for number, text in enumerate(texts):
        start_s = min(max(starts[number], latest), cue.end_s)
        end_s = min(max(starts[number + 1], start_s), cue.end_s) if number + 1 < len(starts) else cue.end_s
        latest = start_s
        if cleaned := _clean(text):
            yield Word(cleaned, start_s, end_s)
