"""One vector per clip, on local disk; tables of sets that no clip may be a double of."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from internvid_pipeline.errors import UsageError
from internvid_pipeline.records import schema_of


class VectorFile:
    """Unit vectors on local disk in half precision, so that memory does not grow with their number."""

    def __init__(self, path: Path, width: int) -> None:
        self._path, self.width, self.size = path, width, 0
        self._file = open(path, "wb")  # noqa: SIM115 - open until all are written

    def add(self, vectors: np.ndarray[Any, np.dtype[np.float32]]) -> None:
        """Appends float32 [n, width]."""
        self._file.write(np.ascontiguousarray(vectors, np.float16).tobytes())
        self.size += len(vectors)

    def read(self) -> np.ndarray[Any, np.dtype[np.float16]]:
        """[size, width], mapped."""
        self._file.close()
        return np.memmap(self._path, np.float16, "r", shape=(self.size, self.width))


def clip_vectors(table: pa.Table) -> tuple[list[str], np.ndarray[Any, np.dtype[np.float32]]]:
    """Clip ids and one unit vector each, float32 [n, width]: the mean of the frames' vectors, scaled. table: rows of EmbeddingRecord."""
    ids: list[str] = table["clip_id"].to_pylist()
    width = table["width"][0].as_py() if ids else 0
    means = [
        np.frombuffer(data, "<f2").reshape(-1, width).astype(np.float32).mean(axis=0) if len(data) else np.zeros(width, np.float32)
        for data in table["vectors"].to_pylist()
    ]
    vectors = np.stack(means) if means else np.empty((0, 0), np.float32)
    return ids, vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def excluded_tables(places: Sequence[str], record_type: type) -> Iterator[pa.Table]:
    """Tables of a record type among files and folders. Raises UsageError where a place holds none that we can read at all."""
    schema = schema_of(record_type)
    for place in places:
        path = Path(place)
        files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
        if not files or not all(file.is_file() for file in files):
            raise UsageError(f"exclude: {place!r} is no Parquet file and no folder that holds some")
        for file in files:
            try:
                if set(schema.names) <= set(pq.read_schema(file).names):
                    yield pq.ParquetFile(file).read(columns=schema.names, use_threads=False).select(schema.names)
            except (OSError, pa.ArrowInvalid) as error:
                raise UsageError(f"exclude: {file} is not readable as Parquet: {error}") from error
