"""Groups of partitions whose rows a stage deals out anew among them (`Stage.gather`): shards hold clips of many partitions.

A group is a run of partitions of one append, so that new data makes new groups and changes none. The driver names the groups; whichever
worker needs one first computes who gets what and stores it, put if absent. It follows from the tables alone: two that do it at once write
the same bytes.
"""

import re
from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.engine.reduce import PlanTables
from internvid_pipeline.stage import Stage
from internvid_pipeline.storage import Root, layout, read_arrow, write_arrow

_GROUP = re.compile(r"(\d{5,})-(\d{5,})\.json")
SCHEMA = pa.schema(
    [
        pa.field("partition", pa.int64(), nullable=False),
        pa.field("pile", pa.int64(), nullable=False),
        pa.field("source", pa.int64(), nullable=False),
        pa.field("clip_id", pa.string(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
    ]
)


def open_groups(root: Root, plan: StagePlan, ranges: Sequence[tuple[int, int]]) -> None:
    """Names the groups of all appends. ranges: first and last partition of each. An append is cut into groups of equal size."""
    if not plan.gather_partitions:
        return
    folder = layout.groups_folder(plan.folder)
    there = set(root.list_names(folder))
    for first, last in ranges:
        num_groups = -(-(last - first + 1) // plan.gather_partitions)
        edges = [first + (last - first + 1) * number // num_groups for number in range(num_groups + 1)]
        for start, end in pairwise(edges):
            name = f"{layout.group_name(start, end - 1)}.json"
            if name not in there:
                root.put_bytes_if_absent(f"{folder}/{name}", b"{}")


def group_of(root: Root, plan: StagePlan, partition: int) -> range:
    """The partitions of the group that a partition belongs to. Raises FileNotFoundError where no driver has named it."""
    for group in _groups(root, plan):
        if partition in group:
            return group
    raise FileNotFoundError(f"{layout.groups_folder(plan.folder)}: no group holds partition {partition}")


def _groups(root: Root, plan: StagePlan) -> list[range]:
    names = root.list_names(layout.groups_folder(plan.folder))
    return [range(int(match[1]), int(match[2]) + 1) for name in names if (match := _GROUP.fullmatch(name))]


def without_groups_of(root: Root, plan: StagePlan, partitions: Sequence[int], lost: Collection[int]) -> list[int]:
    """The partitions that are not lost, nor (where the stage gathers) in a group with one that is."""
    waiting = set(lost)
    if lost and plan.gather_partitions:
        waiting |= {member for group in _groups(root, plan) if not waiting.isdisjoint(group) for member in group}
    return [partition for partition in partitions if partition not in waiting]


def dealt_rows(root: Root, plan: StagePlan, stage: Stage[Any, Any, Any], partition: int) -> pa.Table:
    """What a partition is to process: rows of SCHEMA, in order. Raises FileNotFoundError where an upstream partition of the group is not
    done."""
    group = group_of(root, plan, partition)
    path = f"{layout.groups_folder(plan.folder)}/{layout.group_name(group[0], group[-1])}.parquet"
    if not root.exists(path):
        dealt = stage.gather(PlanTables(root, plan, stage, group)).select(SCHEMA.names).cast(SCHEMA)
        with root.staging() as folder:
            staged = folder / "group.parquet"
            write_arrow(dealt, staged)
            root.put_if_absent(staged, path)
    table = read_arrow(root, path)
    return table.filter(pc.equal(table["partition"], partition))
