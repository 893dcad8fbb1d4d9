"""Whatever fsspec speaks (`s3://`, `gs://`, `memory://`, …) as a store: retries, conditional puts, multipart uploads.

**Conditional put.** `If-None-Match: *` on S3, the driver's exclusive mode elsewhere. Two writers of one name: one succeeds. Where a store
does not have it (`keeps_conditions` finds out, also for one that ignores the header silently), a put looks first and then writes: two
writers within that instant both succeed and the later one stays. `store_file` then names every file by its content, so that whichever
manifest stays, all files that it names are whole.

**Retries.** A put whose answer was lost may have been carried out. The next attempt, ours or one that the HTTP client makes by itself
(aiohttp repeats a PUT when the server hangs up), then finds the name taken. On S3 every put carries a mark of its own in the object's
metadata, by which it is told that the name is taken by ourselves; elsewhere the bytes tell, after an attempt that failed.
"""

import contextlib
import hashlib
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import fsspec

from internvid_pipeline.storage.multipart import MARK, PART_BYTES, upload_parts
from internvid_pipeline.storage.retry import is_transient, retried

T = TypeVar("T")
_S3 = ("s3://", "s3a://")
_READ_STEP_BYTES = 2**24
_PROBE_LIMIT_S = 10.0


def _status(error: BaseException) -> int | None:
    """HTTP status of the answer behind an error of the driver's."""
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None) or {}
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status if isinstance(status, int) else None


def _is_unknown_here(error: BaseException) -> bool:
    """True where the store, or its driver, does not know the condition."""
    return isinstance(error, NotImplementedError | ValueError | TypeError) or _status(error) == 501


def _options(uri: str, attempts: int) -> dict[str, Any]:
    """Driver options. Listings are never cached: other workers write behind our back."""
    if not uri.startswith(_S3):
        return {"use_listings_cache": False}
    retries = {"total_max_attempts": attempts, "mode": "standard"}
    return {"use_listings_cache": False, "config_kwargs": {"retries": retries, "connect_timeout": 10, "read_timeout": 30}}


