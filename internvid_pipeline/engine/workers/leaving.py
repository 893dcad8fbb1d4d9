"""SIGTERM to a worker: a scheduler or a spot market takes the machine back, with half a minute's notice.

A commit that has begun is finished, if that takes no longer than `COMMIT_S`; anything else is abandoned: the stage's process is ended, its
scratch files are deleted, and this process ends itself, so that the partition is tried elsewhere. Nothing is half-written either way,
since the manifest comes last; what this saves is the work of the commit, and files that nobody would miss until the next run cleans up.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

COMMIT_S = 20.0
_commit = threading.Lock()
_leaving = threading.Event()


@contextlib.contextmanager
def committing() -> Iterator[None]:
    """Held from the first file of a result to its manifest. Who is already leaving waits here for the end: a lock alone would not do, since
    it goes to whoever asks next and not to who has waited longest."""
    with _commit:
        if not _leaving.is_set():
            yield
            return
    threading.Event().wait()


def is_leaving() -> bool:
    """True from the notice on: nothing new should be begun."""
    return _leaving.is_set()


def leave_on_sigterm(clean: Callable[[], None]) -> None:
    """Puts the handler on SIGTERM, if this is the main thread (elsewhere Python has none). clean: ends what is under way; at most
    some seconds, or the process ends without it."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda number, frame: _notice(clean))


def _notice(clean: Callable[[], None]) -> None:
    """In a thread of its own: the main one may be waiting for storage, and a handler must not take locks."""
    if not _leaving.is_set():
        _leaving.set()
        threading.Thread(target=_leave, args=(clean,), daemon=True, name="leaving").start()


def _leave(clean: Callable[[], Any]) -> None:
    _commit.acquire(timeout=COMMIT_S)  # kept: no further commit begins
    cleaner = threading.Thread(target=clean, daemon=True)
    cleaner.start()
    cleaner.join(timeout=5)
    os._exit(1)  # not an exception: an actor that ends by one is not made anew by Ray
