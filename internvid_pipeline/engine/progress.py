"""Watching a run from outside: a thread that reads the manifests and tells an observer. Works the same for every engine."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from internvid_pipeline.engine.report import StageStatus
from internvid_pipeline.engine.status import StatusReader
from internvid_pipeline.errors import InternvidError

Observer = Callable[[list[StageStatus]], None]
_INTERVAL_S = 1.0
_LISTING_SHARE = 0.05  # a listing of many objects is slow and costs money: at most this share of the time goes into looking


@contextlib.contextmanager
def watched(reader: StatusReader, observer: Observer | None) -> Iterator[None]:
    """Calls `observer` with the statuses about once a second while the block runs, and once at its end."""
    if observer is None:
        yield
        return
    stop = threading.Event()

    def watch() -> None:
        while True:
            start = time.monotonic()
            # A root that fails to answer is the engine's to report; the next look may succeed.
            with contextlib.suppress(InternvidError, OSError):
                observer(reader.read())
            took_s = time.monotonic() - start
            if stop.wait(max(_INTERVAL_S, took_s / _LISTING_SHARE)):
                break

    thread = threading.Thread(target=watch, daemon=True, name="progress")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=10)
        with contextlib.suppress(InternvidError, OSError):
            observer(reader.read())