class ObjectStore:
    """The objects below an fsspec URI. reads: a driver that tries again by itself (one page of a long listing must not cost all of it).
    is_conditional: the store refuses to put a name twice."""

    def __init__(self, filesystem: Any, base: str, reads: Any = None, is_conditional: bool = True) -> None:
        self.filesystem = filesystem
        self.reads = reads or filesystem
        self.base = base.rstrip("/")
        self.is_conditional = is_conditional
        self.is_s3 = hasattr(filesystem, "call_s3")

    @classmethod
    def open(cls, uri: str, is_conditional: bool = True) -> "ObjectStore":
        """The store at an fsspec URI. Nothing is asked of it yet."""
        filesystem, base = fsspec.core.url_to_fs(uri, **_options(uri, 1))
        reads, _ = fsspec.core.url_to_fs(uri, **_options(uri, 3))
        if hasattr(filesystem, "call_s3"):
            filesystem.retries = reads.retries = 1  # s3fs has a third loop of its own
        return cls(filesystem, base, reads, is_conditional)

    def _full(self, path: str) -> str:
        return f"{self.base}/{path}" if path else self.base

    def read_bytes(self, path: str, offset_bytes: int = 0, size_bytes: int | None = None) -> bytes:
        if size_bytes == 0:  # HTTP has no empty range: `bytes=5-4` is ignored and the whole object comes back
            retried(lambda: self.reads.info(self._full(path)))
            return b""
        end = None if size_bytes is None else offset_bytes + size_bytes
        data: bytes = retried(lambda: self.reads.cat_file(self._full(path), start=offset_bytes or None, end=end))
        return data

    def size_bytes(self, path: str) -> int | None:
        try:
            info = retried(lambda: self.reads.info(self._full(path)))
        except FileNotFoundError:
            return None
        return int(info["size"]) if info["type"] == "file" else None

    def list_names(self, folder: str) -> list[str]:
        try:
            found = retried(lambda: self._listing(self._full(folder)))
        except FileNotFoundError:
            return []
        own = self._full(folder).strip("/")
        return sorted(name.rstrip("/").rsplit("/", 1)[-1] for name in found if name.strip("/") != own)

    def _listing(self, folder: str) -> list[str]:
        try:
            found: list[str] = self.reads.ls(folder, detail=False, refresh=True)
        except TypeError:  # drivers without `refresh` do not cache
            found = self.reads.ls(folder, detail=False)
        return found

    def put_if_absent(self, staged: Path, path: str) -> bool:
        """Objects appear whole when their upload ends."""
        if self.is_s3 and staged.stat().st_size > 2 * PART_BYTES:
            is_ours = upload_parts(self, staged, path)
        else:
            data, mark = staged.read_bytes(), uuid.uuid4().hex
            is_ours = self.settled(lambda: self._create(path, data, mark), path, staged, mark)
        if is_ours:
            staged.unlink(missing_ok=True)
        return is_ours

    def settled(self, put: Callable[[], object], path: str, staged: Path, mark: str) -> bool:
        """Calls `put` until it is known what became of it. True where `path` is ours, be it by an attempt whose answer was lost. `put`
        raises FileExistsError where the name is taken."""
        is_open = False  # an attempt failed and may have been carried out all the same

        def attempt() -> bool:
            nonlocal is_open
            try:
                put()
            except FileExistsError:
                return retried(lambda: self._mark(path)) == mark if self.is_s3 else is_open and self.holds(path, staged)
            except Exception as error:
                is_open = is_open or is_transient(error)
                raise
            return True

        return retried(attempt)

    def _mark(self, path: str) -> str:
        """The mark of the put that made an object; empty where it has none."""
        bucket, key, _ = self.reads.split_path(self._full(path))
        found: dict[str, str] = self.reads.call_s3("head_object", Bucket=bucket, Key=key).get("Metadata", {})
        return found.get(MARK, "")

    def _create(self, path: str, data: bytes, mark: str) -> None:
        full = self._full(path)
        if not self.is_conditional:
            if self.size_bytes(path) is not None:
                raise FileExistsError(full)
            self.filesystem.pipe_file(full, data)
            return
        marked = {"Metadata": {MARK: mark}} if self.is_s3 else {}
        self.named(lambda: self.filesystem.pipe_file(full, data, mode="create", **marked))

    def named(self, put: Callable[[], T]) -> T:
        """Calls a conditional put of the driver; a precondition that failed is a FileExistsError, however the store words it."""
        try:
            return put()
        except FileExistsError:
            raise
        except OSError as error:
            if _status(error) == 412:
                raise FileExistsError(str(error)) from error
            raise

    def holds(self, path: str, staged: Path) -> bool:
        """True where the object has the bytes of a local file."""
        size = staged.stat().st_size
        if self.size_bytes(path) != size:
            return False
        theirs = hashlib.sha256()
        for offset in range(0, size, _READ_STEP_BYTES):
            theirs.update(self.read_bytes(path, offset, min(_READ_STEP_BYTES, size - offset)))
        with open(staged, "rb") as file:
            return hashlib.file_digest(file, "sha256").digest() == theirs.digest()

    def keeps_conditions(self, probe: str) -> bool:
        """Puts `probe` twice: a store with conditional puts refuses the second; one that answers 501 or takes it has none. Also the
        first thing that is written in a run: it is given up early, so that a wrong address is said within half a minute."""
        full = self._full(probe)
        put = lambda: self.named(lambda: self.filesystem.pipe_file(full, b"internvid", mode="create"))  # noqa: E731
        try:
            retried(put, limit_s=_PROBE_LIMIT_S)
            retried(put, limit_s=_PROBE_LIMIT_S)
            is_conditional = False
        except FileExistsError:
            is_conditional = True
        except Exception as error:
            if not _is_unknown_here(error):
                raise
            retried(lambda: self.filesystem.pipe_file(full, b"internvid"), limit_s=_PROBE_LIMIT_S)
            is_conditional = False
        self.delete(probe)
        return is_conditional

    def replace_bytes(self, path: str, data: bytes) -> None:
        retried(lambda: self.filesystem.pipe_file(self._full(path), data))

    def delete(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            retried(lambda: self.filesystem.rm_file(self._full(path)))

    def fetch(self, path: str, target: Path) -> None:
        retried(lambda: self.reads.get_file(self._full(path), str(target)))
