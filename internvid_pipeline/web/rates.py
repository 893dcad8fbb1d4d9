"""The pace towards a host, agreed on by all workers of a machine without a server: one small locked file per host.

A file holds when the next request (and the next byte) may leave, and until when the host is to be left alone. A worker that wants to
ask takes the next free moment, writes down the one after it, lets go of the lock and sleeps until its moment comes: so the sum of all
workers keeps the rate whatever their number, and a killed worker leaves nothing locked.
"""

import contextlib
import fcntl
import hashlib
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path

from internvid_pipeline.errors import RateLimited

_STATE = struct.Struct("<4d")  # next request, next byte, blocked until, how often blocked in a row; times as time.time()
_BURST_S = 0.05  # a moment missed by less than this is made up for, since sleeping is not exact; more would be a burst
_LONGEST_RESERVED_S = 3600.0  # a clock that was set back must not stop the world


class HostPace:
    """requests_per_s, bytes_per_s: of this machine towards one host, None for no limit. backoff_s doubles up to longest_backoff_s with
    each block in a row. longest_wait_s: beyond it `wait` raises instead of sleeping."""

    def __init__(
        self,
        folder: Path,
        requests_per_s: float | None,
        bytes_per_s: float | None,
        backoff_s: float = 60.0,
        longest_backoff_s: float = 3600.0,
        longest_wait_s: float = 30.0,
    ) -> None:
        self._folder = folder
        self._requests_per_s, self._bytes_per_s = requests_per_s, bytes_per_s
        self._backoff_s, self._longest_backoff_s, self._longest_wait_s = backoff_s, longest_backoff_s, longest_wait_s

    @contextlib.contextmanager
    def _locked(self, host: str) -> Iterator[list[float]]:
        """The host's state, written back at the end."""
        self._folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256(host.lower().encode()).hexdigest()[:24]
        handle = os.open(self._folder / f"{name}.pace", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            data = os.pread(handle, _STATE.size, 0)
            state = list(_STATE.unpack(data)) if len(data) == _STATE.size else [0.0] * 4
            yield state
            os.pwrite(handle, _STATE.pack(*state), 0)
        finally:
            os.close(handle)  # which unlocks

    def wait(self, host: str) -> float:
        """Returns when the next request to `host` may leave, and gives the moment reserved for it, in seconds since the epoch. Raises
        RateLimited where that is too far off."""
        with self._locked(host) as state:
            now = time.time()
            blocked_s = self._blocked_s(state, now)
            if blocked_s > self._longest_wait_s:
                words = f"{host} asked for fewer requests; it is left alone for {blocked_s:.0f} s more"
                raise RateLimited(words).after(blocked_s).untried()
            moment = self._next(state[0], now, blocked_s)
            if moment - now > self._longest_wait_s:
                words = f"{host} has requests waiting for {moment - now:.0f} s (network.requests_per_s)"
                raise RateLimited(words).after(moment - now).untried()
            if self._requests_per_s:
                state[0] = moment + 1 / self._requests_per_s
        _sleep_until(moment)
        return moment

    def wait_bytes(self, host: str, count: int) -> None:
        """Returns when `count` bytes more may have come from `host`."""
        if not self._bytes_per_s:
            return
        with self._locked(host) as state:
            moment = self._next(state[1], time.time(), 0.0)
            state[1] = moment + count / self._bytes_per_s
        _sleep_until(moment)

    @staticmethod
    def _next(reserved: float, now: float, blocked_s: float) -> float:
        if reserved > now + _LONGEST_RESERVED_S:
            reserved = now
        return max(reserved, now - _BURST_S, now + blocked_s if blocked_s else 0.0)

    def _blocked_s(self, state: list[float], now: float) -> float:
        return min(max(0.0, state[2] - now), self._longest_backoff_s)

    def block(self, host: str, retry_after_s: float | None) -> float:
        """Leaves `host` alone, for all workers. Returns for how long. Answers that come while it is blocked already (to requests that were
        under way) do not make it longer."""
        with self._locked(host) as state:
            now = time.time()
            still_s = self._blocked_s(state, now)
            if not still_s:
                state[3] = min(state[3] + 1, 16)
            asked_s = retry_after_s if retry_after_s is not None else self._backoff_s * 2 ** (state[3] - 1)
            blocked_s = max(still_s, min(asked_s, self._longest_backoff_s)) if retry_after_s is not None or not still_s else still_s
            state[2] = now + blocked_s
        return float(blocked_s)

    def answered(self, host: str) -> None:
        """A good answer: the next block starts from the shortest again."""
        with self._locked(host) as state:
            if state[3] and not self._blocked_s(state, time.time()):
                state[3] = 0.0


def _sleep_until(moment: float) -> None:
    while (left_s := moment - time.time()) > 0:
        time.sleep(min(left_s, 10.0))
