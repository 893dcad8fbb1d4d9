"""The inputs of a stage in one partition: rows of the table it reads, with the joined rows of the same clip or video."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.records import SourceRecord
from internvid_pipeline.stage import Item, Stage
from internvid_pipeline.storage import Root, layout, read_manifest, read_table


def read_rows(root: Root, folder: str | None, partition: int, record_type: type) -> list[Any]:
    """Rows that a stage emitted for a partition (folder None: the sources). Raises FileNotFoundError where it is not done."""
    if folder is None:
        return read_table(root, layout.sources_table(partition), SourceRecord)
    path = read_manifest(root, folder, partition).path_of("rows")
    return read_table(root, path, record_type) if path else []


def _key(record_type: type) -> str:
    """Joined rows belong to a clip where they name one, else to a video."""
    fields = getattr(record_type, "__dataclass_fields__", {})
    return "clip_id" if "clip_id" in fields else "video_id"


def read_items(root: Root, plan: StagePlan, stage: Stage[Any, Any, Any], partition: int) -> list[Item[Any]]:
    """Inputs in the order of the table that the stage reads; those without a row in some joined table are left out, since they were
    accounted for where that row was not made. Raises FileNotFoundError where an upstream partition is not done."""
    rows = read_rows(root, plan.reads, partition, stage.reads)
    joined = {kind: _grouped(root, folders, partition, kind) for kind, folders in plan.joins.items()}
    items = []
    for row in rows:
        own = {kind: groups.get(getattr(row, _key(kind)), ()) for kind, groups in joined.items()}
        if all(rows for kind, rows in own.items() if kind in stage.joins):
            items.append(Item(record=row, partition=partition, joined=own))
    return items


def _grouped(root: Root, folders: Sequence[str], partition: int, kind: type) -> dict[str, tuple[Any, ...]]:
    groups: dict[str, list[Any]] = defaultdict(list)
    for folder in folders:
        for row in read_rows(root, folder, partition, kind):
            groups[getattr(row, _key(kind))].append(row)
    return {key: tuple(rows) for key, rows in groups.items()}
