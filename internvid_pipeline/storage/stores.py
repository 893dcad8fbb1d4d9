"""What a store is, and the store that is a local folder; `object_store` has the one that is whatever fsspec speaks.

The contract both keep (tests/contracts/test_storage.py): a name appears whole or not at all, and `put_if_absent` of the same name by
two writers succeeds once. Nothing is ever overwritten except by `replace_bytes`.
"""

import contextlib
import errno
import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from internvid_pipeline.storage import layout
from internvid_pipeline.storage.scratch import owned_folder


class Store(Protocol):
    """Files below one place. Paths are relative, with `/`, and never contain `..`."""

    def read_bytes(self, path: str, offset_bytes: int = 0, size_bytes: int | None = None) -> bytes:
        """The file, or a byte range of it. Raises FileNotFoundError."""

    def size_bytes(self, path: str) -> int | None:
        """Length of the file, None where there is none."""

    def list_names(self, folder: str) -> list[str]:
        """Sorted names of files and folders in `folder`; empty where there is none."""

    def put_if_absent(self, staged: Path, path: str) -> bool:
        """Moves a finished local file to `path`; False, and the file stays where it is, where that name is taken."""

    def replace_bytes(self, path: str, data: bytes) -> None:
        """Writes a small file whole, over an older one if there is one."""

    def delete(self, path: str) -> None:
        """Deletes one file; a missing one is no error."""

    def fetch(self, path: str, target: Path) -> None:
        """Copies the file to a local path."""

    def keeps_conditions(self, probe: str) -> bool:
        """True where `put_if_absent` is one step of the store's own; `probe` is a free name to try it with."""


def _fsync_folder(folder: Path) -> None:
    """A name is durable only when its folder is: without this a power cut can undo a rename that a manifest relies on."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class LocalStore:
    """A folder of this machine or of a network file system."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read_bytes(self, path: str, offset_bytes: int = 0, size_bytes: int | None = None) -> bytes:
        try:
            with open(self.folder / path, "rb") as file:
                file.seek(offset_bytes)
                return file.read(-1 if size_bytes is None else size_bytes)
        except NotADirectoryError as error:  # an object store does not tell a path below a file from any other that is not there
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error

    def size_bytes(self, path: str) -> int | None:
        try:
            found = (self.folder / path).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return None if stat.S_ISDIR(found.st_mode) else found.st_size

    def list_names(self, folder: str) -> list[str]:
        try:
            return sorted(os.listdir(self.folder / folder))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def put_if_absent(self, staged: Path, path: str) -> bool:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(staged, "rb") as file:
            os.fsync(file.fileno())
        try:
            is_first = self._link(staged, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            with self._temporary(target) as near:  # the scratch folder is on another file system
                shutil.copyfile(staged, near)
                with open(near, "rb") as file:
                    os.fsync(file.fileno())
                is_first = self._link(near, target)
        if is_first:
            staged.unlink(missing_ok=True)
            _fsync_folder(target.parent)
        return is_first

    @staticmethod
    def _link(source: Path, target: Path) -> bool:
        """`os.link` is the one call that both names a finished file and refuses to replace one: with `rename` a worker that was
        taken for dead would overwrite the result of the one that replaced it."""
        try:
            os.link(source, target)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK):
                raise
            # No hard links here (exFAT, some FUSE mounts): look, then rename. Two writers within this instant could both succeed.
            if target.exists():
                return False
            os.replace(source, target)
        return True

    @contextlib.contextmanager
    def _temporary(self, target: Path) -> Iterator[Path]:
        """A name on the target's file system for a file that is being written. It lies in the root's staging folder, where
        `Root.clean_staging` finds what a killed process left; beside the target only where that is another file system."""
        folder = owned_folder(self.folder / layout.STAGING)
        try:
            is_near = folder.stat().st_dev == target.parent.stat().st_dev
            name = folder / "file" if is_near else target.parent / f".{target.name[:100]}.{uuid.uuid4().hex}.tmp"
            try:
                yield name
            finally:
                name.unlink(missing_ok=True)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def replace_bytes(self, path: str, data: bytes) -> None:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._temporary(target) as temporary:
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)

    def delete(self, path: str) -> None:
        (self.folder / path).unlink(missing_ok=True)

    def fetch(self, path: str, target: Path) -> None:
        shutil.copyfile(self.folder / path, target)

    def keeps_conditions(self, probe: str) -> bool:
        del probe
        return True
