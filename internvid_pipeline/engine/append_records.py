"""Appending a stream of inputs to a root: a published list of ten million clips is read, compared, cut and written as it goes."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

import pyarrow as pa

from internvid_pipeline.config import SourceConfig
from internvid_pipeline.engine.appends import PARTITIONS_PER_ENTRY, SourceIndex
from internvid_pipeline.engine.known_inputs import KnownInputs
from internvid_pipeline.engine.partitions import cut, part_videos
from internvid_pipeline.records import SourceRecord, from_table, to_table

_BATCH = 4096
_MOST_HELD = 50_000  # inputs of one entry; a published list has three spans for each, with their captions
_PEEKED = 1024  # more than sixteen partitions of the default size: from here on the number of inputs makes no difference

Filter = Callable[[Iterable[SourceRecord]], Iterator[SourceRecord]]


def append_records(index: SourceIndex, records: Iterable[SourceRecord], source: SourceConfig, keep: Filter = iter) -> list[int]:
    """Writes partitions for the inputs that no partition holds yet, and returns their numbers. What is held at a time are the rows of
    one entry of the log (`appends`), as Arrow tables.

    index: of the root, read. records: each source_id once. keep: what of the new inputs is taken. Where another planner takes the
    next entry, what it took is left out and the rest goes on behind it.
    """
    known = index.known()
    fresh = keep(itertools.chain.from_iterable(map(known.new_of, _batches(records))))
    first = list(itertools.islice(fresh, _PEEKED))
    most = part_videos(source, len(first))
    numbers: list[int] = []
    others: KnownInputs | None = None  # what is known since another planner took an entry
    for parts in _entries(cut(itertools.chain(first, fresh), source, most), most):
        if others is not None:
            parts = _rest(parts, others, source, most)
        while parts:
            own = index.append_tables(parts)
            if own is not None:
                numbers += own
                break
            others = index.read().known()
            parts = _rest(parts, others, source, most)
    return numbers


def count_new(index: SourceIndex, records: Iterable[SourceRecord], keep: Filter = iter) -> tuple[int, int]:
    """How many inputs there are, and how many of them `append_records` would append. Writes nothing."""
    known, total, new = index.known(), 0, 0
    for batch in _batches(records):
        total += len(batch)
        new += sum(1 for _ in keep(known.new_of(batch)))
    return total, new


def _batches(records: Iterable[SourceRecord]) -> Iterator[list[SourceRecord]]:
    waiting = iter(records)
    while batch := list(itertools.islice(waiting, _BATCH)):
        yield batch


def _entries(cut_records: Iterator[list[SourceRecord]], most: int) -> Iterator[list[pa.Table]]:
    """Partitions of at most `most` inputs as tables, as many of them together as an entry holds."""
    parts: list[pa.Table] = []
    for part in cut_records:
        parts.append(to_table(part, SourceRecord))
        if len(parts) == PARTITIONS_PER_ENTRY or len(parts) * most >= _MOST_HELD:
            yield parts
            parts = []
    if parts:
        yield parts


def _rest(parts: Sequence[pa.Table], known: KnownInputs, source: SourceConfig, most: int) -> list[pa.Table]:
    new = [record for part in parts for record in known.new_of(from_table(part, SourceRecord))]
    return [to_table(part, SourceRecord) for part in cut(new, source, most)]
