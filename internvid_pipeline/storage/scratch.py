"""Local folders that belong to one process. Their names say whose they are, so that what a killed process left can be told from what
a living one is using."""

import contextlib
import os
import re
import shutil
import socket
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil

_OWNED = re.compile(r"(?P<host>.+)-(?P<pid>\d+)-[0-9a-f]{8}")


def scratch_base() -> Path:
    """Folder of all scratch folders of this user, below the system's temporary folder (`TMPDIR` moves it)."""
    return Path(tempfile.gettempdir()) / f"internvid-{os.getuid()}"


def owned_folder(base: Path) -> Path:
    """A new folder of this process's own below `base`. Raises OSError."""
    folder = base / f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    folder.mkdir(parents=True, mode=0o700)
    return folder


@contextlib.contextmanager
def owned_scratch() -> Iterator[Path]:
    """A scratch folder of this process's own, deleted at the end. Raises OSError."""
    folder = owned_folder(scratch_base())
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_orphans(base: Path) -> None:
    """Deletes the folders below `base` whose process ran on this machine and is gone."""
    for folder, is_orphan in owned_folders(base):
        if is_orphan:
            shutil.rmtree(folder, ignore_errors=True)


def owned_folders(base: Path) -> list[tuple[Path, bool | None]]:
    """Folders below `base` that belong to processes, and whether theirs has ended; None where it ran on another machine."""
    found: list[tuple[Path, bool | None]] = []
    for folder in base.iterdir() if base.is_dir() else ():
        match = _OWNED.fullmatch(folder.name)
        if match:
            found.append((folder, None if match["host"] != socket.gethostname() else not _is_alive(int(match["pid"]))))
    return found


def remove_own(base: Path) -> None:
    """Deletes this process's own folders below `base`: for one that has to go at once."""
    for folder in base.glob(f"{socket.gethostname()}-{os.getpid()}-*"):
        shutil.rmtree(folder, ignore_errors=True)


def held_bytes(base: Path) -> int:
    """Bytes of all files below `base`; what disappears while it is counted counts nothing."""
    total = 0
    for parent, _, names in os.walk(base):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(parent, name)).st_size
    return total


def scratch_bound_bytes(scratch_mb: int | None) -> int:
    """Most bytes of scratch on this machine: what was asked for, or what leaves a twentieth of the disk free."""
    if scratch_mb is not None:
        return scratch_mb * 10**6
    base = scratch_base()
    base.mkdir(parents=True, exist_ok=True)
    disk = shutil.disk_usage(base)
    return max(0, disk.free + held_bytes(base) - disk.total // 20)


def _is_alive(pid: int) -> bool:
    """False also for a process that has ended and was not waited for: in a container without an init, such ones stay."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
