"""Requests to a server that speaks OpenAI's chat completions: many in flight, each with its own answer, repeated where it may help.

Threads and the standard library's HTTP client: a request costs a millisecond and an answer takes seconds, so nothing faster is needed. A
connection carries one request at a time and is closed after any fault, so that a late answer never meets another question.
"""

import heapq
import itertools
import os
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from internvid_pipeline.config.presets import EndpointConfig, ModelPreset
from internvid_pipeline.errors import ContractError, InternvidError, ModelError, SetupError, StorageError
from internvid_pipeline.models.http_post import Connection, Fault, Reply
from internvid_pipeline.storage import redacted

_FIRST_WAIT_S, _MOST_WAIT_S = 0.1, 30.0
_BUSY = frozenset({408, 409, 425, 429})  # the server is well and asks for time: no mark against the request
_OUR_FAULT = frozenset({401, 403, 404})  # wrong key, wrong model: it would be so for every request


@dataclass
class _Job:
    number: int  # in the order of asking
    body: bytes
    answer: Future[dict[str, Any]] = field(default_factory=Future)
    attempts: int = 0  # that the server failed
    tries: int = 0
    failing_since_s: float | None = None


class ChatEndpoint:
    """The requests of one worker to one server. Threads start with the first request."""

    def __init__(self, config: EndpointConfig) -> None:
        """Raises SetupError where the environment lacks the key."""
        self.config = config
        key = os.environ.get(config.api_key_variable, "") if config.api_key_variable else ""
        if config.api_key_variable and not key:
            raise SetupError(f"endpoint {config.url} needs its key in the environment variable {config.api_key_variable}, which is not set")
        self._headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        self._changed = threading.Condition()
        # To be sent now, the oldest first: answers are taken in the order of asking, and whoever waits for the oldest asks for no more.
        self._ready: list[tuple[int, _Job]] = []
        self._later: list[tuple[float, int, _Job]] = []  # by the time from which on it may be sent again
        self._numbers = itertools.count()
        self._next_slot_s = 0.0
        self._last_success_s: float | None = None
        self._is_closed = False
        self._threads: list[threading.Thread] = []

    def submit(self, body: bytes) -> "Future[dict[str, Any]]":
        """Sends a request when its turn comes. The future gives the server's JSON object, or raises ModelError (the request is refused, or
        the server fails on it and on no other), SetupError (wrong key or model), StorageError (the server does not answer)."""
        with self._changed:
            if self._is_closed:
                raise StorageError(f"endpoint {self.config.url} is closed")
            job = _Job(next(self._numbers), body)
            heapq.heappush(self._ready, (job.number, job))
            if len(self._threads) < self.config.max_in_flight:
                thread = threading.Thread(target=self._work, daemon=True, name=f"chat-{len(self._threads)}")
                self._threads.append(thread)
                thread.start()
            self._changed.notify()
        return job.answer

    def close(self) -> None:
        """Ends the threads; what has not been answered never will be."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _work(self) -> None:
        connection = Connection(self.config.url, self.config.timeout_s, self._headers)
        while (job := self._take()) is not None:
            try:
                reply = connection.post("/chat/completions", job.body)
                self._settle(job, reply)
            except Fault as fault:
                connection.close()
                self._failed(job, str(fault), connection)
            except Exception as error:  # noqa: BLE001 - a thread that dies silently would leave its clip waiting for ever
                job.answer.set_exception(ModelError(f"endpoint {self.config.url}: {type(error).__name__}: {error}"))
        connection.close()

    def _take(self) -> _Job | None:
        """The next request that may be sent, None when there will be none."""
        with self._changed:
            while not self._is_closed:
                now = time.monotonic()
                while self._later and self._later[0][0] <= now:
                    _, number, job = heapq.heappop(self._later)
                    heapq.heappush(self._ready, (number, job))
                due = self._next_slot_s if self._ready else self._later[0][0] if self._later else None
                if due is None or due > now:
                    self._changed.wait(None if due is None else due - now)
                    continue
                if self.config.requests_per_s:
                    self._next_slot_s = max(self._next_slot_s, now) + 1 / self.config.requests_per_s
                job = heapq.heappop(self._ready)[1]
                if self._ready or self._later:  # whoever watched the clock for the next one may have been woken for this one
                    self._changed.notify()
                return job
        return None

    def _settle(self, job: _Job, reply: Reply) -> None:
        url = self.config.url
        if reply.status == 200:
            found = reply.json()
            self._last_success_s = time.monotonic()
            job.answer.set_result(found)
        elif reply.status in _BUSY:
            self._again(job, f"status {reply.status}: {reply.words()}", reply.retry_after_s)
        elif reply.status in _OUR_FAULT:
            job.answer.set_exception(SetupError(redacted(f"endpoint {url} refuses all requests, status {reply.status}: {reply.words()}")))
        elif reply.status < 500:
            job.answer.set_exception(ModelError(redacted(f"endpoint {url} refuses the request, status {reply.status}: {reply.words()}")))
        else:
            raise Fault(f"status {reply.status}: {reply.words()}")

    def _failed(self, job: _Job, why: str, connection: Connection) -> None:
        """The server failed: the request's own fault where the server is well otherwise."""
        job.attempts += 1
        if job.attempts >= self.config.attempts and self._last_success_s is not None and self._is_well(job, connection):
            message = f"endpoint {self.config.url} failed {job.attempts} times on this request, and on no other: {why}"
            job.answer.set_exception(ModelError(redacted(message)))
            return
        self._again(job, why, None)

    def _is_well(self, job: _Job, connection: Connection) -> bool:
        if job.failing_since_s is not None and (self._last_success_s or 0.0) > job.failing_since_s:
            return True
        try:
            return connection.get("/models").status < 500
        except Fault:
            return False

    def _again(self, job: _Job, why: str, wait_s: float | None) -> None:
        """Puts a request back, to be sent after a random wait that grows, or that the server asked for."""
        now = time.monotonic()
        job.failing_since_s = now if job.failing_since_s is None else job.failing_since_s
        silent_s = now - max(job.failing_since_s, self._last_success_s or 0.0)
        if silent_s > self.config.patience_s:
            message = f"endpoint {self.config.url} has given no answer for {silent_s:.0f} s: {why}"
            job.answer.set_exception(StorageError(redacted(message)))
            return
        backoff_s = random.uniform(0.5, 1.0) * min(_MOST_WAIT_S, _FIRST_WAIT_S * 2**job.tries)
        job.tries += wait_s is None
        with self._changed:
            heapq.heappush(self._later, (now + (backoff_s if wait_s is None else wait_s), job.number, job))
            self._changed.notify()


class EndpointModel:
    """What models behind a server have in common. Temperature 0; whether the server then always says the same is up to it."""

    is_stand_in = False

    def __init__(self, preset: ModelPreset) -> None:
        """Touches no network. Raises SetupError where the environment lacks the server's key."""
        if preset.endpoint is None:
            raise ContractError(f"model {preset.name!r} has no endpoint")
        self.name = preset.published_name
        self.commit = preset.published_commit
        self._preset = preset
        self._endpoint = ChatEndpoint(preset.endpoint)


def outcome_of(answer: "Future[dict[str, Any]]", read: Callable[[dict[str, Any]], Any]) -> Any:
    """`read` of the server's JSON, or the item's own error; what is no item's fault is raised."""
    try:
        return read(answer.result())
    except (StorageError, SetupError):
        raise
    except InternvidError as error:
        return error
