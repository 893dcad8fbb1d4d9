"""Kinds of machines that a plan wants: one for the stages without a GPU, one for those with."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from internvid_pipeline.engine import StagePlan
from internvid_pipeline.errors import UsageError

_RANGE = re.compile(r"([0-9]{1,5})(?::([0-9]{1,5}))?")
_MB_OF_A_CPU = 4000  # what clouds sell with a core of their general kinds
_SPARE_MB = 4000  # Ray itself, its object store, the page cache


@dataclass(frozen=True, slots=True)
class NodeRange:
    """How many machines of a kind: the fewest that are kept, the most that there may be."""

    fewest: int
    most: int


@dataclass(frozen=True, slots=True)
class WorkerGroup:
    """One kind of machine. cpus, gpus, memory_mb: of each. custom: Ray's custom resources by name. stages: that run there."""

    name: str
    nodes: NodeRange
    cpus: int
    gpus: int
    memory_mb: int
    custom: Mapping[str, float]
    stages: tuple[str, ...]


def parse_range(option: str, text: str) -> NodeRange:
    """`2:8` or `4` (the same at all times). Raises UsageError."""
    match = _RANGE.fullmatch(text.strip())
    fewest, most = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not match or most < max(1, fewest):
        raise UsageError(f"{option} {text!r}: write the fewest and the most nodes, such as 1:8")
    return NodeRange(fewest, most)


def worker_groups(
    plans: Sequence[StagePlan], cpu_nodes: NodeRange, gpu_nodes: NodeRange, cpus_per_node: int, gpus_per_node: int
) -> list[WorkerGroup]:
    """The groups that have stages to run; machines are made larger where one worker of a stage would not fit."""
    groups = []
    for name, nodes, has_gpu in (("cpu", cpu_nodes, False), ("gpu", gpu_nodes, True)):
        members = [plan for plan in plans if bool(plan.resources.gpus) is has_gpu]
        if members:
            groups.append(_group(name, nodes, members, cpus_per_node, gpus_per_node if has_gpu else 0))
    return groups


def _group(name: str, nodes: NodeRange, plans: Sequence[StagePlan], cpus: int, gpus: int) -> WorkerGroup:
    cpus = max([cpus, *(math.ceil(plan.resources.cpus) for plan in plans)])
    gpus = max([gpus, *(math.ceil(plan.resources.gpus) for plan in plans)])
    custom: dict[str, float] = {}
    for plan in plans:
        for resource, amount in plan.custom.items():
            custom[resource] = max(amount, custom.get(resource, 0.0))
    memory_mb = max(cpus * _MB_OF_A_CPU, *(plan.resources.memory_mb + _SPARE_MB for plan in plans), gpus * _gpu_worker_mb(plans))
    return WorkerGroup(name, nodes, cpus, gpus, memory_mb, custom, tuple(plan.name for plan in plans))


def _gpu_worker_mb(plans: Sequence[StagePlan]) -> int:
    """Main memory beside one GPU when it is full of workers of the stage that takes most."""
    return max((math.ceil(plan.resources.memory_mb / max(1.0, plan.resources.gpus)) for plan in plans if plan.resources.gpus), default=0)
