"""Building and patching of ISO media boxes (mp4, mov) and EBML elements (Matroska), as far as hostile files need it."""

import struct
from collections.abc import Iterator
from pathlib import Path

_PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"dinf", b"edts", b"udta", b"mvex", b"moof", b"traf")


def box(kind: bytes, *payload: bytes) -> bytes:
    body = b"".join(payload)
    return struct.pack(">I", len(body) + 8) + kind + body


def full_box(kind: bytes, *payload: bytes, version: int = 0, flags: int = 0) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *payload)


def table(kind: bytes, entries: list[tuple[int, ...]], count: int | None = None) -> bytes:
    """A box that is a count and rows of 32-bit numbers (stts, ctts, elst, stsc, stco); `count` may be a lie."""
    rows = b"".join(struct.pack(f">{len(row)}I", *(value & 0xFFFFFFFF for value in row)) for row in entries)
    return full_box(kind, struct.pack(">I", len(entries) if count is None else count), rows)


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, end) of the boxes in data[start:end]."""
    end = len(data) if end is None else end
    while start + 8 <= end:
        size = struct.unpack_from(">I", data, start)[0]
        if size < 8:
            return
        yield data[start + 4 : start + 8], start, start + size
        start += size


def with_boxes(data: bytes, changes: dict[bytes, bytes | None], parent: bytes = b"") -> bytes:
    """The file with every box of these kinds replaced (None: left out); sizes of the boxes around them are put right. For files whose
    moov comes last: no offset of media data changes."""
    out = []
    for kind, start, end in boxes(data):
        if kind in changes:
            out.append(changes[kind] or b"")
        elif kind in _PARENTS:
            out.append(box(kind, with_boxes(data[start + 8 : end], changes, kind)))
        else:
            out.append(data[start:end])
    return b"".join(out)


def find_box(data: bytes, path: str) -> tuple[int, int]:
    """(start, end) of the first box at a path such as `moov/trak/mdia/mdhd`."""
    start, end = 0, len(data)
    for name in path.split("/"):
        start, end = next((first, last) for kind, first, last in boxes(data, start, end) if kind == name.encode())
        found = start, end
        start += 8
    return found


def patched(data: bytes, path: str, at: int, value: bytes) -> bytes:
    """`value` written over the bytes `at` behind the start of a box (its size and kind are the first eight)."""
    start, end = find_box(data, path)
    assert start + at + len(value) <= end
    return data[: start + at] + value + data[start + at + len(value) :]


def element(ident: int, payload: bytes, size: int | None = None) -> bytes:
    """An EBML element; `size` may be a lie."""
    raw = ident.to_bytes((ident.bit_length() + 7) // 8, "big")
    return raw + (1 << 56 | (len(payload) if size is None else size)).to_bytes(8, "big") + payload


def number(ident: int, value: int, length: int = 8) -> bytes:
    return element(ident, value.to_bytes(length, "big"))


def matroska(path: Path, *more: bytes) -> bytes:
    """A Matroska file with further elements at the end of its segment."""
    data = path.read_bytes()
    at = data.index(bytes.fromhex("18538067")) + 4
    assert data[at] == 0x01, "the muxer writes the segment's size in eight bytes"
    extra = b"".join(more)
    size = int.from_bytes(data[at + 1 : at + 8], "big") + len(extra)
    return data[: at + 1] + size.to_bytes(7, "big") + data[at + 8 :] + extra


def with_element(data: bytes, ident: int, change: bytes) -> bytes:
    """The payload of the first element `ident` overwritten: its bytes, from the right, or padded to its length in front."""
    raw = ident.to_bytes((ident.bit_length() + 7) // 8, "big")
    at = -1
    while True:
        at = data.index(raw, at + 1)
        length = data[at + len(raw)] & 0x7F
        if data[at + len(raw)] & 0x80 and 0 < length <= 8:
            break
    start = at + len(raw) + 1
    value = change[-length:].rjust(length, b"\0")
    return data[:start] + value + data[start + length :]
