"""Two kinds of store behind one small interface: a local folder and whatever fsspec speaks (`s3://`, `gs://`, `memory://`, …).

The contract both keep (tests/contracts/test_storage.py): a name appears whole or not at all, and `put_if_absent` of the same name by
two writers succeeds once. Nothing is ever overwritten except by `replace_bytes`.
"""

import contextlib
import errno
import os
import shutil
import uuid
from pathlib import Path
from typing import Any, Protocol

import fsspec


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
        with open(self.folder / path, "rb") as file:
            file.seek(offset_bytes)
            return file.read(-1 if size_bytes is None else size_bytes)

    def size_bytes(self, path: str) -> int | None:
        try:
            return (self.folder / path).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def list_names(self, folder: str) -> list[str]:
        try:
            return sorted(os.listdir(self.folder / folder))
        except FileNotFoundError:
            return []

    def put_if_absent(self, staged: Path, path: str) -> bool:
        """`os.link` is the one call that both names a finished file and refuses to replace one: with `rename` a worker that was
        taken for dead would overwrite the result of the one that replaced it."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(staged, "rb") as file:
            os.fsync(file.fileno())
        source = staged if staged.stat().st_dev == target.parent.stat().st_dev else self._copy_beside(staged, target)
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
        finally:
            if source is not staged:
                source.unlink(missing_ok=True)
        staged.unlink(missing_ok=True)
        _fsync_folder(target.parent)
        return True

    @staticmethod
    def _copy_beside(staged: Path, target: Path) -> Path:
        beside = target.parent / f".{target.name}.{uuid.uuid4().hex}.tmp"
        try:
            with open(staged, "rb") as reader, open(beside, "wb") as writer:
                shutil.copyfileobj(reader, writer, 2**20)
                writer.flush()
                os.fsync(writer.fileno())
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        return beside

    def replace_bytes(self, path: str, data: bytes) -> None:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.parent / f".{target.name}.{uuid.uuid4().hex}.tmp"
        try:
            with open(beside, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, target)
        finally:
            beside.unlink(missing_ok=True)

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
