"""Looking at very many files at once: listings with sizes and times, done partitions, and the contents of many small files.

Nothing here writes, but for `store_now`, which asks the store for its clock by a probe."""

import contextlib
import datetime
import os
import shutil
import time
import uuid
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from internvid_pipeline.storage import layout
from internvid_pipeline.storage.object_store import ObjectStore
from internvid_pipeline.storage.root import Root
from internvid_pipeline.storage.scratch import owned_folders, scratch_base
from internvid_pipeline.storage.stores import LocalStore

_BATCH = 2000  # files asked of an object store at once; its driver keeps some dozens of requests under way
_GROUP = 1000  # partitions whose names share a prefix: S3 answers a thousand names per request
_LISTERS = 16
_READ_BYTES = 2**16  # most manifests are read whole by one call
_PROBED = 256  # local files that are read to see how fast they come
_SLOW_S = 1e-4  # a file; out of memory it is a fifth of that
_READERS = 16
_CHUNK = 128
_TIME_KEYS = ("LastModified", "last_modified", "mtime", "updated", "created")


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file below the root. modified_s: seconds since 1970 on the store's own clock, None where the store does not tell."""

    path: str
    size_bytes: int
    modified_s: float | None


def list_files(root: Root, folder: str) -> Iterator[FoundFile]:
    """Files directly in a folder, in no order; none where there is no such folder. Raises StorageError."""
    store = root.store
    with root._translated("list", folder):
        if isinstance(store, LocalStore):
            yield from _local_files(store, folder)
            return
        assert isinstance(store, ObjectStore)
        try:
            found = store.reads.ls(store._full(folder), detail=True)
        except FileNotFoundError:
            return
        for info in found:
            if info["type"] == "file":
                name = info["name"].rsplit("/", 1)[-1]
                yield FoundFile(f"{folder}/{name}", int(info["size"] or 0), _time_of(info))


def _local_files(store: LocalStore, folder: str) -> Iterator[FoundFile]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(store.folder / folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):  # deleted since
                if entry.is_file(follow_symlinks=False):
                    status = entry.stat(follow_symlinks=False)
                    yield FoundFile(f"{folder}/{entry.name}", status.st_size, status.st_mtime)


def _time_of(info: dict[str, Any]) -> float | None:
    for key in _TIME_KEYS:
        value = info.get(key)
        if isinstance(value, datetime.datetime):
            return value.replace(tzinfo=value.tzinfo or datetime.UTC).timestamp()
        if isinstance(value, int | float):
            return float(value)
    return None


def list_folders(root: Root, folder: str) -> list[str]:
    """Names of the folders directly in a folder, sorted (`""`: the root itself). Raises StorageError."""
    store = root.store
    with root._translated("list", folder):
        if isinstance(store, LocalStore):
            try:
                with os.scandir(store.folder / folder) as entries:
                    return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
            except (FileNotFoundError, NotADirectoryError):
                return []
        assert isinstance(store, ObjectStore)
        try:
            found = store.reads.ls(store._full(folder), detail=True)
        except FileNotFoundError:
            return []
        return sorted(info["name"].rstrip("/").rsplit("/", 1)[-1] for info in found if info["type"] == "directory")


def store_now(root: Root) -> float | None:
    """The time on the store's own clock: files are as old as it says, whatever this machine's clock says. None where it does not tell
    times. Raises StorageError where the root cannot be written."""
    name = f"clock-{uuid.uuid4().hex}"
    path = f"{layout.STAGING}/{name}"
    root.replace_bytes(path, b"?")
    try:
        return next((file.modified_s for file in list_files(root, layout.STAGING) if file.path == path), None)
    finally:
        root.delete(path)


def list_done(root: Root, folder: str, known: Collection[int] = ()) -> set[int]:
    """Numbers of the partitions whose manifests exist. On S3, groups of a thousand partitions that are all `known` to be done are not
    listed again: a listing answers a thousand names per request. Raises StorageError."""
    return list_state(root, folder, known)[0]


