"""Lists as local files of lines: those in a store are fetched, packed ones unpacked, published ones in Parquet written as JSON lines. What
is made lies below the system's temporary folder until its source changes or nobody asked for it in a week."""

import contextlib
import gzip
import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec

from internvid_pipeline.errors import InternvidError, UsageError
from internvid_pipeline.storage import local_path, scratch_base
from internvid_pipeline.web.clip_lists import format_of

_KEPT_S = 7 * 86400.0
_BATCH_ROWS = 10_000


def local_list(path: str) -> Path:
    """The list at a path or URI as a local file. Raises UsageError where it cannot be read."""
    remote = "://" in path and not path.startswith("file://")
    place = Path() if remote else (local_path(path) or Path(path).expanduser()).absolute()
    try:
        if remote:
            filesystem, inside = fsspec.core.url_to_fs(path)
            place = kept(path, str(filesystem.ukey(inside)), lambda target: filesystem.get_file(inside, str(target)))
        status = place.stat()
        identity = f"{status.st_size} {status.st_mtime_ns}"
        if place.suffix == ".gz":
            packed = place
            place = kept(str(packed), identity, lambda target: _unpack(packed, target), packed.stem)
        if place.suffix == ".parquet" and format_of(_columns(place)) is not None:
            table = place
            place = kept(str(table), identity, lambda target: _write_lines(table, target), f"{table.stem}.jsonl")
        return place
    except InternvidError:
        raise
    except Exception as error:  # drivers of stores raise what they like
        raise UsageError(f"list {path} cannot be read: {getattr(error, 'strerror', None) or ' '.join(str(error).split())}") from error


def kept(source: str, identity: str, make: Callable[[Path], object], name: str = "") -> Path:
    """A file made of `source` in the state that `identity` stands for: the one that is there, or a new one. name: what it ends with."""
    digest = hashlib.sha256(f"{source}\0{identity}".encode(errors="surrogateescape")).hexdigest()[:24]
    folder = scratch_base() / "lists" / digest
    file = folder / (name or source.rsplit("/", 1)[-1])
    with contextlib.suppress(OSError):  # another process may be at it
        for other in folder.parent.iterdir():
            if other != folder and time.time() - other.stat().st_mtime > _KEPT_S:
                shutil.rmtree(other, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not file.exists():
        temporary = folder / f".{uuid.uuid4().hex}"
        try:
            make(temporary)
            temporary.replace(file)
        finally:
            temporary.unlink(missing_ok=True)
    os.utime(folder)
    return file


def _unpack(packed: Path, target: Path) -> None:
    with gzip.open(packed, "rb") as source, target.open("wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)


def _columns(table: Path) -> list[str]:
    import pyarrow.parquet as pq

    return list(pq.ParquetFile(table, pre_buffer=False).schema_arrow.names)


def _write_lines(table: Path, target: Path) -> None:
    import pyarrow.parquet as pq

    with target.open("w", encoding="utf-8") as file:
        for batch in pq.ParquetFile(table, pre_buffer=False).iter_batches(_BATCH_ROWS, use_threads=False):
            rows: list[dict[str, Any]] = batch.to_pylist()
            file.writelines(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)
