"""The log of a job as it grows, over lost connections."""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Iterator

from internvid_pipeline.cluster.jobs import Job, JobServer
from internvid_pipeline.errors import SetupError

_log = logging.getLogger(__name__)
_POLL_S = 0.5
_LOST_S = 120.0  # a head that is restarted, a laptop that slept
_SETTLE_S = 20.0


class _Tail(threading.Thread):
    """One connection. In a thread of its own, so that Ctrl-C finds the main thread waiting and no event loop to leave half-way."""

    def __init__(self, server: JobServer, job_id: str) -> None:
        super().__init__(daemon=True, name="job-log")
        self.server, self.job_id = server, job_id
        self.texts: queue.Queue[str | None] = queue.Queue()

    def run(self) -> None:
        from aiohttp import ClientError

        try:
            asyncio.run(self._read())
        except (ClientError, OSError, RuntimeError) as error:  # RuntimeError: Ray's, for an answer that it did not expect
            _log.debug("the log of %s broke off (%s): the job is looked at, and its log asked for again", self.job_id, error)
        finally:
            self.texts.put(None)

    async def _read(self) -> None:
        async for text in self.server.client.tail_job_logs(self.job_id):
            self.texts.put(text)


def follow(server: JobServer, job_id: str) -> Iterator[str]:
    """Whole lines of the job's log from its beginning until it has ended. Raises SetupError where the server is gone for long."""
    seen, rest, lost_at = 0, "", None
    while True:
        tail, position = _Tail(server, job_id), 0
        tail.start()
        while (text := tail.texts.get()) is not None:  # each connection starts at the log's beginning
            fresh = text[max(0, seen - position) :]
            position += len(text)
            seen = max(seen, position)
            *lines, rest = (rest + fresh).split("\n")
            yield from lines
            lost_at = None if fresh else lost_at
        try:
            job = server.job(job_id)
        except SetupError:
            lost_at = lost_at or time.monotonic()
            if time.monotonic() - lost_at > _LOST_S:
                raise
            time.sleep(2.0)
            continue
        if not job.is_active:
            yield from [rest] if rest else []
            return
        time.sleep(_POLL_S)


def outcome(server: JobServer, job_id: str) -> Job:
    """The job when its status has caught up with its log."""
    return server.wait_until_ended(job_id, _SETTLE_S)


def exit_status_of(job: Job) -> int:
    """What `internvid launch` ends with: what the run in the job ended with; 3 where it did not get so far, or was stopped."""
    if job.status == "SUCCEEDED":
        return 0
    return job.exit_status if job.exit_status in (1, 2, 3) else 3
