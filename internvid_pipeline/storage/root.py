"""The data set's root: the one object through which everything is read and written."""

import contextlib
import os
import shutil
import urllib.parse
import uuid
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import fsspec

from internvid_pipeline.errors import StorageError, UnreadableMedia, UsageError, is_machine_fault
from internvid_pipeline.records import MediaRef
from internvid_pipeline.storage import layout
from internvid_pipeline.storage.scratch import owned_folder, remove_orphans, scratch_base
from internvid_pipeline.storage.stores import LocalStore, ObjectStore, Store


def _checked(path: str) -> str:
    """Paths come from manifests and tables, which may have been tampered with: none may leave the root."""
    parts = PurePosixPath(path).parts
    if path.startswith("/") or ".." in parts or "\\" in path or "\0" in path:
        raise StorageError(f"{path!r} is not a path below the data set's root")
    return path


class Root:
    """A data set's root at any fsspec URI or local folder. Building it touches nothing.

    Every method raises StorageError, in one line with the root and the path, where the store refuses; FileNotFoundError stays itself.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/") or "/"
        self.is_local = "://" not in uri or uri.startswith("file://")
        self.folder = Path(uri.removeprefix("file://")).expanduser().absolute() if self.is_local else None
        self._store: Store | None = None

    def __reduce__(self) -> tuple[type["Root"], tuple[str]]:
        # A worker may run in another working folder: a relative root must not become another place there.
        return (Root, (str(self.folder) if self.folder is not None else self.uri,))

    @property
    def store(self) -> Store:
        """The store behind, opened at first use."""
        if self._store is None:
            with self._translated("open", ""):
                self._store = LocalStore(self.folder) if self.folder is not None else ObjectStore.open(self.uri)
        return self._store

    @contextlib.contextmanager
    def _translated(self, verb: str, path: str) -> Iterator[None]:
        try:
            yield
        except StorageError:
            raise
        except FileNotFoundError as error:
            if not verb.startswith("write"):
                raise
            raise StorageError(f"cannot {verb} {path or 'the root'} in {self.uri}: no such folder or bucket") from error
        except ImportError as error:
            raise StorageError(
                f"cannot open {self.uri}: {error}; install the driver, for s3:// `pip install 'internvid-pipeline[s3]'`"
            ) from error
        except Exception as error:  # drivers raise what they like: botocore's errors (no credentials, no route) are no OSErrors
            strerror = error.strerror if isinstance(error, OSError) else None
            reason = strerror or " ".join(str(error).split()) or type(error).__name__
            raise StorageError(f"cannot {verb} {path or 'the root'} in {self.uri}: {reason}") from error

    def check_writable(self) -> None:
        """Writes and deletes a small file, so that an unwritable root is found before any work is done. Raises StorageError."""
        probe = f"{layout.STAGING}/probe-{uuid.uuid4().hex}"
        with self._translated("write to", ""):
            self.store.replace_bytes(probe, b"internvid")
            self.store.delete(probe)

    def exists(self, path: str) -> bool:
        """True where `path` is a file."""
        return self.size_bytes(path) is not None

    def size_bytes(self, path: str) -> int | None:
        """Length of a file, None where there is none."""
        with self._translated("look at", path):
            return self.store.size_bytes(_checked(path))

    def list_names(self, folder: str) -> list[str]:
        """Sorted names in a folder, empty where there is none."""
        with self._translated("list", folder):
            return self.store.list_names(_checked(folder))

    def read_bytes(self, path: str) -> bytes:
        """A whole small file. Raises FileNotFoundError."""
        with self._translated("read", path):
            return self.store.read_bytes(_checked(path))

    def replace_bytes(self, path: str, data: bytes) -> None:
        """Writes a small file that is a view and not data (`dataset.yaml`, an index): the only way to overwrite anything."""
        with self._translated("write", path):
            self.store.replace_bytes(_checked(path), data)

    def delete(self, path: str) -> None:
        """Deletes a file; a missing one is no error."""
        with self._translated("delete", path):
            self.store.delete(_checked(path))

    def put_if_absent(self, staged: Path, path: str) -> bool:
        """Moves a finished local file to `path`; False, and the file stays where it is, where that name is taken."""
        with self._translated("write", path):
            return self.store.put_if_absent(staged, _checked(path))

    def put_bytes_if_absent(self, path: str, data: bytes) -> bool:
        """As `put_if_absent`, for a few bytes."""
        with self.staging() as folder:
            staged = folder / "bytes"
            with self._translated("write", path):
                staged.write_bytes(data)
            return self.put_if_absent(staged, path)

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        """A local folder for files on their way to the root, deleted afterwards. For a local root it lies inside it, so that a finished
        file becomes data by a link and not by a copy; its name says whose it is, so that `clean_staging` can tell the orphans."""
        with self._translated("write to", ""):
            folder = owned_folder(self.folder / layout.STAGING if self.folder is not None else scratch_base())
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def clean_staging(self) -> None:
        """Deletes what processes of this machine left in the staging and scratch folders when they were killed."""
        with self._translated("clean", layout.STAGING):
            for base in (scratch_base(), *([self.folder / layout.STAGING] if self.folder is not None else [])):
                remove_orphans(base)

    def read_media(self, ref: MediaRef) -> bytes:
        """The bytes that a reference points at. Raises FileNotFoundError, StorageError; StorageError if fewer bytes are there than the
        row says."""
        offset = ref.offset_bytes or 0
        with self._translated("read", ref.uri):
            file = local_path(ref.uri)
            if file is not None:
                data = LocalStore(file.parent).read_bytes(file.name, offset, ref.size_bytes)
            elif "://" in ref.uri:
                data = ObjectStore.open(ref.uri).read_bytes("", offset, ref.size_bytes)
            else:
                data = self.store.read_bytes(_checked(ref.uri), offset, ref.size_bytes)
        if ref.size_bytes is not None and len(data) != ref.size_bytes:
            raise StorageError(f"{ref.uri} in {self.uri} is cut short: {ref.size_bytes} bytes wanted at {offset}, {len(data)} there")
        return data

    def local_file(self, ref: MediaRef, scratch: Path) -> Path:
        """A local path of a whole source file: itself where it is local, else a copy in `scratch`. Raises UnreadableMedia where there
        is no such file."""
        file = local_path(ref.uri)
        if file is not None:
            return file
        if "://" not in ref.uri:
            return self._fetched(self.store, _checked(ref.uri), scratch)
        return self._fetched(ObjectStore.open(ref.uri), "", scratch)

    def _fetched(self, store: Store, path: str, scratch: Path) -> Path:
        if isinstance(store, LocalStore):
            return store.folder / path
        target = scratch / f"fetched-{uuid.uuid4().hex}"
        try:
            store.fetch(path, target)
        except (OSError, ValueError) as error:
            if is_machine_fault(error):
                raise
            raise UnreadableMedia(f"cannot be fetched: {error}") from error
        return target


def local_path(uri: str) -> Path | None:
    """The file of this machine that an absolute path or a `file://` URI names, None for all else. In a `file://` URI bytes may be
    percent-encoded, as those of names that are not UTF-8 are."""
    if uri.startswith("file://"):
        return Path(os.fsdecode(urllib.parse.unquote_to_bytes(uri.removeprefix("file://"))))
    return Path(uri) if uri.startswith("/") else None


def check_root_uri(uri: str) -> str:
    """`uri`, if it can be the place of a data set. Raises UsageError."""
    if not uri.strip():
        raise UsageError("root is empty; give a folder or a URI such as s3://bucket/data-set")
    if "://" in uri:
        protocol = uri.split("://", 1)[0]
        if protocol not in fsspec.available_protocols():
            raise UsageError(f"root {uri!r}: {protocol}:// is not known; use a folder, s3://, gs://, hf:// or another fsspec protocol")
        return uri
    try:
        path = Path(uri).expanduser()
        is_file = path.exists() and not path.is_dir()
    except (OSError, RuntimeError) as error:  # a name that is too long; `~nobody`
        raise UsageError(f"root {uri!r} cannot be a folder: {getattr(error, 'strerror', None) or error}") from error
    if is_file:
        raise UsageError(f"root {uri!r} is a file; give a folder (it is made if it does not exist)")
    return uri
