"""The engine without Ray: this process, one stage after the other, one partition after the other."""

from collections.abc import Mapping, Sequence

from internvid_pipeline.config import PlacementConfig
from internvid_pipeline.engine.attempt import PartitionError, SegmentResult, attempt_partition, should_give_up
from internvid_pipeline.engine.ownership import Ownership
from internvid_pipeline.engine.parts import DeferralRules
from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.engine.reduce import Reduced
from internvid_pipeline.engine.workers.host import Host, open_host
from internvid_pipeline.storage import Root


def run_segment(
    root: Root,
    plans: Sequence[StagePlan],
    todo: Mapping[str, Sequence[int]],
    reduced: Mapping[str, Reduced],
    placement: PlacementConfig,
    seconds: Mapping[int, float],
    run: str,
) -> SegmentResult:
    """Runs the stages of a segment over their partitions to do (by stage name). A partition that cannot be run is left out of the
    stages behind. Returns what could not be run."""
    del seconds  # one after the other: no order is shorter than another
    result = SegmentResult()
    lost: set[int] = set()
    rules = DeferralRules.of(placement)
    for plan in plans:
        hosts: list[Host] = []
        recent: list[PartitionError | None] = []
        ownership = Ownership(root, plan, run)

        def host(plan: StagePlan = plan, hosts: list[Host] = hosts) -> Host:
            if not hosts:
                hosts.append(open_host(plan, root, reduced.get(plan.name, Reduced()), placement))
            return hosts[0]

        try:
            for partition in todo[plan.name]:
                if partition in lost:
                    continue
                error = attempt_partition(root, plan, partition, host, placement.partition_attempts, ownership, rules)
                recent.append(error)
                if error is not None:
                    result.errors.append(error)
                    lost.add(partition)
                if should_give_up(recent):
                    result.gave_up = True
                    return result
        finally:
            for opened in hosts:
                opened.close()
    return result


def machines(plans: Sequence[StagePlan], wait_s: float, stalled_s: float = 0.0) -> None:
    """None: unbounded, since the stages of this engine take turns."""
    del plans, wait_s, stalled_s