def list_state(root: Root, folder: str, known: Collection[int] = ()) -> tuple[set[int], dict[int, int]]:
    """As `list_done`, and of the partitions that are not done but have parts the number of the last one."""
    done: set[int] = set()
    parts: dict[int, int] = {}
    for names in _listings(root, folder, known, done):
        done |= layout.partitions_in(names)
        parts |= layout.parts_in(names)
    return done, {partition: part for partition, part in parts.items() if partition not in done}


def _listings(root: Root, folder: str, known: Collection[int], done: set[int]) -> Iterator[list[str]]:
    """Names in a stage's folder, in one listing or several; what need not be listed goes into `done`."""
    store = root.store
    with root._translated("list", folder):
        if isinstance(store, LocalStore):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                yield os.listdir(store.folder / folder)
            return
    if isinstance(store, ObjectStore) and store.is_s3 and len(known) >= _GROUP:
        yield from _list_rest(root, store, folder, known, done)
    else:
        yield root.list_names(folder)


def _list_rest(root: Root, store: ObjectStore, folder: str, known: Collection[int], done: set[int]) -> Iterator[list[str]]:
    groups: dict[int, int] = {}
    for partition in known:
        groups[partition // _GROUP] = groups.get(partition // _GROUP, 0) + 1
    full = {group for group, count in groups.items() if count == _GROUP}
    # One group behind the last is looked into too: partitions that were appended since.
    missing = [group for group in range(max(groups) + 2) if group not in full]

    def names(group: int) -> list[str]:
        found: list[str] = store.reads.find(store._full(folder), prefix=f"{group:02d}")
        return [name.rsplit("/", 1)[-1] for name in found]

    done |= {partition for partition in known if partition // _GROUP in full}
    with root._translated("list", folder), ThreadPoolExecutor(_LISTERS) as pool:
        yield from pool.map(names, missing)


def read_many(root: Root, paths: Sequence[str]) -> Iterator[tuple[str, bytes | None]]:
    """Whole small files, None for one that is not there, in their order. On an object store many at once. Raises StorageError."""
    store = root.store
    if isinstance(store, LocalStore):
        yield from _read_local(root, store, paths)
        return
    assert isinstance(store, ObjectStore)
    for start in range(0, len(paths), _BATCH):
        batch = paths[start : start + _BATCH]
        with root._translated("read", batch[0]):
            # Not `cat`, which asks first whether each is there.
            found = store.reads.cat_ranges([store._full(path) for path in batch], None, None, on_error="return")
        for path, data in zip(batch, found, strict=True):
            is_known = isinstance(data, bytes | FileNotFoundError)
            yield path, data if isinstance(data, bytes) else None if is_known else _read_one(root, path)


def _read_local(root: Root, store: LocalStore, paths: Sequence[str]) -> Iterator[tuple[str, bytes | None]]:
    """One after the other while that is fast, as from memory; where the first files are slow to come (a cold disk, a network file
    system), many at once."""
    base = f"{store.folder}/"

    def read(chunk: Sequence[str]) -> list[tuple[str, bytes | None]]:
        return [(path, _read_file(root, base, path)) for path in chunk]

    start = time.monotonic()
    first = read(paths[:_PROBED])
    is_slow = time.monotonic() - start > _SLOW_S * _PROBED
    yield from first
    chunks = [paths[place : place + _CHUNK] for place in range(_PROBED, len(paths), _CHUNK)]
    if not is_slow:
        for chunk in chunks:
            yield from read(chunk)
        return
    with ThreadPoolExecutor(_READERS) as pool:
        for place in range(0, len(chunks), 4 * _READERS):
            for found in pool.map(read, chunks[place : place + 4 * _READERS]):
                yield from found


def _read_file(root: Root, base: str, path: str) -> bytes | None:
    """Plain system calls: with half a million manifests, Python's file objects would cost more than the reading."""
    try:
        handle = os.open(base + path, os.O_RDONLY)
        try:
            data = os.read(handle, _READ_BYTES)
            while len(data) % _READ_BYTES == 0 and (more := os.read(handle, _READ_BYTES)):
                data += more
            return data
        finally:
            os.close(handle)
    except FileNotFoundError:
        return None
    except OSError:
        with root._translated("read", path):
            raise


def _read_one(root: Root, path: str) -> bytes | None:
    """One that did not come with the others: asked for again, with retries."""
    try:
        return root.read_bytes(path)
    except FileNotFoundError:
        return None


def staging_leftovers(root: Root, before_s: float) -> Iterator[tuple[str, str, list[FoundFile]]]:
    """(kind, place, files) of folders of processes of this machine that have ended (`scratch`, `staging`), of other machines' staging
    folders untouched since `before_s` (seconds on the store's clock), and of staged objects as old."""
    for kind, base in (("scratch", scratch_base()), *((("staging", root.folder / layout.STAGING),) if root.folder is not None else ())):
        for folder, is_orphan in owned_folders(base):
            try:
                statuses = [(path, path.lstat()) for path in _files_below(folder)]
                times = [folder.stat().st_mtime, *(status.st_mtime for _, status in statuses)]
            except FileNotFoundError:  # its process lives and has just deleted something, or all of it
                continue
            files = [FoundFile(str(path), status.st_size, status.st_mtime) for path, status in statuses]
            if is_orphan or (is_orphan is None and kind == "staging" and max(times) <= before_s):
                yield kind, str(folder), files
    for file in list_files(root, layout.STAGING):
        if file.modified_s is not None and file.modified_s <= before_s:
            yield "staging", file.path, [file]


def unfinished_uploads(root: Root, before_s: float) -> list[tuple[str, str]]:
    """(path, upload id) of uploads to S3 in parts that were begun before then and never ended: invisible, and paid for. Empty for a
    store that has no such thing. Raises StorageError."""
    store = root.store
    if not isinstance(store, ObjectStore) or not store.is_s3:
        return []
    bucket, prefix, _ = store.filesystem.split_path(store.base)
    prefix = f"{prefix}/" if prefix else ""
    found: list[tuple[str, str]] = []
    more: dict[str, str] = {}
    with root._translated("list the uploads of", ""):
        while True:
            answer = store.reads.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=prefix, **more)
            for upload in answer.get("Uploads", []):
                if upload["Initiated"].timestamp() <= before_s:
                    found.append((upload["Key"].removeprefix(prefix), upload["UploadId"]))
            if not answer.get("IsTruncated"):
                return found
            more = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}


def abort_upload(root: Root, path: str, upload_id: str) -> None:
    """Ends an upload that `unfinished_uploads` found; one that has ended meanwhile is no error. Raises StorageError."""
    store = root.store
    assert isinstance(store, ObjectStore)
    bucket, key, _ = store.filesystem.split_path(f"{store.base}/{path}")
    with root._translated("abort an upload to", path), contextlib.suppress(FileNotFoundError):
        store.filesystem.call_s3("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=upload_id)


def _files_below(folder: Path) -> list[Path]:
    return [Path(parent, name) for parent, _, names in os.walk(folder) for name in names]


def remove_folder(root: Root, kind: str, place: str, files: Sequence[FoundFile]) -> None:
    """Deletes what `staging_leftovers` found, or (kind `old`) the empty folder of a stage; object stores have no folders."""
    if kind != "old" and place.startswith("/"):
        shutil.rmtree(place, ignore_errors=True)
    elif kind != "old":
        for file in files:
            root.delete(file.path)
    elif root.folder is not None:
        for parent, _, _ in os.walk(root.folder / place, topdown=False):
            with contextlib.suppress(OSError):  # somebody has written into it since
                os.rmdir(parent)
