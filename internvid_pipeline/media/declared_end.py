"""Where a file says, in its outermost structure, that it ends. Evidence of a file cut short that needs no decoding and no clock.

What it cannot show: transport streams, program streams, FLV and fragmented mp4 state no length of the whole. One that was cut exactly
between two of its units is not to be told from a shorter recording.
"""

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from internvid_pipeline.media.iso_boxes import boxes

_TAIL_BYTES = 2_000_000  # of a transport stream: the last PES packets of every stream begin in it
_TS_SIZES = (188, 192, 204)  # plain, with time stamps (Blu-ray, camcorders), with error correction (broadcast)
_TS_IN_STEP = 20  # packets in a row that begin with the sync byte
_RIFF_SLACK = 16  # some writers count their own header, or a padding byte
_EBML_SEGMENT = bytes.fromhex("18538067")
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_OGG_PAGE = struct.Struct("<4sBBqIIIB")  # sign, version, flags, position, serial number, sequence number, checksum, segments
_OGG_END = 4  # flag of a stream's last page


def overrun(path: Path, format_name: str) -> str | None:
    """Why the file must have been longer once, in words; None where its structure says nothing, or is whole. format_name: ffmpeg's."""
    check = next((check for name, check in _CHECKS.items() if name in format_name.split(",")), None)
    if check is None:
        return None
    with path.open("rb") as file:
        try:
            return check(file, os.fstat(file.fileno()).st_size)
        except (struct.error, IndexError):  # shorter than the header that was looked for; ffmpeg has read it all the same
            return None


def _goes_to(end: int, size_bytes: int, part: str, slack: int = 0) -> str | None:
    return f"{size_bytes} bytes are there, its {part} goes to {end}" if end > size_bytes + slack else None


def _iso(file: BinaryIO, size_bytes: int) -> str | None:
    for kind, _, stop in boxes(file, 0, size_bytes):
        if kind in (b"mdat", b"moof", b"moov") and stop > size_bytes:  # others may be a camera's own notes behind the video
            return _goes_to(stop, size_bytes, f"{kind.decode()} box")
    return None


def _matroska(file: BinaryIO, size_bytes: int) -> str | None:
    head = file.read(4096)
    at = head.index(_EBML_SEGMENT) if _EBML_SEGMENT in head else len(head)
    first = head[at + 4]
    length = 9 - first.bit_length()
    size = int.from_bytes(head[at + 4 : at + 4 + length], "big") & ((1 << 7 * length) - 1)
    if length > 8 or size == (1 << 7 * length) - 1:  # unknown: a live recording
        return None
    return _goes_to(at + 4 + length + size, size_bytes, "segment")


def _riff(file: BinaryIO, size_bytes: int) -> str | None:
    end = 0
    while end + 8 <= size_bytes:  # OpenDML: one chunk after the other, of a gigabyte or so
        file.seek(end)
        kind, size = struct.unpack("<4sI", file.read(8))
        if kind != b"RIFF" or size in (0, 0xFFFFFFFF):  # never finished, or too large for the field
            return None
        end += 8 + size + size % 2
    return _goes_to(end, size_bytes, "RIFF chunk", _RIFF_SLACK)


def _asf(file: BinaryIO, size_bytes: int) -> str | None:
    head = file.read(1 << 16)
    at = head.find(_ASF_PROPERTIES)
    if at < 0:
        return None
    size = struct.unpack_from("<Q", head, at + 40)[0]
    is_broadcast = struct.unpack_from("<I", head, at + 88)[0] & 1
    return None if is_broadcast else _goes_to(size, size_bytes, "header")


def _ogg(file: BinaryIO, size_bytes: int) -> str | None:
    start = max(0, size_bytes - (1 << 17))  # a page has at most 65,307 bytes
    file.seek(start)
    tail = file.read()
    at = tail.rfind(b"OggS")
    if at < 0:
        return "the last 128 KiB are no pages of Ogg"
    if at + _OGG_PAGE.size > len(tail):
        return "its last page breaks off"
    flags, segments = tail[at + 5], tail[at + _OGG_PAGE.size - 1]
    table = tail[at + _OGG_PAGE.size : at + _OGG_PAGE.size + segments]
    end = start + at + _OGG_PAGE.size + segments + sum(table)
    if len(table) < segments or end > size_bytes:
        return "its last page breaks off"
    return None if flags & _OGG_END else "its last page is not marked as the last"  # RFC 3533, section 6: header_type_flag


