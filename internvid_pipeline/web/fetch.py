"""One URL into one file, resumed by Range after whatever interrupts it: a cut connection, a server's pause, our own death.

A part already there is trusted only as far as the server vouches for it: with a strong ETag or a date (If-Range) the rest is appended;
without, the last bytes are fetched again and compared, and where they differ the file is fetched anew.
"""

import json
import time
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from internvid_pipeline.errors import BadResponse, ConnectionFault, InternvidError, ServerFault
from internvid_pipeline.web.classify import translated
from internvid_pipeline.web.guard import Guard

_BLOCK_BYTES = 1 << 16  # what a killed worker loses at most
_OVERLAP_BYTES = 4096
_HEAD_BYTES = 1024
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 8.0


@dataclass(frozen=True)
class Target:
    """What to fetch. headers: that the site's extractor asks for. chunk_bytes: fetch in ranges of this size, as servers that slow down
    long answers want it; 0: in one."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    chunk_bytes: int = 0

    @property
    def host(self) -> str:
        """Name of the server, for messages."""
        return (urllib.parse.urlsplit(self.url).hostname or self.url[:40]).lower()


@dataclass
class _Part:
    """What lies in the part file. total: bytes of the whole, None where the server does not say."""

    validator: str = ""
    total: int | None = None
    url: str = ""


def fetch_file(client: Any, guard: Guard, target: Target, path: Path, look_at: Callable[[bytes, str], None] | None = None) -> int:
    """Fetches `target` to `path` and returns its size. `path` exists only when it is whole; until then its bytes lie in `<path>.part`, from
    which a later call goes on. look_at(first bytes, content type) may raise before the rest is fetched.

    Raises Deferred where another try later may succeed, Unavailable where not, OSError where the disk is at fault.
    """
    if path.exists():
        return path.stat().st_size
    job = _Job(client, guard, target, path, look_at)
    barren = 0
    while True:
        before = job.size
        try:
            if job.run_once():
                return job.finish()
            fault: InternvidError = ConnectionFault(f"{target.host} sent {job.size} of {job.part.total} bytes and hung up")
        except (ConnectionFault, ServerFault) as error:
            fault = error
        finally:
            job.close()
        if guard.watch.verdict is not None:
            raise guard.watch.verdict
        barren = 0 if job.size > before else barren + 1
        if barren >= guard.settings.attempts:
            raise fault
        time.sleep(min(_FIRST_PAUSE_S * 2**barren, _LONGEST_PAUSE_S))


class _Job:
    def __init__(self, client: Any, guard: Guard, target: Target, path: Path, look_at: Callable[[bytes, str], None] | None) -> None:
        self._client, self._guard, self._target, self._path, self._look_at = client, guard, target, path, look_at
        self._part_file = path.with_name(path.name + ".part")
        self._state_file = path.with_name(path.name + ".part.json")
        self._response: Any = None
        self.part = self._read_state()

    @property
    def size(self) -> int:
        """Bytes in the part file."""
        return self._part_file.stat().st_size if self._part_file.exists() else 0

    def _read_state(self) -> _Part:
        try:
            return _Part(**json.loads(self._state_file.read_text()))
        except (OSError, ValueError, TypeError):
            self._part_file.unlink(missing_ok=True)  # without its description it could be of any file
            return _Part()

    def close(self) -> None:
        """Ends the connection."""
        if self._response is not None:
            self._response.close()
            self._response = None

    def finish(self) -> int:
        """Gives the whole file its name."""
        size = self.size
        self._part_file.replace(self._path)
        self._state_file.unlink(missing_ok=True)
        return size

    def run_once(self) -> bool:
        """One request (or one range of it). True when the file is whole. Raises InternvidError, OSError."""
        start = self.size
        if self.part.total is not None and start == self.part.total and start:
            return True
        overlap = 0 if not start or self.part.validator else min(start, _OVERLAP_BYTES)
        try:
            self._response = self._client.urlopen(self._request(start - overlap, bool(start)))
        except InternvidError:
            raise
        except Exception as error:  # noqa: BLE001 - yt-dlp's errors have no common base but this; each becomes one of ours
            return self._refused(error, start)
        self._guard.watch.page_bytes = None
        try:
            return self._take(start, overlap)
        finally:
            self._guard.watch.page_bytes = int(self._guard.settings.max_page_mb * 1e6)

    def _refused(self, error: Exception, start: int) -> bool:
        if self._guard.watch.verdict is not None:
            raise self._guard.watch.verdict from None
        if getattr(error, "status", None) == 416 and start:
            if self.part.total is None:
                self._restart()  # what is there may be the whole, or of another file: only fetching it tells
                return False
            self._restart()
            raise ConnectionFault(f"{self._target.host} does not know the range from byte {start}")
        raise translated(error, self._target.host) from error

    def _request(self, start: int, resumes: bool) -> Any:
        from yt_dlp.networking import Request

        headers = {**self._target.headers, "Accept-Encoding": "identity"}
        end = start + self._target.chunk_bytes - 1 if self._target.chunk_bytes else None
        if start or end is not None:
            headers["Range"] = f"bytes={start}-{end if end is not None else ''}"
        if resumes and start and self.part.validator:
            headers["If-Range"] = self.part.validator
        return Request(self._target.url, headers=headers)

    def _take(self, start: int, overlap: int) -> bool:
        """Reads the answer's body into the part file."""
        response = self._response
        if response.headers.get("Content-Encoding", "identity").lower() not in ("", "identity"):
            raise BadResponse(f"{self._target.host} packs the file, though it was asked not to")
        if response.status == 206:
            begin, total = content_range(response.headers.get("Content-Range"), self._target.host)
            if begin != start - overlap:
                raise BadResponse(f"{self._target.host} was asked for bytes from {start - overlap} and answered with those from {begin}")
            if self.part.total is not None and total is not None and total != self.part.total:
                self._restart()  # another file by now
                return False
            length = _number(response.headers.get("Content-Length"))
        else:
            if start:
                self._restart()  # it sends the whole: no ranges here, or the file has changed
            start = overlap = 0
            length = total = _number(response.headers.get("Content-Length"))
        self._describe(total if total is not None else self.part.total)
        if overlap and not self._same_end(overlap):
            self._restart()
            return False
        return self._copy(start, length if length is None else length - overlap)

    def _same_end(self, overlap: int) -> bool:
        with open(self._part_file, "rb") as file:
            file.seek(-overlap, 2)
            return file.read() == self._read(overlap)

    def _read(self, count: int) -> bytes:
        try:
            data: bytes = self._response.read(count)
            return data
        except InternvidError:
            raise
        except Exception as error:
            if self._guard.watch.verdict is not None:
                raise self._guard.watch.verdict from None
            raise translated(error, self._target.host) from error

    def _copy(self, start: int, length: int | None) -> bool:
        content_type = self._response.headers.get("Content-Type") or ""
        got = 0
        with open(self._part_file, "ab") as file:
            while length is None or got < length:
                block = self._read(_HEAD_BYTES if not start and not got else _BLOCK_BYTES)
                if not block:
                    break
                if not start and not got and self._look_at is not None:
                    self._look_at(block, content_type)
                file.write(block)
                file.flush()
                got += len(block)
        if length is None and self.part.total is None:
            return True  # the end of the answer is all that tells the end of the file
        return self.part.total is not None and start + got == self.part.total

    def _describe(self, total: int | None) -> None:
        """Written before the bytes: without it a part is worth nothing."""
        headers = self._response.headers
        tag = headers.get("ETag") or ""
        validator = tag if tag and not tag.startswith("W/") else ""
        described = _Part(validator or headers.get("Last-Modified") or "", total, self._target.url)
        if described != self.part or not self._state_file.exists():
            self.part = described
            self._state_file.write_text(json.dumps(asdict(described)))

    def _restart(self) -> None:
        self._part_file.unlink(missing_ok=True)
        self._state_file.unlink(missing_ok=True)
        self.part = _Part()


def _number(text: str | None) -> int | None:
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def content_range(text: str | None, host: str) -> tuple[int, int | None]:
    """First byte and length of the whole, from `bytes 5-9/10`. Raises BadResponse."""
    unit, _, rest = (text or "").strip().partition(" ")
    span, _, total = rest.partition("/")
    begin = _number(span.partition("-")[0])
    if unit.lower() != "bytes" or begin is None:
        raise BadResponse(f"{host} answers 206 with Content-Range {text!r}, which is no range of bytes")
    return begin, _number(total)


def refuse_what_is_no_media(head: bytes, content_type: str) -> None:
    """Raises NotMedia for a page or a text. What it is exactly is found out by the decoder, in a process that may die."""
    start = head[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    kind = content_type.partition(";")[0].strip().lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body", b"<?xml")) or kind in ("text/html", "application/xhtml+xml"):
        raise NotMedia(f"is a page ({kind or 'text/html'}) and no video")
    if start.startswith((b"#extm3u", b"{", b"[")) or kind in ("application/json", "application/vnd.apple.mpegurl"):
        raise NotMedia(f"is {kind or 'text'} and no video")


class NotMedia(BadResponse):
    """The answer is a page or a text: an extractor may find a video in it."""
