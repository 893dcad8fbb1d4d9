"""Parquet tables of records."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from internvid_pipeline.errors import StorageError
from internvid_pipeline.records import from_table, to_table
from internvid_pipeline.storage.root import Root

R = TypeVar("R")


def write_table(records: Sequence[Any], record_type: type, target: Path) -> None:
    """Writes records as Parquet to a staged local file. The bytes depend on the records and on pyarrow's version only.
    Raises StorageError where the disk refuses."""
    write_arrow(to_table(records, record_type), target)


def write_arrow(table: pa.Table, target: Path) -> None:
    """As `write_table`, for a table that is one already."""
    try:
        pq.write_table(table, target, compression="zstd")
    except OSError as error:
        raise StorageError(f"cannot write {target}: {error.strerror or error}") from error


def parquet_bytes(table: pa.Table) -> bytes:
    """The bytes that `write_arrow` would write."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue())


def read_arrow(root: Root, path: str, columns: Sequence[str] | None = None) -> pa.Table:
    """A table of the root, or these columns of it in this order. Raises FileNotFoundError, StorageError where it is not whole."""
    return read_parquet(root.read_bytes(path), f"{path} in {root.uri}", columns)


def read_parquet(data: bytes, where: str, columns: Sequence[str] | None = None) -> pa.Table:
    """A table from its bytes. where: its name in errors. Raises StorageError where it is not whole."""
    try:
        # In this thread: the tables are small, and Arrow's pools of threads now and then abort the process at its end.
        table = pq.ParquetFile(pa.BufferReader(data), pre_buffer=False).read(columns=columns, use_threads=False)
        return table if columns is None else table.select(list(columns))
    except (pa.ArrowInvalid, KeyError, OSError) as error:
        raise StorageError(f"{where} is not a whole Parquet table: {error}") from error


def read_table(root: Root, path: str, record_type: type[R]) -> list[R]:
    """Records of a table. Raises FileNotFoundError, StorageError where columns are missing."""
    table = read_arrow(root, path)
    try:
        return from_table(table, record_type)
    except (KeyError, TypeError) as error:
        raise StorageError(f"{path} in {root.uri} does not hold {record_type.__name__} rows: {error}") from error
