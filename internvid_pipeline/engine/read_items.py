"""The inputs of a stage in one partition: rows of the table it reads, with the joined rows of the same clip or video."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from internvid_pipeline.engine.gather import dealt_rows
from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.records import SourceRecord, from_table
from internvid_pipeline.stage import Item, Stage
from internvid_pipeline.storage import Root, layout, read_arrow, read_manifest, read_table


def read_rows(root: Root, folder: str | None, partition: int, record_type: type, clip_ids: pa.Array | None = None) -> list[Any]:
    """Rows that a stage emitted for a partition (folder None: the sources). clip_ids: only those of these clips, where the rows are of
    clips. Raises FileNotFoundError where it is not done."""
    if folder is None:
        return read_table(root, layout.sources_table(partition), SourceRecord)
    path = read_manifest(root, folder, partition).path_of("rows")
    if path is None:
        return []
    if clip_ids is None or key_of(record_type) != "clip_id":
        return read_table(root, path, record_type)
    table = read_arrow(root, path)
    return from_table(table.filter(pc.is_in(table["clip_id"], value_set=clip_ids)), record_type)


def key_of(record_type: type) -> str:
    """Joined rows belong to a clip where they name one, else to a video."""
    fields = getattr(record_type, "__dataclass_fields__", {})
    return "clip_id" if "clip_id" in fields else "video_id"


def read_items(root: Root, plan: StagePlan, stage: Stage[Any, Any, Any], partition: int) -> list[Item[Any]]:
    """Inputs in the order of the table that the stage reads, or as its `gather` deals them out; those without a row in some joined table
    are left out, since they were accounted for where that row was not made. Raises FileNotFoundError where an upstream partition is not
    done."""
    if not plan.gather_partitions:
        return _own_items(root, plan, stage, partition, partition)
    dealt = dealt_rows(root, plan, stage, partition)
    found: dict[str, Item[Any]] = {}
    for source in sorted(set(dealt["source"].to_pylist())):
        clip_ids = dealt.filter(pc.equal(dealt["source"], source))["clip_id"].combine_chunks()
        found |= {item.record.item_id: item for item in _own_items(root, plan, stage, source, partition, clip_ids)}
    places = zip(dealt["item_id"].to_pylist(), dealt["pile"].to_pylist(), strict=True)
    items = ((found.get(item_id), pile) for item_id, pile in places)
    return [Item(item.record, partition, item.joined, pile=pile) for item, pile in items if item is not None]


def _own_items(
    root: Root, plan: StagePlan, stage: Stage[Any, Any, Any], source: int, partition: int, clip_ids: pa.Array | None = None
) -> list[Item[Any]]:
    """Inputs that the tables of partition `source` hold, for `partition` to process."""
    rows = read_rows(root, plan.reads, source, stage.reads, clip_ids)
    joined = {kind: _grouped(root, folders, source, kind, clip_ids) for kind, folders in plan.joins.items()}
    items = []
    for row in rows:
        own = {kind: groups.get(getattr(row, key_of(kind)), ()) for kind, groups in joined.items()}
        if all(rows for kind, rows in own.items() if kind in stage.joins):
            items.append(Item(record=row, partition=partition, joined=own))
    return items


def _grouped(root: Root, folders: Sequence[str], partition: int, kind: type, clip_ids: pa.Array | None) -> dict[str, tuple[Any, ...]]:
    groups: dict[str, list[Any]] = defaultdict(list)
    for folder in folders:
        for row in read_rows(root, folder, partition, kind, clip_ids):
            groups[getattr(row, key_of(kind))].append(row)
    return {key: tuple(rows) for key, rows in groups.items()}
