"""The machines of a cluster: what each of them has, and what of it is free."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.engine.segments import Node, cut_segments
from internvid_pipeline.errors import SetupError

_log = logging.getLogger(__name__)
_LOOK_S = 1.0
_SETTLE_S = 2.0
_MOST_LOOKS = 15


def machines(plans: Sequence[StagePlan], wait_s: float, stalled_s: float = 0.0) -> list[dict[str, float]]:
    """Resources of each node that is alive. Where one worker of some stage fits on none of them, an autoscaling cluster is asked for
    what is missing and waited for.

    stalled_s: 0 at the start of a run. After a plan has stalled for so long it is what is free that counts: others may hold the rest for
    days. Where not even one worker of each stage has room, it is waited for as long again."""
    found = _waited(plans, [dict(node["Resources"]) for node in alive_nodes()], wait_s)
    deadline = time.monotonic() + stalled_s
    while stalled_s:
        free = _settled(_free, plans)
        if free == _needed(plans, found):
            break
        if _fits(plans, free):
            _log.warning("others hold a part of the cluster; the plan is cut for what is free: %s", _words(free))
            return free
        if time.monotonic() > deadline:
            _log.warning("others hold so much of the cluster that a worker of some stage has no room: %s free", _words(free))
            break
    return found


def _waited(plans: Sequence[StagePlan], found: list[dict[str, float]], wait_s: float) -> list[dict[str, float]]:
    deadline = time.monotonic() + wait_s
    while not _fits(plans, found) and time.monotonic() < deadline:
        _request([plan.needs for plan in plans])
        time.sleep(_LOOK_S)
        found = [dict(node["Resources"]) for node in alive_nodes()]
    return found  # where it does not fit, who cuts the plan says what is missing


def _fits(plans: Sequence[StagePlan], nodes: Sequence[Mapping[str, float]]) -> bool:
    try:
        cut_segments(plans, nodes)
    except SetupError:
        return False
    return True


def _request(bundles: Sequence[Mapping[str, float]]) -> None:
    """Tells the autoscaler what has to fit; without one nothing happens."""
    from ray.autoscaler.sdk import request_resources

    request_resources(bundles=[{name: amount for name, amount in bundle.items() if amount} for bundle in bundles])


def nodes_for(plan: StagePlan) -> int:
    """Machines on which a worker of the stage has room, as the cluster is now."""
    nodes = [Node.of(node["Resources"]) for node in alive_nodes()]
    return max(1, sum(node.take(plan.needs) for node in nodes))


def alive_nodes() -> list[dict[str, Any]]:
    """What Ray tells of each node that is alive."""
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def _settled(look: Callable[[], list[dict[str, float]]], plans: Sequence[StagePlan]) -> list[dict[str, float]]:
    """What `look` finds twice in a row: workers of the plan before are still leaving."""
    before = _needed(plans, look())
    for _ in range(_MOST_LOOKS):
        time.sleep(_SETTLE_S)
        now = _needed(plans, look())
        if now == before:
            break
        before = now
    return before


def _needed(plans: Sequence[StagePlan], nodes: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """Of each node only what some stage asks for."""
    names = {name for plan in plans for name in plan.needs}
    return [{name: node.get(name, 0.0) for name in sorted(names)} for node in nodes]


def _free() -> list[dict[str, float]]:
    """What nobody holds, node by node."""
    from ray._private.state import available_resources_per_node

    free: dict[str, dict[str, float]] = available_resources_per_node()
    return [dict(free.get(node["NodeID"], {})) for node in alive_nodes()]


def _words(nodes: Sequence[Mapping[str, float]]) -> str:
    return ", ".join(f"{node.get('CPU', 0):g} CPU + {node.get('GPU', 0):g} GPU" for node in nodes)