def _flv(file: BinaryIO, size_bytes: int) -> str | None:
    file.seek(max(0, size_bytes - 4))  # behind every tag, its size
    size = struct.unpack(">I", file.read(4))[0]
    if 11 <= size <= size_bytes - 13:
        file.seek(size_bytes - 4 - size)
        kind, *length = struct.unpack(">B3B", file.read(4))
        if kind & 0x1F in (8, 9, 18) and int.from_bytes(bytes(length), "big") + 11 == size:
            return None
    return "its last tag breaks off"


def _program_stream(file: BinaryIO, size_bytes: int) -> str | None:
    """From the first pack header of the last megabytes on, unit by unit; None where it gets out of step."""
    start = max(0, size_bytes - _TAIL_BYTES)
    file.seek(start)
    tail = file.read()
    at = tail.find(b"\0\0\1\xba")
    while 0 <= at <= len(tail) - 6:
        sign, kind = tail[at : at + 3], tail[at + 3]
        if sign != b"\0\0\1" or kind < 0xB9:
            return None
        if kind == 0xB9:  # the end code, which many writers leave out
            return None
        if kind == 0xBA:
            at += 12 if tail[at + 4] & 0xF0 == 0x20 else 14 + (tail[at + 13] & 7)  # MPEG-1, MPEG-2
        else:
            at += 6 + int.from_bytes(tail[at + 4 : at + 6], "big")
    return "its last packet breaks off" if at > len(tail) or 0 <= at < len(tail) else None


def _transport_stream(file: BinaryIO, size_bytes: int) -> str | None:
    file.seek(max(0, size_bytes - _TAIL_BYTES))
    tail = file.read()
    # In step with the end of the file and not with its beginning: bytes may have been lost on the way.
    near = tail[-_TS_IN_STEP * max(_TS_SIZES) :]
    steps = ((size, at) for size in _TS_SIZES for at in range(size) if len(near) > 2 * size and set(near[at::size]) == {0x47})
    size, at = next(steps, (0, 0))
    if not size:
        return None
    rest = (len(near) - at) % size
    if rest and rest + (size - 188) != size:  # the last packet may come without the extra bytes behind it
        return f"its last packet has {rest} of {size} bytes"
    return _last_pes(tail[(len(tail) - rest) % size :], size)


def _last_pes(tail: bytes, size: int) -> str | None:
    """Whether the last PES packet of a stream that states its length (sound does, pictures mostly not) is all there."""
    missing: dict[int, int] = {}
    for at in range(0, len(tail) - 187, size):
        if tail[at] != 0x47:
            return None  # out of step: ffmpeg finds its way again, we do not
        pid = (tail[at + 1] & 0x1F) << 8 | tail[at + 2]
        payload = tail[at + 4 + (1 + tail[at + 4] if tail[at + 3] & 0x20 else 0) : at + 188] if tail[at + 3] & 0x10 else b""
        if tail[at + 1] & 0x40:
            missing.pop(pid, None)
            stated = int.from_bytes(payload[4:6], "big") if payload[:3] == b"\0\0\1" else 0
            if stated:
                missing[pid] = 6 + stated
        if pid in missing:
            missing[pid] -= len(payload)
    short = {pid: count for pid, count in missing.items() if count > 0}
    return "its last packet of stream 0x{:x} lacks {} bytes".format(*next(iter(short.items()))) if short else None


_CHECKS: dict[str, Callable[[BinaryIO, int], str | None]] = {
    "mov": _iso,
    "matroska": _matroska,
    "avi": _riff,
    "asf": _asf,
    "ogg": _ogg,
    "flv": _flv,
    "mpeg": _program_stream,
    "mpegts": _transport_stream,
}
