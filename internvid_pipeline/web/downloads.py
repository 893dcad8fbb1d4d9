"""Where downloads lie until their partition is committed: on this machine's disk, found again by whoever works on the item next.

A worker that is killed leaves whole files and parts here; the next one takes the entry over and goes on. An entry in use is locked; a
second worker on the same item (a twin of a worker taken for dead) gets an entry of its own.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterable
from pathlib import Path

from internvid_pipeline.storage import scratch_base

_KEPT_S = 7 * 86400.0  # what nobody asked for in a week belongs to a run that was given up


def downloads_folder(root_uri: str) -> Path:
    """The folder of a data set's downloads under way."""
    return scratch_base() / "downloads" / hashlib.sha256(root_uri.encode()).hexdigest()[:16]


class Entry:
    """One item's folder, locked by this process until `close`."""

    def __init__(self, folder: Path, handle: int) -> None:
        self.folder, self._handle = folder, handle

    def delete(self) -> None:
        """Deletes what is there: it is committed, or of no use."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.close()

    def close(self) -> None:
        """Lets others have it."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def open_entry(base: Path, source_id: str, settings: str = "") -> Entry:
    """The folder below `base` for an input as these settings ask for it, with what an earlier worker left there."""
    own = f"{_name(source_id)}-{hashlib.sha256(settings.encode()).hexdigest()[:8]}"
    name = own
    while True:
        folder = base / name
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:  # deleted between the two calls
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            name = f"{own}-{uuid.uuid4().hex[:8]}"
            continue
        with contextlib.suppress(FileNotFoundError):  # deleted by its former owner while we waited
            if os.fstat(handle).st_ino == (folder / ".lock").stat().st_ino:
                os.utime(folder)
                return Entry(folder, handle)
        os.close(handle)


def forget_downloads(base: Path, source_ids: Iterable[str]) -> None:
    """Deletes what is there of these inputs."""
    for source_id in source_ids if base.is_dir() else ():
        for folder in base.glob(f"{_name(source_id)}-*"):
            shutil.rmtree(folder, ignore_errors=True)


def _name(source_id: str) -> str:
    return hashlib.sha256(source_id.encode(errors="replace")).hexdigest()[:24]


def remove_stale(base: Path) -> None:
    """Deletes entries that nobody touched for a week."""
    with contextlib.suppress(OSError):
        for folder in base.iterdir():
            if time.time() - folder.stat().st_mtime > _KEPT_S:
                shutil.rmtree(folder, ignore_errors=True)
