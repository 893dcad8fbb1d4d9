"""Cutting inputs into partitions. A partition, once written, never changes; new inputs append partitions."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from internvid_pipeline.config import SourceConfig
from internvid_pipeline.engine.inputs import Input
from internvid_pipeline.errors import StorageError
from internvid_pipeline.records import SourceRecord
from internvid_pipeline.storage import Root, file_sha256, layout, local_path, read_table, write_table

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


def append_partitions(root: Root, inputs: Sequence[Input], source: SourceConfig) -> list[int]:
    """Writes partitions for the inputs that no partition holds yet. Returns their numbers.

    Two drivers may do this at once: whoever finds a number taken reads again what is there and goes on from it. A race is lost only
    to a partition that another has written, so that with the same inputs there cannot be more lost races than inputs.
    """
    numbers: list[int] = []
    for _ in range(len(inputs) + 10):
        existing = partition_numbers(root)
        known = read_sources(root, existing)
        known_ids = {record.source_id for record in known}
        fresh = [entry for entry in inputs if source_id(entry) not in known_ids]
        records = _with_duplicates(fresh, known)
        start = existing[-1] + 1 if existing else 0
        for number, part in enumerate(_cut(records, source), start):
            if not _write(root, number, part):
                break
            numbers.append(number)
        else:
            return numbers
    raise StorageError(f"cannot append partitions in {root.uri}: another run keeps taking the numbers; start again when it has planned")


def _write(root: Root, number: int, records: Sequence[SourceRecord]) -> bool:
    with root.staging() as folder:
        staged = folder / "sources.parquet"
        write_table(records, SourceRecord, staged)
        return root.put_if_absent(staged, layout.sources_table(number))


def _cut(records: Sequence[SourceRecord], source: SourceConfig) -> Iterator[list[SourceRecord]]:
    most_videos = source.partition_videos or max(1, min(_MOST_VIDEOS, -(-len(records) // _AIMED_PARTITIONS)))
    most_bytes = source.partition_mb * 10**6
    part: list[SourceRecord] = []
    size = 0
    for record in records:
        weight = record.size_bytes or 0
        if part and (len(part) >= most_videos or size + weight > most_bytes):
            yield part
            part, size = [], 0
        part.append(record)
        size += weight
    if part:
        yield part


def _with_duplicates(fresh: Sequence[Input], known: Sequence[SourceRecord]) -> list[SourceRecord]:
    """Rows for new inputs, exact duplicates marked. Only files of equal size are read: all others cannot be duplicates."""
    sizes: dict[int, int] = defaultdict(int)
    for size in [record.size_bytes for record in known] + [entry.size_bytes for entry in fresh]:
        if size is not None:
            sizes[size] += 1
    contested = {size for size, count in sizes.items() if count > 1}
    first_with: dict[str, str] = {}
    for record in known:
        if record.size_bytes in contested:
            sha256 = record.sha256 or _sha256(record.uri)
            if sha256 is not None:
                first_with.setdefault(sha256, record.uri)
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
