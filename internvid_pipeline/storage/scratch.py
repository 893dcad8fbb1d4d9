"""Local folders that belong to one process. Their names say whose they are, so that what a killed process left can be told from what
a living one is using."""

import os
import re
import shutil
import socket
import tempfile
import uuid
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


def remove_orphans(base: Path) -> None:
    """Deletes the folders below `base` whose process ran on this machine and is gone."""
    if not base.is_dir():
        return
    for folder in base.iterdir():
        match = _OWNED.fullmatch(folder.name)
        if match and match["host"] == socket.gethostname() and not _is_alive(int(match["pid"])):
            shutil.rmtree(folder, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    """False also for a process that has ended and was not waited for: in a container without an init, such ones stay."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
