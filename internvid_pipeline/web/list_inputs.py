"""From a published list of clips to inputs: one per video, with all its spans, in the order in which videos first appear.

Lines of one video need not stand together (the lists are samples), and a list may have ten million lines: so the file is read twice,
first for ids and the places of the lines, then line by line in the order of the videos. What is held is some thirty bytes per line.
"""

import csv
import hashlib
import io
import json
import mmap
import re
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from internvid_pipeline.errors import UsageError
from internvid_pipeline.records import SourceRecord
from internvid_pipeline.web.clip_lists import Listed, ListFormat, format_of

_MOST_KEY = 15
_MOST_LINE = 50_000_000
Bytes = mmap.mmap | bytes


@dataclass(frozen=True)
class ListOptions:
    """id_url: address of a video, with `{id}`. extractor: name of its site, as yt-dlp has it. base: what a list's file names are relative
    to: a folder or an address. list_name: what captions and scores name as their model."""

    id_url: str = "https://www.youtube.com/watch?v={id}"
    extractor: str = "Youtube"
    base: str = ""
    list_name: str = ""


class ClipList:
    """A published list in a local file: .jsonl or .csv. Raises UsageError where it cannot be read or is none."""

    def __init__(self, path: Path, options: ListOptions) -> None:
        self.path, self.options, self._is_csv = path, options, path.suffix == ".csv"
        self.list_name = options.list_name or path.name.split(".")[0]
        self._header: list[str] = []
        self.format = self._recognise()
        self._plain_key = re.compile(rb'\s*\{\s*"%s"\s*:\s*"([^"\\\s]+)"' % self.format.key_column.encode()).match

    @classmethod
    def opened(cls, path: Path, options: ListOptions) -> "ClipList | None":
        """The list, None where the file is no published list of clips."""
        try:
            return cls(path, options)
        except _NoClipList:
            return None

    def _recognise(self) -> ListFormat:
        try:
            with open(self.path, "rb") as file:
                first = file.readline(_MOST_LINE).removeprefix(b"\xef\xbb\xbf")
        except OSError as error:
            raise UsageError(f"list {self.path} cannot be read: {error.strerror}") from error
        try:
            if self._is_csv:
                self._header = next(csv.reader([first.decode()]), [])
                columns = self._header
            else:
                row = json.loads(first)
                columns = list(row) if isinstance(row, dict) else []
        except (ValueError, RecursionError, csv.Error):
            columns = []
        found = format_of(columns)
        if found is None:
            raise _NoClipList(str(self.path))
        return found

    def sources(self) -> Iterator[SourceRecord]:
        """One record per video. Raises UsageError naming the line that is wrong."""
        if self.path.stat().st_size == 0:
            return
        with open(self.path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            places, groups = self._places(data)
            order = np.argsort(groups, kind="stable")
            bounds = np.flatnonzero(np.diff(groups[order], prepend=-1, append=-1))
            for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
                listed = [self._listed(data, int(places[line]), int(places[line + 1]), line + 1) for line in order[start:stop].tolist()]
                yield self._source(listed)

    def _places(self, data: Bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where each line begins (one more for the end), and the number of its video, counted by first appearance."""
        places, groups = array("q"), array("q")
        known: dict[bytes, int] = {}
        position = len(b"\xef\xbb\xbf") if data[:3] == b"\xef\xbb\xbf" else 0
        for line in self._lines(data, position):
            if isinstance(line, int):
                position = line
                continue
            start, text = line
            places.append(start)
            key = self._key(text, len(places))
            if len(key) > _MOST_KEY:  # a hash of these many bytes: the chance that two of ten million videos share one is below 1e-22
                key = b"\xff" + hashlib.blake2b(key, digest_size=_MOST_KEY).digest()
            groups.append(known.setdefault(key, len(known)))
        places.append(position)
        return np.frombuffer(places, dtype=np.int64), np.frombuffer(groups, dtype=np.int64)

    def _lines(self, data: Bytes, start: int) -> Iterator[tuple[int, bytes] | int]:
        """Lines with their places; last of all, where the last one ends. A csv's first line is its header, and a quoted cell may hold line
        breaks. Empty lines belong to the line before."""
        is_csv, size = self._is_csv, len(data)
        is_header = is_csv
        while start < size:
            end = data.find(b"\n", start)
            end = size if end < 0 else end + 1
            while is_csv and data[start:end].count(b'"') % 2 and end < size:
                further = data.find(b"\n", end)
                end = size if further < 0 else further + 1
                if end - start > _MOST_LINE:
                    raise UsageError(f"list {self.path}: the quote that opens at byte {start} is never closed")
            text = data[start:end]
            if is_header:
                is_header = False
            elif text.strip():
                yield start, text
            start = end
        yield size

    def _key(self, text: bytes, number: int) -> bytes:
        """The video of a line, without reading the rest of it where that is plain."""
        if not self._is_csv and (match := self._plain_key(text)):
            return match[1]
        return str(self._row(text, number).get(self.format.key_column) or "").strip().encode(errors="replace")

    def _row(self, text: bytes, number: int) -> Mapping[str, Any]:
        try:
            if self._is_csv:
                cells = next(csv.reader(io.StringIO(text.decode(), newline="")), [])
                if len(cells) != len(self._header):
                    raise ValueError(f"has {len(cells)} cells, the header {len(self._header)}")
                return dict(zip(self._header, cells, strict=True))
            row = json.loads(text.decode())
            if not isinstance(row, dict):
                raise ValueError("is no JSON object")
            return row
        except (ValueError, RecursionError, csv.Error) as error:
            raise UsageError(f"list {self.path}, row {number}: {' '.join(str(error).split())[:200]}") from error

    def _listed(self, data: Bytes, start: int, end: int, number: int) -> Listed:
        row = self._row(data[start:end], number)
        try:
            return self.format.listed(row, self.list_name)
        except ValueError as error:
            raise UsageError(f"list {self.path}, row {number}: {error}") from error

    def _source(self, listed: list[Listed]) -> SourceRecord:
        key, options = listed[0].key, self.options
        requests = [request for one in listed for request in one.requests]
        requests.sort(key=lambda request: (request.start_s, request.end_s or float("inf"), request.caption or ""))
        ordered = tuple(request for place, request in enumerate(requests) if not place or request != requests[place - 1])  # once each
        if not listed[0].is_file:
            uri, extractor, external_id = options.id_url.replace("{id}", key), options.extractor, key
            return SourceRecord(source_id=source_id(uri), uri=uri, extractor=extractor, external_id=external_id, clip_requests=ordered)
        base = options.base or str(self.path.absolute().parent)
        uri = key if "://" in key or key.startswith("/") else f"{base.rstrip('/')}/{key}"
        return SourceRecord(source_id=source_id(uri), uri=uri, clip_requests=ordered)


def source_id(uri: str) -> str:
    """Identity of an input of the web: its address."""
    return hashlib.sha256(f"{uri}\0None".encode(errors="replace")).hexdigest()[:20]


class _NoClipList(UsageError):
    """The file is a list of paths, or none at all."""
