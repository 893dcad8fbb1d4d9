"""One item's connections under guard: checked addresses, counted bytes and seconds, paced hosts.

`Watch` belongs to one item; it is handed to the connections through `Guard`, which every request of a worker's thread goes through.
The first limit that is hit stays: whatever yt-dlp makes of the exception (it tries again after most), nothing more is fetched for
the item, and the caller raises `watch.verdict`.
"""

import http.client
import io
import socket
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from internvid_pipeline.errors import BadResponse, ConnectionFault, Deferred, DownloadLimit, InternvidError, RateLimited
from internvid_pipeline.web.addresses import AddressPolicy
from internvid_pipeline.web.rates import HostPace
from internvid_pipeline.web.settings import NetworkSettings

SLOW_WINDOW_S = 30.0
_MOST_REQUESTS = 5000  # of one item: a playlist of fragments may have some thousands
_BUSY = (429, 503)


class Watch:
    """What one item may still take. page_bytes: bound of one answer while no media is being downloaded, None while it is."""

    def __init__(self, settings: NetworkSettings) -> None:
        self._settings = settings
        self.deadline = time.monotonic() + settings.item_limit_s
        self.bytes_left = int(settings.max_mb * 1e6)
        self.page_bytes: int | None = int(settings.max_page_mb * 1e6)
        self.requests = 0
        self.verdict: InternvidError | None = None

    def refuse(self, error: InternvidError) -> InternvidError:
        """Keeps the first verdict, and returns it to be raised."""
        self.verdict = self.verdict or error
        return self.verdict

    def check(self) -> None:
        """Raises the verdict, DownloadLimit past the deadline."""
        if self.verdict is not None:
            raise self.verdict
        if time.monotonic() > self.deadline:
            raise self.refuse(DownloadLimit(f"took longer than {self._settings.item_limit_s:g} s (network.item_limit_s)"))

    def ask(self) -> None:
        """Before each request."""
        self.check()
        self.requests += 1
        if self.requests > _MOST_REQUESTS:
            raise self.refuse(DownloadLimit(f"needs more than {_MOST_REQUESTS} requests"))

    def take(self, count: int) -> None:
        """Counts bytes that came in. Raises DownloadLimit."""
        self.bytes_left -= count
        if self.bytes_left < 0:
            raise self.refuse(DownloadLimit(f"is larger than {self._settings.max_mb:g} MB (network.max_mb)"))


@dataclass
class _Speed:
    """Bytes of the running window."""

    started: float
    count: int = 0


class _WatchedRaw(io.RawIOBase):
    """A connection's incoming bytes. Below `http.client`'s buffer, so that slow headers and slow drips are met as well as bodies."""

    def __init__(self, raw: io.RawIOBase, guard: "Guard", host: str) -> None:
        self._raw, self._guard, self._host = raw, guard, host
        self._speed = _Speed(time.monotonic())
        self._answer_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        watch = self._guard.watch
        watch.check()
        count = self._raw.readinto(buffer)
        if count:
            watch.take(count)
            self._answer_bytes += count
            if watch.page_bytes is not None and self._answer_bytes > watch.page_bytes:
                raise watch.refuse(DownloadLimit(f"an answer of {self._host} is larger than {watch.page_bytes / 1e6:g} MB (max_page_mb)"))
            self._check_speed(count)
            self._guard.pace.wait_bytes(self._host, count)
        return count

    def _check_speed(self, count: int) -> None:
        slowest, speed, now = self._guard.settings.slowest_kb_per_s * 1000, self._speed, time.monotonic()
        speed.count += count
        if now - speed.started < self._guard.slow_window_s:
            return
        if speed.count < slowest * (now - speed.started):
            rate = speed.count / (now - speed.started)
            raise self._guard.watch.refuse(
                ConnectionFault(f"{self._host} sends {rate:.0f} bytes a second, less than slowest_kb_per_s allows")
            )
        self._speed = _Speed(now)

    def close(self) -> None:
        self._raw.close()
        super().close()


class Guard:
    """What all connections of one worker's thread share. `watch` is replaced for each item. slow_window_s: what a body's speed
    is reckoned over."""

    def __init__(self, settings: NetworkSettings, policy: AddressPolicy, pace: HostPace, slow_window_s: float = SLOW_WINDOW_S) -> None:
        self.settings, self.policy, self.pace, self.slow_window_s = settings, policy, pace, slow_window_s
        self.watch = Watch(settings)

    def new_item(self) -> Watch:
        """A fresh watch for the next item."""
        self.watch = Watch(self.settings)
        return self.watch

    def _connect(self, address: tuple[str, int], timeout: Any = None, source_address: Any = None) -> socket.socket:
        del source_address
        timeout_s = float(timeout) if isinstance(timeout, (int, float)) else self.settings.timeout_s
        if self.settings.proxy:  # whom the user trusts to decide; it usually lies in a private network
            return socket.create_connection(address, timeout_s)
        try:
            return self.policy.connect(address[0], address[1], timeout_s)
        except InternvidError as error:
            raise self.watch.refuse(error) from None

    def dress(self, connection: http.client.HTTPConnection) -> http.client.HTTPConnection:
        """Makes an HTTP connection connect and read through this guard."""
        host = connection.host
        guard = self

        class WatchedResponse(http.client.HTTPResponse):
            def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
                super().__init__(sock, *args, **kwargs)
                raw = self.fp.detach()
                self.fp = io.BufferedReader(_WatchedRaw(raw, guard, host))

        connection._create_connection = self._connect  # type: ignore[attr-defined]
        connection.response_class = WatchedResponse
        return connection

    def send(self, host: str, send: Callable[[], Any]) -> Any:
        """One request, redirects not included: paced before, and the host left alone after a 429."""
        self.watch.ask()
        try:
            self.pace.wait(host)
        except Deferred as error:
            raise self.watch.refuse(error) from None
        response = send()
        asked_s = retry_after_s(response.headers.get("Retry-After"))
        if response.status == 429 or (response.status in _BUSY and asked_s is not None):
            blocked_s = self.pace.block(host, asked_s)
            raise self.watch.refuse(RateLimited(f"HTTP {response.status} from {host}: asked for fewer requests").after(blocked_s))
        if response.status < 400:
            self.pace.answered(host)
        return response


def retry_after_s(text: str | None) -> float | None:
    """Seconds of a Retry-After header, which may be a number or a date; None where it is neither."""
    if not text:
        return None
    if text.strip().isascii() and text.strip().isdigit():
        return float(text.strip()[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def bounded_inflate(data: bytes, wbits: int, most_bytes: int) -> bytes:
    """zlib's answer, not above `most_bytes`: a megabyte of zeros packed can unfold to a gigabyte. Raises BadResponse, zlib.error."""
    engine = zlib.decompressobj(wbits)
    found = engine.decompress(data, most_bytes + 1)
    if len(found) > most_bytes:
        raise BadResponse(f"a compressed answer unfolds to more than {most_bytes / 1e6:g} MB (network.max_page_mb)")
    return found
