"""The flow of partitions through the stages played out in time, at any size: queues, the tail, idle GPUs, and what the store must bear.

Each stage is a pool of workers of a fixed size; a partition enters a stage when it has left the one before, waits for the first free
worker in order of arrival, and holds it for its seconds of video times the stage's rate. A stage that looks at all partitions waits
for the last. Pools are sized by their share of the work on the CPUs and GPUs that are there. Video lengths are lognormal, with the
spread of InternVid's sources (49 % up to 5 minutes, 8 % above 20: arXiv:2307.06942, section 3.3, Fig. 3); a partition's length is the
sum over its videos, and the time of one worker varies around it by a tenth. Not played: failures, autoscaling, slow machines.
"""

import heapq
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from internvid_pipeline.cluster.estimate import LIST_S, NAMES_PER_LIST, segments
from internvid_pipeline.cluster.machines import ClusterDescription
from internvid_pipeline.engine.rates import Rates, StageRate
from internvid_pipeline.errors import UsageError

_SIGMA = 1.0  # of ln(video length): 49 % <= 5 min and 92 % <= 20 min are 1.4 standard deviations apart over ln(4)
_WORKER_SPREAD = 0.1
_POINTS = 400  # of the curves that are kept
S3_WRITES_PER_S = 3500.0  # per prefix, Amazon S3 user guide, "Best practices design patterns: optimizing Amazon S3 performance"
S3_READS_PER_S = 5500.0
_LONGEST_LOOK_S = 600.0  # a driver that may look for 5 % of its time then sees a stage at least every 3.3 hours


@dataclass(frozen=True, slots=True)
class StageFlow:
    """One stage as it went. queue: partitions that waited for a worker. busy: share of its pool's time, from its first start to its last
    end. tail_h: from 99 % of the partitions to all. names, lists, list_s: of its folder when all is done. writes_per_s: most within one
    of 400 steps."""

    stage: str
    workers: int
    start_h: float
    end_h: float
    busy: float
    tail_h: float
    longest_queue: int
    mean_queue: float
    names: int
    lists: int
    list_s: float
    writes_per_s: float


@dataclass(frozen=True, slots=True)
class Simulation:
    """A run played out. tail_h: from 99 % of the partitions through the longest segment to all. gpu_idle: share of the GPUs' time from
    start to end. bottleneck: the stage of that segment whose workers have most to do. holds: what the store must bear, each with
    whether it does. curves: hours, and for each stage partitions waiting and done."""

    videos: int
    partitions: int
    units: int
    wall_h: float
    tail_h: float
    gpu_idle: float | None
    bottleneck: str
    manifests: int
    objects: int
    stages: tuple[StageFlow, ...]
    holds: tuple[tuple[str, bool], ...]
    curves: dict[str, list[list[float]]] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `--json`, without the curves."""
        return {key: value for key, value in asdict(self).items() if key != "curves"}


@dataclass(frozen=True, slots=True)
class PoolRun:
    """A pool's pass over all partitions: when each came, began and ended, by partition, in seconds."""

    arrived: NDArray[np.float64]
    started: NDArray[np.float64]
    ended: NDArray[np.float64]


def run_pool(arrived: NDArray[np.float64], seconds: NDArray[np.float64], workers: int) -> PoolRun:
    """First come, first served by `workers`. arrived, seconds: float64 [partitions]."""
    started = np.empty_like(arrived)
    order = np.argsort(arrived, kind="stable")
    free = [0.0] * min(workers, len(arrived))
    for index, comes, takes in zip(order.tolist(), arrived[order].tolist(), seconds[order].tolist(), strict=True):
        begins = free[0] if free[0] > comes else comes
        heapq.heapreplace(free, begins + takes)
        started[index] = begins
    return PoolRun(arrived, started, started + seconds)


def partition_hours(videos: int, per_partition: float, hours_per_video: float, seed: int) -> NDArray[np.float64]:
    """Hours of video in each partition, float64, the longest first as the engine takes them."""
    random = np.random.default_rng(seed)
    lengths = random.lognormal(-(_SIGMA**2) / 2, _SIGMA, videos) * hours_per_video
    starts = np.arange(0, videos, max(1, round(per_partition)))
    hours: NDArray[np.float64] = np.add.reduceat(lengths, starts)
    return np.sort(hours)[::-1].copy()


def pool_sizes(rates: Sequence[StageRate], cluster: ClusterDescription, partitions: int) -> list[int]:
    """Workers of each stage. The stages of a segment share the machines: each has at least one, and the next worker always goes to the
    stage whose workers have most to do, as long as one fits."""
    sizes = [1] * len(rates)
    for group in segments(rates):
        cpus, gpus = cluster.cpus, cluster.gpus
        for index in group:
            cpus, gpus = cpus - rates[index].cpus, gpus - rates[index].gpus
        loads = [(-rates[index].worker_s, index) for index in group]
        heapq.heapify(loads)
        while loads:
            _, index = heapq.heappop(loads)
            rate = rates[index]
            most = min(rate.max_workers or partitions, cluster.workers(rate.cpus, rate.gpus), partitions)
            if sizes[index] >= most or rate.cpus > cpus + 1e-9 or rate.gpus > gpus + 1e-9:
                continue  # it stays as it is; what is left is for the others
            sizes[index] += 1
            cpus, gpus = cpus - rate.cpus, gpus - rate.gpus
            heapq.heappush(loads, (-rate.worker_s / sizes[index], index))
    return sizes


