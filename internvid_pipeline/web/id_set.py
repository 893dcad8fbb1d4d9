"""Ids to leave out, millions of them, exactly: a file of hash buckets that all workers map into memory and share.

Layout: a header; the starts of the buckets (uint32, one more than there are buckets); the ids in the order of their buckets, each
padded with zeros to one width. An id is looked for among the few of its bucket, byte for byte, so that the answer is exact. Ids longer
than `_MOST_BYTES` are kept as `\xff` and 31 bytes of their SHA-256, which no id in UTF-8 begins with.
"""

import gzip
import hashlib
import json
import mmap
import os
import re
import struct
import uuid
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from internvid_pipeline.errors import UsageError

_MAGIC = b"internvid-ids-1\n"
_HEADER = struct.Struct("<16sQQQ")  # magic, ids, buckets, width
_MOST_BYTES = 32
_PER_BUCKET = 4
_CHUNK = 100_000
_COLUMNS = ("YoutubeID", "videoID", "video_id", "youtube_id", "external_id", "id")
_YOUTUBE = re.compile(r"(?:youtu\.be/|[?&]v=|/shorts/|/embed/)([A-Za-z0-9_-]{11})")


def packed(text: str) -> bytes:
    """An id as it is compared."""
    data = text.encode(errors="replace")
    return data if len(data) <= _MOST_BYTES and b"\0" not in data else b"\xff" + hashlib.sha256(data).digest()[: _MOST_BYTES - 1]


class IdSet:
    """A set of ids in a file made by `build_id_set`. Raises UsageError where it is none."""

    def __init__(self, path: Path) -> None:
        with open(path, "rb") as file:
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if len(self._data) < _HEADER.size or self._data[:16] != _MAGIC:
            raise UsageError(f"{path} is no file of ids made by internvid")
        _, self._count, buckets, self._width = _HEADER.unpack_from(self._data, 0)
        self._look_up = _look_up(self._data, int(buckets), int(self._width))

    def __len__(self) -> int:
        return int(self._count)

    def __contains__(self, text: object) -> bool:
        """True where the id stands in the set."""
        return isinstance(text, str) and self._look_up(text)

    def holds(self, extractor: str | None, external_id: str) -> bool:
        """True where the id is left out: by itself (from whatever site), or as `<extractor> <id>`, as yt-dlp's archives write it."""
        return external_id in self or (extractor is not None and f"{extractor.lower()} {external_id}" in self)


def _look_up(data: Any, buckets: int, width: int) -> Callable[[str], bool]:
    """The look-up as a function of its own: local names are found faster than attributes, and this runs ten million times."""
    mask, starts, crc = buckets - 1, _HEADER.size, zlib.crc32
    ids = starts + 4 * (buckets + 1)
    bounds, find = struct.Struct("<II").unpack_from, data.find

    def found(text: str) -> bool:
        try:
            key = text.encode()
        except UnicodeEncodeError:
            key = packed(text)
        if len(key) != width or 0 in key:
            key = packed(text)
            if not key or len(key) > width:
                return False
        first, end = bounds(data, starts + 4 * (crc(key) & mask))
        if len(key) != width:
            key = key.ljust(width, b"\0")
        end = ids + end * width
        at = find(key, ids + first * width, end)
        while at >= 0 and (at - ids) % width:  # the end of one id and the beginning of the next
            at = find(key, at + 1, end)
        return bool(at >= 0)

    return found


def build_id_set(ids: Iterable[str], path: Path) -> int:
    """Writes the set of the ids to `path` whole or not at all; returns how many different ones there are. Holds about 100 bytes per id."""
    keys = bytearray()
    lengths = array("B")
    for text in ids:
        if text:
            key = packed(text)
            keys += key
            lengths.append(len(key))
    count, width = len(lengths), max(lengths, default=1)
    table = _table(keys, lengths, width)
    del keys, lengths
    buckets = 1 << max(0, (max(1, count // _PER_BUCKET) - 1).bit_length())
    table, places = _sorted_once(table, buckets)
    starts = np.searchsorted(places, np.arange(buckets + 1, dtype=np.uint32)).astype(np.uint32)
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")
    with open(temporary, "wb") as file:
        file.write(_HEADER.pack(_MAGIC, len(table), buckets, width))
        file.write(starts.tobytes())
        file.write(table.tobytes())
    temporary.replace(path)
    return len(table)


def _table(keys: bytearray, lengths: Any, width: int) -> Any:
    """The ids as an array of fixed width, filled up with zeros."""
    sizes = np.frombuffer(lengths, dtype=np.uint8).astype(np.int64)
    flat = np.frombuffer(keys, dtype=np.uint8)
    table = np.zeros((len(sizes), width), dtype=np.uint8)
    begins = np.cumsum(sizes) - sizes
    for column in range(width):
        has = sizes > column
        table[has, column] = flat[begins[has] + column]
    return table.view(f"S{width}").ravel()


def _sorted_once(table: Any, buckets: int) -> tuple[Any, Any]:
    """The ids by bucket, each once, and their buckets. Within a bucket they are sorted, so that equal ones stand together."""
    hashes = array("I")
    for start in range(0, len(table), _CHUNK):  # as Python's bytes they take four times the room
        hashes.extend(zlib.crc32(key) & (buckets - 1) for key in table[start : start + _CHUNK].tolist())
    places = np.frombuffer(hashes, dtype=np.uint32)
    order = np.argsort(table, kind="stable")
    order = order[np.argsort(places[order], kind="stable")]
    table, places = table[order], places[order]
    keep = np.ones(len(table), dtype=bool)
    keep[1:] = table[1:] != table[:-1]
    return table[keep], places[keep]


def read_ids(paths: Sequence[Path]) -> Iterator[str]:
    """Ids of files: one a line (`.txt`, also `youtube <id>` and addresses of YouTube), or of `.csv` and `.jsonl` the column that holds ids;
    any of them `.gz`. Raises UsageError."""
    for path in paths:
        try:
            with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as file:
                yield from _ids_of(file, path)  # type: ignore[arg-type]
        except OSError as error:
            raise UsageError(f"exclude_ids: {path} cannot be read: {error.strerror or error}") from error


def _ids_of(file: BinaryIO, path: Path) -> Iterator[str]:
    kind = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    if kind == ".csv":
        import csv
        import io

        rows: Iterable[Any] = csv.DictReader(io.TextIOWrapper(file, "utf-8-sig", errors="replace", newline=""))
        yield from _column(rows, path)
    elif kind == ".jsonl":
        yield from _column((_object(line, path) for line in file if line.strip()), path)
    else:
        for line in file:
            text = line.decode(errors="replace").strip().lstrip("\ufeff")
            if text and not text.startswith("#"):
                yield _plain_id(text)


def _object(line: bytes, path: Path) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"exclude_ids: {path} has a line that is not JSON: {line[:60]!r}") from error


def _column(rows: Iterable[Any], path: Path) -> Iterator[str]:
    for row in rows:
        value = row if isinstance(row, str) else next((row[name] for name in _COLUMNS if isinstance(row, dict) and row.get(name)), None)
        if value is None:
            raise UsageError(f"exclude_ids: {path} has a row without an id; one of the columns {', '.join(_COLUMNS)} must hold it")
        yield _plain_id(str(value).strip())


def _plain_id(text: str) -> str:
    match = _YOUTUBE.search(text) if "/" in text else None
    return match[1] if match else text
