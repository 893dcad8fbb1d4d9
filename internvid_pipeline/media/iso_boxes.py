"""Reading the outlines of mp4 and mov files without ffmpeg: boxes with their sizes, and nothing of what they hold."""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_FIRST = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp")  # the kinds that a file begins with
_PARENTS = {b"moov": 0, b"trak": 1, b"edts": 2}  # and how deep they lie; elsewhere they mean nothing
_MAX_BOXES = 100_000  # a fragmented video of a day has fewer; the walk ends there, whatever follows
_HEADER = 8


def boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start of the content, end as the box says) from `start` on, until one does not lie inside [start, end)."""
    while start + _HEADER <= end:
        file.seek(start)
        size, kind = struct.unpack(">I4s", file.read(_HEADER))
        content = start + _HEADER
        if size == 1:  # the size follows in 64 bits
            if content + 8 > end:
                return
            size, content = struct.unpack(">Q", file.read(8))[0], content + 8
        stop = end if size == 0 else start + size  # 0: up to the end
        if stop < content:
            return
        yield kind, content, stop
        start = stop


@dataclass
class Outline:
    """What an mp4 or mov file claims to hold. num_tracks: 0 for other files. most_edits: entries of the longest edit list, as far as the
    file really holds them."""

    num_tracks: int = 0
    most_edits: int = 0


def outline(path: Path) -> Outline:
    """Reads some kilobytes of the index. Only for early and clear refusals: ffmpeg reads the file in its own way afterwards."""
    found = Outline()
    with path.open("rb") as file:
        size_bytes = os.fstat(file.fileno()).st_size
        if file.read(_HEADER)[4:] in _FIRST:
            _walk(file, 0, size_bytes, 0, found, [_MAX_BOXES])
    return found


def _walk(file: BinaryIO, start: int, end: int, depth: int, found: Outline, budget: list[int]) -> None:
    for kind, content, stop in boxes(file, start, end):
        budget[0] -= 1
        if budget[0] < 0:
            return
        found.num_tracks += kind == b"trak"
        inside = min(stop, end)
        if _PARENTS.get(kind) == depth:
            _walk(file, content, inside, depth + 1, found, budget)
        elif kind == b"elst" and content + 8 <= inside:
            file.seek(content)
            version, count = struct.unpack(">B3xI", file.read(8))
            found.most_edits = max(found.most_edits, min(count, (inside - content - 8) // (20 if version == 1 else 12)))