def simulate(
    rates: Rates, cluster: ClusterDescription, videos: int, hours_per_video: float | None = None, seed: int = 0, overhead_s: float = 0.02
) -> Simulation:
    """Plays a run. overhead_s: of the engine per partition and stage (benchmarks/README.md). Raises UsageError where nothing is known."""
    hours_each = hours_per_video or rates.hours_per_video
    if not rates.stages or not hours_each:
        raise UsageError("nothing is measured yet: run a sample of the videos first, or give --rates FILE and --hours-per-video")
    hours = partition_hours(videos, rates.videos_per_partition or 32.0, hours_each, seed)
    random = np.random.default_rng(seed + 1)
    sizes = pool_sizes(rates.stages, cluster, len(hours))
    runs: list[PoolRun] = []
    arrived = np.zeros(len(hours))
    for rate, size in zip(rates.stages, sizes, strict=True):
        if rate.needs_reduce and runs:
            arrived = np.full(len(hours), runs[-1].ended.max())
        seconds = hours * rate.worker_s * np.clip(random.normal(1, _WORKER_SPREAD, len(hours)), 0.5, 2.0) + overhead_s
        runs.append(run_pool(arrived, seconds, size))
        arrived = runs[-1].ended
    return summed_up(rates.stages, sizes, runs, cluster, videos)


def summed_up(
    rates: Sequence[StageRate], sizes: Sequence[int], runs: Sequence[PoolRun], cluster: ClusterDescription, videos: int
) -> Simulation:
    """Figures of a run that was played."""
    count = len(runs[0].ended)
    wall_s = max(float(run.ended.max()) for run in runs)
    grid = np.linspace(0, wall_s, _POINTS + 1)
    flows = tuple(_flow(rate, size, run, grid) for rate, size, run in zip(rates, sizes, runs, strict=True))
    longest = _longest_segment(rates, flows)
    gpu_s = sum(float((run.ended - run.started).sum()) * rate.gpus for rate, run in zip(rates, runs, strict=True))
    curves: dict[str, list[list[float]]] = {"hours": [(grid / 3600).tolist()]}
    for rate, run in zip(rates, runs, strict=True):
        done = np.searchsorted(np.sort(run.ended), grid, "right")
        waiting = np.searchsorted(np.sort(run.arrived), grid, "right") - np.searchsorted(np.sort(run.started), grid, "right")
        curves[rate.stage] = [waiting.tolist(), done.tolist()]
    return Simulation(
        videos=videos,
        partitions=count,
        units=count * len(runs),
        wall_h=wall_s / 3600,
        tail_h=longest[-1].tail_h,
        gpu_idle=1 - gpu_s / (cluster.gpus * wall_s) if cluster.gpus else None,
        bottleneck=max(longest, key=lambda flow: flow.busy * (flow.end_h - flow.start_h)).stage,
        manifests=count * len(runs),
        objects=sum(flow.names for flow in flows) + count,
        stages=flows,
        holds=tuple(_holds(rates, flows)),
        curves=curves,
    )


def _flow(rate: StageRate, size: int, run: PoolRun, grid: NDArray[np.float64]) -> StageFlow:
    came, began = np.sort(run.arrived), np.sort(run.started)
    # A partition that begins the moment it comes has not waited: those that come at one instant are counted after those that begin.
    queue = np.searchsorted(came, began, "right") - np.arange(1, len(began) + 1)
    ended = np.sort(run.ended)
    first, last = float(began[0]), float(ended[-1])
    waits_s = float((run.started - run.arrived).sum())
    files = rate.files_per_partition + 1
    ends = np.histogram(run.ended, grid)[0]
    names = math.ceil(files * len(began))
    lists = -(-names // NAMES_PER_LIST)
    return StageFlow(
        stage=rate.stage,
        workers=size,
        start_h=first / 3600,
        end_h=last / 3600,
        busy=float((run.ended - run.started).sum()) / (size * (last - first)) if last > first else 0.0,
        tail_h=float(ended[-1] - ended[max(0, math.ceil(0.99 * len(ended)) - 1)]) / 3600,
        longest_queue=int(queue.max(initial=0)),
        mean_queue=waits_s / (last - float(came[0])) if last > came[0] else 0.0,
        names=names,
        lists=lists,
        list_s=lists * LIST_S,
        writes_per_s=float(ends.max(initial=0)) * files / float(grid[1]) if grid[1] else 0.0,
    )


def _longest_segment(rates: Sequence[StageRate], flows: Sequence[StageFlow]) -> list[StageFlow]:
    groups = [[flows[index] for index in group] for group in segments(rates)]
    return max(groups, key=lambda group: max(flow.end_h for flow in group) - min(flow.start_h for flow in group))


def _holds(rates: Sequence[StageRate], flows: Sequence[StageFlow]) -> list[tuple[str, bool]]:
    names = max(flows, key=lambda flow: flow.names)
    writes = max(flows, key=lambda flow: flow.writes_per_s)
    reads_per_s = []
    for rate, flow in zip(rates, flows, strict=True):
        per_write = rate.reads_per_partition / (rate.files_per_partition + 1)
        reads_per_s.append((flow.writes_per_s * per_write, flow.stage))
    reads = max(reads_per_s)
    return [
        (
            f"largest folder: {names.stage}, {names.names} names, {names.lists} LIST requests of {NAMES_PER_LIST}, "
            f"{names.list_s:.0f} s one after the other",
            names.list_s <= _LONGEST_LOOK_S,
        ),
        (
            f"most writes below one prefix: {writes.writes_per_s:.1f}/s ({writes.stage}); S3 bears {S3_WRITES_PER_S:.0f}/s",
            writes.writes_per_s <= S3_WRITES_PER_S,
        ),
        (
            f"most reads of tables below one prefix: {reads[0]:.1f}/s ({reads[1]}); S3 bears {S3_READS_PER_S:.0f}/s",
            reads[0] <= S3_READS_PER_S,
        ),
    ]
