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
from internvid_pipeline.storage.object_store import ObjectStore
from internvid_pipeline.storage.scratch import owned_folder, remove_orphans, remove_own, scratch_base
from internvid_pipeline.storage.secrets import check_no_credentials, redacted
from internvid_pipeline.storage.stores import LocalStore, Store

_CUT_OUT_BYTES = 1 << 24  # read at a time from a tar


def checked_path(path: str) -> str:
    """`path`, if it stays below the root; raises StorageError. Paths come from manifests and tables, which may have been tampered with."""
    parts = PurePosixPath(path).parts
    if path.startswith("/") or ".." in parts or "\\" in path or "\0" in path:
        raise StorageError(f"{path!r} is not a path below the data set's root")
    return path


class Root:
    """A data set's root at any fsspec URI or local folder. Building it touches nothing.

    is_conditional: the store can refuse to put a name twice; `check_writable` finds out, and workers are told with the root.
    Every method raises StorageError, in one line with the root and the path, where the store refuses; FileNotFoundError stays itself.
    """

    def __init__(self, uri: str, is_conditional: bool = True) -> None:
        self.uri = uri.rstrip("/") or "/"
        self.is_conditional = is_conditional
        self.is_local = "://" not in uri or uri.startswith("file://")
        self.folder = Path(uri.removeprefix("file://")).expanduser().absolute() if self.is_local else None
        self._store: Store | None = None

    def __reduce__(self) -> tuple[type["Root"], tuple[str, bool]]:
        # A worker may run in another working folder: a relative root must not become another place there.
        return (Root, (str(self.folder) if self.folder is not None else self.uri, self.is_conditional))

    @property
    def store(self) -> Store:
        """The store behind, opened at first use."""
        if self._store is None:
            with self._translated("open", ""):
                self._store = LocalStore(self.folder) if self.folder is not None else ObjectStore.open(self.uri, self.is_conditional)
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
            raise StorageError(redacted(f"cannot {verb} {path or 'the root'} in {self.uri}: {reason}")) from error

    def check_writable(self) -> None:
        """Writes and deletes a small file, so that an unwritable root is found before any work is done, and sees whether the store can
        refuse to put a name twice. Raises StorageError."""
        probe = f"{layout.STAGING}/probe-{uuid.uuid4().hex}"
        with self._translated("write to", ""):
            if self.folder is not None:
                self.store.replace_bytes(probe, b"internvid")
                self.store.delete(probe)
            else:
                self.is_conditional = self.store.keeps_conditions(probe)
                self._store = None  # opened again as what it is

    def exists(self, path: str) -> bool:
        """True where `path` is a file."""
        return self.size_bytes(path) is not None

    def size_bytes(self, path: str) -> int | None:
        """Length of a file, None where there is none."""
        with self._translated("look at", path):
            return self.store.size_bytes(checked_path(path))

    def list_names(self, folder: str) -> list[str]:
        """Sorted names in a folder, empty where there is none."""
        with self._translated("list", folder):
            return self.store.list_names(checked_path(folder))

    def read_bytes(self, path: str) -> bytes:
        """A whole small file. Raises FileNotFoundError."""
        with self._translated("read", path):
            return self.store.read_bytes(checked_path(path))

    def replace_bytes(self, path: str, data: bytes) -> None:
        """Writes a small file that is a view and not data (`dataset.yaml`, an index): the only way to overwrite anything."""
        with self._translated("write", path):
            self.store.replace_bytes(checked_path(path), data)

    def delete(self, path: str) -> None:
        """Deletes a file; a missing one is no error."""
        with self._translated("delete", path):
            self.store.delete(checked_path(path))

    def put_if_absent(self, staged: Path, path: str) -> bool:
        """Moves a finished local file to `path`; False, and the file stays where it is, where that name is taken."""
        with self._translated("write", path):
            return self.store.put_if_absent(staged, checked_path(path))

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

    def abandon_staging(self) -> None:
        """Deletes what this process has in the staging and scratch folders: it has to go at once."""
        for base in (scratch_base(), *([self.folder / layout.STAGING] if self.folder is not None else [])):
            remove_own(base)

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
                data = self.store.read_bytes(checked_path(ref.uri), offset, ref.size_bytes)
        if ref.size_bytes is not None and len(data) != ref.size_bytes:
            raise StorageError(f"{ref.uri} in {self.uri} is cut short: {ref.size_bytes} bytes wanted at {offset}, {len(data)} there")
        return data

    def local_file(self, ref: MediaRef, scratch: Path) -> Path:
        """A local path of a whole source file: itself where it is local, else a copy in `scratch`, as also of a file that lies in a tar.
        Raises UnreadableMedia where there is no such file."""
        if ref.offset_bytes is not None:
            return self._cut_out(ref, scratch)
        file = local_path(ref.uri)
        if file is not None:
            return file
        if "://" not in ref.uri:
            return self._fetched(self.store, checked_path(ref.uri), scratch)
        return self._fetched(ObjectStore.open(ref.uri), "", scratch)

    def _cut_out(self, ref: MediaRef, scratch: Path) -> Path:
        target = scratch / f"fetched-{uuid.uuid4().hex}"
        start, size = ref.offset_bytes or 0, ref.size_bytes or 0
        with open(target, "wb") as file:
            for done in range(0, size, _CUT_OUT_BYTES):
                piece = MediaRef(uri=ref.uri, offset_bytes=start + done, size_bytes=min(_CUT_OUT_BYTES, size - done))
                file.write(self.read_media(piece))
        return target

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
        return check_no_credentials("root", uri)
    try:
        path = Path(uri).expanduser()
        is_file = path.exists() and not path.is_dir()
    except (OSError, RuntimeError) as error:  # a name that is too long; `~nobody`
        raise UsageError(f"root {uri!r} cannot be a folder: {getattr(error, 'strerror', None) or error}") from error
    if is_file:
        raise UsageError(f"root {uri!r} is a file; give a folder (it is made if it does not exist)")
    return uri
