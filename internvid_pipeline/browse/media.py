"""Bytes of clips and frames, straight out of the tars that they lie in."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from internvid_pipeline.errors import StorageError, UsageError
from internvid_pipeline.records import MediaRef
from internvid_pipeline.report.frames import is_inside
from internvid_pipeline.storage import Root

PIECE_BYTES = 2**20
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


@dataclass(frozen=True)
class Span:
    """Bytes [start, end) of `total`."""

    start: int
    end: int
    total: int


def wanted_span(header: str | None, total: int) -> Span | None:
    """The span that a Range header asks for; None without one, or where it is not one plain range: all is then right. Raises UsageError
    where the range lies behind the end."""
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match[1], match[2]
    start = int(first) if first else max(0, total - int(last))
    end = min(total, int(last) + 1) if first and last else total
    if start >= end:
        raise UsageError(f"range {header!r} of {total} bytes")
    return Span(start, end, total)


def size_of(root: Root, ref: MediaRef) -> int:
    """Length of a piece of media of the data set. Raises StorageError where it lies outside, FileNotFoundError."""
    if not is_inside(ref):
        raise StorageError("this lies outside the data set")
    if ref.size_bytes is not None:
        return ref.size_bytes
    found = root.size_bytes(ref.uri)
    if found is None:
        raise FileNotFoundError(ref.uri)
    return found


def pieces(root: Root, ref: MediaRef, span: Span) -> Iterator[bytes]:
    """The bytes of a span, up to a megabyte at a time: a long clip is never in memory as a whole. Raises StorageError."""
    base = ref.offset_bytes or 0
    for start in range(span.start, span.end, PIECE_BYTES):
        size = min(PIECE_BYTES, span.end - start)
        yield root.read_media(MediaRef(uri=ref.uri, offset_bytes=base + start, size_bytes=size))
