"""A remote file read like a local one, by Range: for taking stretches out of a video without fetching the whole."""

import io
from collections import OrderedDict
from typing import Any

from internvid_pipeline.errors import BadResponse, ConnectionFault, InternvidError
from internvid_pipeline.web.classify import by_status, translated
from internvid_pipeline.web.fetch import Target, content_range
from internvid_pipeline.web.guard import Guard

_BLOCK_BYTES = 1 << 18
_MOST_BLOCKS = 128  # 32 MB: a demuxer goes back to its index again and again
_LONGEST_RUN = 16  # blocks of one request, when reading runs on


class RangeReader(io.RawIOBase):
    """Seekable, read-only. Raises (from `read`) Deferred, Unavailable; BadResponse where the server knows no ranges."""

    def __init__(self, client: Any, guard: Guard, target: Target) -> None:
        super().__init__()
        self._client, self._guard, self._target = client, guard, target
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._position = 0
        self._run = 1
        self._last_block = -2
        self._validator = ""
        self.size = 0
        self._fetch(0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        left = self.size - self._position
        count = left if size is None or size < 0 else min(size, left)
        pieces = []
        while count > 0:
            block = self._block(self._position // _BLOCK_BYTES)
            piece = block[self._position % _BLOCK_BYTES :][:count]
            pieces.append(piece)
            self._position += len(piece)
            count -= len(piece)
        return b"".join(pieces)

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            self._fetch(number)
        self._blocks.move_to_end(number)
        return self._blocks[number]

    def _fetch(self, number: int) -> None:
        """One request for this block and, the longer reading runs on without a jump, some more behind it."""
        self._run = min(self._run * 2, _LONGEST_RUN) if number == self._last_block + 1 else 1
        start = number * _BLOCK_BYTES
        data = self._attempted(start, start + self._run * _BLOCK_BYTES - 1)
        for offset in range(0, len(data), _BLOCK_BYTES):
            self._last_block = number + offset // _BLOCK_BYTES
            self._blocks[self._last_block] = data[offset : offset + _BLOCK_BYTES]
        while len(self._blocks) > _MOST_BLOCKS:
            self._blocks.popitem(last=False)

    def _attempted(self, start: int, end: int) -> bytes:
        for attempt in range(1, self._guard.settings.attempts + 1):
            try:
                return self._request(start, end)
            except ConnectionFault:
                if attempt == self._guard.settings.attempts or self._guard.watch.verdict is not None:
                    raise
        raise AssertionError("unreachable: the loop returns or raises")

    def _request(self, start: int, end: int) -> bytes:
        from yt_dlp.networking import Request

        headers = {**self._target.headers, "Accept-Encoding": "identity", "Range": f"bytes={start}-{end}"}
        try:
            with self._client.urlopen(Request(self._target.url, headers=headers)) as response:
                if response.status != 206:
                    raise BadResponse(f"{self._target.host} knows no ranges (it answers {response.status}); take whole videos (spans_only)")
                begin, total = content_range(response.headers.get("Content-Range"), self._target.host)
                if begin != start or total is None:
                    raise BadResponse(f"{self._target.host} was asked for bytes from {start} and answered with those from {begin}")
                self._check_same(total, response.headers.get("ETag") or response.headers.get("Last-Modified") or "")
                wanted = min(end + 1, total) - start
                data: bytes = response.read(wanted)
        except InternvidError:
            raise
        except Exception as error:
            if self._guard.watch.verdict is not None:
                raise self._guard.watch.verdict from None
            status = getattr(error, "status", None)
            raise (by_status(status, self._target.host) if isinstance(status, int) else translated(error, self._target.host)) from error
        if len(data) != wanted:
            raise ConnectionFault(f"{self._target.host} sent {len(data)} of {wanted} bytes and hung up")
        return data

    def _check_same(self, total: int, validator: str) -> None:
        if self.size and (total, validator) != (self.size, self._validator):
            raise BadResponse(f"{self._target.host} gives another file by now")
        self.size, self._validator = total, validator
