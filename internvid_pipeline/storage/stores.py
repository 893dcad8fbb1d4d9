"""Two kinds of store behind one small interface: a local folder and whatever fsspec speaks (`s3://`, `gs://`, `memory://`, …).

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
from typing import Any, Protocol

import fsspec

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


class ObjectStore:
    """Anything fsspec speaks. Conditional put (`If-None-Match: *`) where the file system's driver has it (s3fs); elsewhere the driver
    looks first and then writes, and two writers within that instant could both succeed."""

    def __init__(self, filesystem: Any, base: str) -> None:
        self.filesystem = filesystem
        self.base = base.rstrip("/")

    @classmethod
    def open(cls, uri: str) -> "ObjectStore":
        """The store at an fsspec URI. Listings are never cached: other workers write behind our back."""
        filesystem, base = fsspec.core.url_to_fs(uri, use_listings_cache=False)
        return cls(filesystem, base)

    def _full(self, path: str) -> str:
        return f"{self.base}/{path}" if path else self.base

    def read_bytes(self, path: str, offset_bytes: int = 0, size_bytes: int | None = None) -> bytes:
        if size_bytes == 0:  # HTTP has no empty range: `bytes=5-4` is ignored and the whole object comes back
            self.filesystem.info(self._full(path))
            return b""
        end = None if size_bytes is None else offset_bytes + size_bytes
        data: bytes = self.filesystem.cat_file(self._full(path), start=offset_bytes or None, end=end)
        return data

    def size_bytes(self, path: str) -> int | None:
        try:
            info = self.filesystem.info(self._full(path))
        except FileNotFoundError:
            return None
        return int(info["size"]) if info["type"] == "file" else None

    def list_names(self, folder: str) -> list[str]:
        try:
            found = self.filesystem.ls(self._full(folder), detail=False, refresh=True)
        except FileNotFoundError:
            return []
        except TypeError:  # drivers without `refresh` do not cache
            found = self.filesystem.ls(self._full(folder), detail=False)
        own = self._full(folder).strip("/")
        return sorted(name.rstrip("/").rsplit("/", 1)[-1] for name in found if name.strip("/") != own)

    def put_if_absent(self, staged: Path, path: str) -> bool:
        """Objects appear whole when their upload ends. A lost race shows as FileExistsError (412 by the store)."""
        try:
            if staged.stat().st_size == 0 or not hasattr(self.filesystem, "call_s3"):
                self.filesystem.pipe_file(self._full(path), staged.read_bytes(), mode="create")
            else:
                self.filesystem.put_file(str(staged), self._full(path), mode="create")
        except FileExistsError:
            return False
        staged.unlink(missing_ok=True)
        return True

    def replace_bytes(self, path: str, data: bytes) -> None:
        self.filesystem.pipe_file(self._full(path), data)

    def delete(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.filesystem.rm_file(self._full(path))

    def fetch(self, path: str, target: Path) -> None:
        self.filesystem.get_file(self._full(path), str(target))
