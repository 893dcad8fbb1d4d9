"""Barriers: a stage that must look at all partitions before any (percentiles over the whole set) reduces them to a few numbers first."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.engine.read_items import read_items
from internvid_pipeline.stage import Item
from internvid_pipeline.storage import Root, layout


def reduced_of(root: Root, plan: StagePlan, partitions: Sequence[int]) -> dict[str, float]:
    """The result of the stage's `reduce`, computed if it is not stored yet; the first result stored is the one that stands. Empty for
    a stage that needs none. Raises FileNotFoundError where an upstream partition is not done."""
    if not plan.needs_reduce:
        return {}
    path = layout.reduced_file(plan.folder)
    if not root.exists(path):
        stage = plan.build()

        def items() -> Iterable[Item[Any]]:
            for partition in partitions:
                yield from read_items(root, plan, stage, partition)

        root.put_bytes_if_absent(path, json.dumps(stage.reduce(items), sort_keys=True).encode())
    reduced: dict[str, float] = json.loads(root.read_bytes(path))
    return reduced
