"""Copies of tars without some of their members, the others byte for byte."""

import tarfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import BinaryIO

from internvid_pipeline.storage.sample_tar import index_bytes

_END = bytes(2 * tarfile.BLOCKSIZE)
_STEP_BYTES = 2**24


def without_members(source: Path, target: Path, data_offsets: Collection[int]) -> dict[int, int]:
    """Writes `target`, leaving out the members whose data begins at one of these offsets. Returns, for the others, where their data lies
    now by where it lay. An empty one has no members. Raises tarfile.TarError, OSError."""
    moved: dict[int, int] = {}
    with tarfile.open(source, "r:") as tar, open(source, "rb") as data, open(target, "wb") as file:
        for member in tar.getmembers():
            if member.offset_data not in data_offsets:
                end = member.offset_data + -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                moved[member.offset_data] = file.tell() + member.offset_data - member.offset
                copy_range(data, file, member.offset, end - member.offset)
        file.write(_END)
        file.write(bytes(-file.tell() % tarfile.RECORDSIZE))  # as tarfile itself ends an archive
    return moved


def only_ranges(source: Path, target: Path, ranges: Sequence[tuple[int, int]]) -> tuple[list[int], Path]:
    """Writes `target`, a tar of these byte ranges (offset, size) of another one, each of whole members, and its `.idx` beside it. Returns
    where each range lies now, and the index's path."""
    offsets = []
    with open(source, "rb") as data, open(target, "wb") as file:
        for offset, size in ranges:
            offsets.append(file.tell())
            copy_range(data, file, offset, size)
        end = file.tell()
        file.write(_END)
    index = target.with_name(f"{target.name}.idx")
    index.write_bytes(index_bytes([*offsets, end]))
    return offsets, index


def copy_range(source: BinaryIO, target: BinaryIO, offset: int, size: int) -> None:
    """Bytes of one open file, appended to another."""
    source.seek(offset)
    for done in range(0, size, _STEP_BYTES):
        target.write(source.read(min(_STEP_BYTES, size - done)))
