"""The log of appends: which inputs lie in which partitions, in a few large tables instead of one small one per partition.

Reading every `sources/00042.parquet` to learn what is known would take an hour at a hundred thousand partitions. Instead each append is
one entry `sources/appends/00003.parquet`, put if absent: its rows are those of up to five hundred partitions, and whoever puts entry 3
has read entries 0 to 2, so that two planners cannot give one input to two partitions. The partitions' own tables follow from the
entry; if the planner is killed before it has written them, the next one does.
"""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from internvid_pipeline.engine.known_inputs import KnownInputs, span_keys
from internvid_pipeline.engine.lengths import seconds_by_partition
from internvid_pipeline.records import SourceRecord, schema_of, to_table
from internvid_pipeline.storage import Root, layout, read_arrow, write_arrow

PARTITIONS_PER_ENTRY = 500
_THREADS = 8
_COLUMNS = ("partition", "source_id", "uri", "size_bytes", "sha256")
_ENTRY = re.compile(r"(\d{5,})\.parquet")


class SourceIndex:
    """What is known of the inputs of a root. `read` looks again; entries that were read once are kept."""

    def __init__(self, root: Root) -> None:
        self.root = root
        self.partitions: list[int] = []
        self.num_entries = 0
        self._tables: list[pa.Table] = []
        self._spans: list[NDArray[np.uint64]] = []
        self._covered: set[int] = set()
        self.ranges: list[tuple[int, int]] = []  # first and last partition of each append
        self.seconds: dict[int, float] = {}  # of video in each partition, as far as they are known before it is looked at

    def read(self, writes: bool = True) -> "SourceIndex":
        """Takes in new entries and tables, and (`writes`) writes the tables that a killed planner owes. Returns itself."""
        existing = layout.sources_in(self.root.list_names(layout.SOURCES))
        for number in sorted(_entries(self.root)):
            if number >= self.num_entries:
                entry = read_arrow(self.root, layout.append_entry(number))
                numbers = set(entry["partition"].to_pylist())
                if writes:
                    _write_tables(self.root, entry, sorted(numbers - existing))
                self._take(entry, numbers)
                self.num_entries = number + 1
        unlisted = sorted(existing - self._covered)  # of roots that were planned before there were entries
        with ThreadPoolExecutor(_THREADS) as pool:
            for number, table in zip(unlisted, pool.map(self._table, unlisted), strict=True):
                self._take(table.append_column("partition", pa.array([number] * table.num_rows, pa.int64())), {number})
        self.partitions = sorted(self._covered)
        return self

    def _table(self, partition: int) -> pa.Table:
        return read_arrow(self.root, layout.sources_table(partition))

    def _take(self, table: pa.Table, numbers: set[int]) -> None:
        self._tables.append(table.select(_COLUMNS))
        self._spans.append(span_keys(table))
        self._covered |= numbers
        self.seconds |= seconds_by_partition(table)
        self.ranges += [(min(numbers), max(numbers))] if numbers else []

    @property
    def table(self) -> pa.Table:
        """Columns partition, source_id, uri, size_bytes, sha256; one row per input."""
        empty = _schema().empty_table().select(_COLUMNS)
        return pa.concat_tables([empty, *(table.cast(empty.schema) for table in self._tables)])

    def known(self) -> KnownInputs:
        """The inputs of all partitions that were read."""
        return KnownInputs(self.table["source_id"], self._spans)

    def append(self, parts: Sequence[Sequence[SourceRecord]]) -> list[int] | None:
        """Puts one entry with these partitions, numbered on from what was read, and their tables. None where another planner was first."""
        return self.append_tables([to_table(part, SourceRecord) for part in parts])

    def append_tables(self, parts: Sequence[pa.Table]) -> list[int] | None:
        """As `append`, for tables of SourceRecords."""
        start = self.partitions[-1] + 1 if self.partitions else 0
        numbers = list(range(start, start + len(parts)))
        entry = _entry(numbers, parts)
        with self.root.staging() as folder:
            staged = folder / "entry.parquet"
            write_arrow(entry, staged)
            if not self.root.put_if_absent(staged, layout.append_entry(self.num_entries)):
                return None
        _write_tables(self.root, entry, numbers)
        self._take(entry, set(numbers))
        self.partitions += numbers
        self.num_entries += 1
        return numbers


def _schema() -> pa.Schema:
    return schema_of(SourceRecord).append(pa.field("partition", pa.int64(), nullable=False))


def _entries(root: Root) -> set[int]:
    names = root.list_names(layout.APPENDS)
    return {int(match[1]) for name in names if (match := _ENTRY.fullmatch(name))}


def _entry(numbers: Sequence[int], parts: Sequence[pa.Table]) -> pa.Table:
    column = np.repeat(np.array(numbers, dtype=np.int64), [part.num_rows for part in parts])
    return pa.concat_tables(parts).append_column(_schema().field("partition"), pa.array(column))


def _write_tables(root: Root, entry: pa.Table, numbers: Sequence[int]) -> None:
    """Writes the partitions' own tables. Their bytes follow from the entry: whoever else does it writes the same."""
    if not numbers:
        return
    schema = schema_of(SourceRecord)
    rows_of = entry["partition"].to_numpy()  # ascending

    def write(number: int) -> None:
        start, end = np.searchsorted(rows_of, (number, number + 1)).tolist()
        rows = entry.select(schema.names).slice(start, end - start).combine_chunks()
        with root.staging() as folder:
            staged = folder / "sources.parquet"
            write_arrow(pa.Table.from_arrays(rows.columns, schema=schema), staged)
            root.put_if_absent(staged, layout.sources_table(number))

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(write, numbers))
