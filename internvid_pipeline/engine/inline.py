"""The engine without Ray: this process, one stage after the other, one partition after the other."""

from collections.abc import Mapping, Sequence

from internvid_pipeline.engine.attempt import PartitionError, SegmentResult, attempt_partition, should_give_up
from internvid_pipeline.engine.host import Host, open_host
from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.storage import Root


def run_segment(
    root: Root,
    plans: Sequence[StagePlan],
    todo: Mapping[str, Sequence[int]],
    reduced: Mapping[str, Mapping[str, float]],
    isolate: bool,
    attempts: int,
) -> SegmentResult:
    """Runs the stages of a segment over their partitions to do (by stage name). A partition that cannot be run is left out of the
    stages behind. Returns what could not be run."""
    result = SegmentResult()
    lost: set[int] = set()
    for plan in plans:
        hosts: list[Host] = []
        recent: list[PartitionError | None] = []

        def host(plan: StagePlan = plan, hosts: list[Host] = hosts) -> Host:
            if not hosts:
                hosts.append(open_host(plan, root, reduced.get(plan.name, {}), isolate))
            return hosts[0]

        try:
            for partition in todo[plan.name]:
                if partition in lost:
                    continue
                error = attempt_partition(root, plan, partition, host, attempts)
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


def machine_resources() -> tuple[float, float]:
    """CPUs and GPUs for this engine: unbounded, since its stages take turns."""
    return float("inf"), float("inf")
