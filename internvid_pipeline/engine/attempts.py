"""Inputs that are taken again after they have failed for good: as new inputs, in partitions behind all others.

Nothing of a done partition changes. A further attempt is the same row of the sources with `attempt` one higher and an id that follows from
the former one, so that it is known which attempts there are of an input without a table of their own, and two that ask at once for the
same attempt append it once. Whoever counts inputs counts the last attempt.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.engine.read_items import read_rows
from internvid_pipeline.records import SourceRecord, VideoRecord
from internvid_pipeline.storage import Root, done_partitions, layout, read_arrow

_COLUMNS = ("partition", "source_id", "uri", "attempt")


def next_attempt(source: SourceRecord) -> SourceRecord:
    """The row of the attempt after this one."""
    attempt = source.attempt + 1
    return replace(source, attempt=attempt, source_id=next_id(source.source_id, attempt))


def next_id(source_id: str, attempt: int) -> str:
    """What the input's `attempt` is called, `source_id` being the attempt before it."""
    return hashlib.sha256(f"{source_id} attempt {attempt}".encode()).hexdigest()[:20]


def superseded_sources(root: Root) -> dict[int, set[str]]:
    """Addresses of inputs that a later attempt has taken again, by the partition of the former attempt. Raises StorageError."""
    names = [name for name in root.list_names(layout.APPENDS) if name.endswith(".parquet")]
    tables = [read_arrow(root, f"{layout.APPENDS}/{name}", _COLUMNS) for name in names]
    later = pa.concat_tables([table.filter(pc.greater(table["attempt"], 1)) for table in tables]) if tables else None
    if later is None or not later.num_rows:
        return {}
    later_ids, uris = set(later["source_id"].to_pylist()), pc.unique(later["uri"])
    listed = {number for table in tables for number in pc.unique(table["partition"]).to_pylist()}
    for number in sorted(layout.sources_in(root.list_names(layout.SOURCES)) - listed):  # planned before there was a log of appends
        table = read_arrow(root, layout.sources_table(number), ("source_id", "uri"))
        ones, numbers = (pa.array([value] * table.num_rows, pa.int64()) for value in (1, number))
        tables.append(table.append_column("attempt", ones).append_column("partition", numbers).select(_COLUMNS))
    found: dict[int, set[str]] = {}
    for table in tables:
        for row in table.filter(pc.is_in(table["uri"], value_set=uris)).to_pylist():
            if next_id(row["source_id"], row["attempt"] + 1) in later_ids:
                found.setdefault(row["partition"], set()).add(row["uri"])
    return found


def superseded_names(root: Root, plans: Sequence[StagePlan]) -> dict[int, set[str]]:
    """As `superseded_sources`, with the ids of the videos that they became: what they are called in rows, drops and failures."""
    found = superseded_sources(root)
    for plan in plans if found else ():
        if plan.build().writes is VideoRecord:
            for partition in found.keys() & done_partitions(root, plan.folder):
                videos: Iterable[VideoRecord] = read_rows(root, plan.folder, partition, VideoRecord)
                found[partition] |= {video.video_id for video in videos if video.source_uri in found[partition]}
    return found
