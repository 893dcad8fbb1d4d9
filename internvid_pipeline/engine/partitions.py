"""Cutting inputs into partitions. A partition, once written, never changes; new inputs append partitions."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from internvid_pipeline.config import SourceConfig
from internvid_pipeline.engine.appends import PARTITIONS_PER_ENTRY, SourceIndex
from internvid_pipeline.engine.inputs import Input
from internvid_pipeline.engine.lengths import told_s
from internvid_pipeline.errors import StorageError
from internvid_pipeline.records import SourceRecord
from internvid_pipeline.storage import Root, file_sha256, layout, local_path, read_table, read_tombstones

_MOST_VIDEOS = 32  # a partition of InternVid's videos (5.9 min each) is then about three hours of video
_AIMED_PARTITIONS = 16  # small inputs are cut finer, so that a machine with many cores has something to share


def source_id(entry: Input) -> str:
    """Identity of an input: where it is and how long. The same file found again on a later run is not a new input."""
    return hashlib.sha256(f"{entry.uri}\0{entry.size_bytes}".encode()).hexdigest()[:20]


def partition_numbers(root: Root) -> list[int]:
    """Numbers of the partitions that exist, ascending."""
    return sorted(layout.sources_in(root.list_names(layout.SOURCES)))


def read_sources(root: Root, partitions: Sequence[int]) -> list[SourceRecord]:
    """Input rows of the given partitions, in order."""
    return [record for number in partitions for record in read_table(root, layout.sources_table(number), SourceRecord)]


def append_partitions(root: Root, inputs: Sequence[Input], source: SourceConfig, index: SourceIndex | None = None) -> list[int]:
    """Writes partitions for the inputs that no partition holds yet. Returns their numbers.

    Two drivers may do this at once: whoever finds the next entry of the log taken reads it and goes on from there. A race is lost only
    to an entry that another has put, so that with the same inputs there cannot be more lost races than inputs.
    """
    index = index or SourceIndex(root)
    numbers: list[int] = []
    for _ in range(len(inputs) + 10):
        known = index.read().table
        fresh = _not_removed(root, _unknown(inputs, known))
        parts = list(cut(_with_duplicates(fresh, known), source, part_videos(source, len(fresh))))
        for start in range(0, len(parts), PARTITIONS_PER_ENTRY):
            own = index.append(parts[start : start + PARTITIONS_PER_ENTRY])
            if own is None:
                break
            numbers += own
        else:
            return numbers
    raise StorageError(f"cannot append partitions in {root.uri}: another run keeps taking the numbers; start again when it has planned")


def _unknown(inputs: Sequence[Input], known: pa.Table) -> list[Input]:
    """Inputs that no partition holds. Compared in Arrow: millions of ids as Python objects would fill the memory."""
    if not known.num_rows:
        return list(inputs)
    ids = pa.array([source_id(entry) for entry in inputs], pa.string())
    mask = pc.is_in(ids, value_set=known["source_id"].combine_chunks())
    return [entry for entry, is_known in zip(inputs, mask.to_pylist(), strict=True) if not is_known]


def num_unknown(root: Root, inputs: Sequence[Input], known: pa.Table) -> int:
    """How many of the inputs no partition holds, nor ever shall: what was taken out does not come back."""
    return len(_not_removed(root, _unknown(inputs, known)))


def part_videos(source: SourceConfig, num_inputs: int) -> int:
    """Most videos in a partition, for so many new inputs."""
    return source.partition_videos or max(1, min(_MOST_VIDEOS, -(-num_inputs // _AIMED_PARTITIONS)))


def _not_removed(root: Root, inputs: Sequence[Input]) -> list[Input]:
    """Inputs that nobody has asked to take out."""
    removed = read_tombstones(root) if inputs else None
    return [entry for entry in inputs if removed is None or not removed.covers(entry.uri, source_id(entry))]


def cut(records: Iterable[SourceRecord], source: SourceConfig, most_videos: int) -> Iterator[list[SourceRecord]]:
    """Partitions of inputs in their order, none of them larger, longer or of more videos than it may be, unless a video alone is."""
    most_bytes = source.partition_mb * 10**6
    part: list[SourceRecord] = []
    size, length_s = 0, 0.0
    for record in records:
        weight, own_s = record.size_bytes or 0, told_s(record)
        is_full = len(part) >= most_videos or size + weight > most_bytes or length_s + own_s > source.partition_hours * 3600
        if part and is_full:
            yield part
            part, size, length_s = [], 0, 0.0
        part.append(record)
        size, length_s = size + weight, length_s + own_s
    if part:
        yield part


def _with_duplicates(fresh: Sequence[Input], known: pa.Table) -> list[SourceRecord]:
    """Rows for new inputs, exact duplicates marked. Only files of equal size are read: all others cannot be duplicates."""
    sizes = Counter(entry.size_bytes for entry in fresh if entry.size_bytes is not None)
    same = known.filter(pc.is_in(known["size_bytes"], value_set=pa.array(list(sizes), pa.int64())))
    known_sizes = same["size_bytes"].to_pylist()
    contested = {size for size, count in (sizes + Counter(known_sizes)).items() if count > 1}
    first_with: dict[str, str] = {}
    for uri, size, known_sha256 in zip(same["uri"].to_pylist(), known_sizes, same["sha256"].to_pylist(), strict=True):
        if size in contested:
            sha256 = known_sha256 or _sha256(uri)
            if sha256 is not None:
                first_with.setdefault(sha256, uri)
    rows = []
    for entry in fresh:
        sha256 = _sha256(entry.uri) if entry.size_bytes in contested else None
        original = first_with.setdefault(sha256, entry.uri) if sha256 is not None else entry.uri
        rows.append(
            SourceRecord(
                source_id=source_id(entry),
                uri=entry.uri,
                size_bytes=entry.size_bytes,
                sha256=sha256,
                duplicate_of=original if original != entry.uri else None,
                metadata_json=_json(entry.metadata),
            )
        )
    return rows


def _json(metadata: Mapping[str, Any]) -> str:
    text = json.dumps(dict(metadata), ensure_ascii=False, sort_keys=True, default=str)
    # Half of a surrogate pair, as careless exporters leave in titles, is no UTF-8 and could not stand in a table.
    return text.encode(errors="replace").decode()


def _sha256(uri: str) -> str | None:
    """None for what is not a readable local file: it is then nobody's duplicate, and the import finds out what is wrong with it."""
    file = local_path(uri)
    try:
        return file_sha256(file) if file is not None else None
    except (OSError, ValueError):
        return None
