"""What N videos would take on a described cluster: CPU and GPU hours, storage, requests, money and wall time, with the bottleneck named.

Everything grows in proportion to hours of video; wall time is what the scarcest resource needs at the assumed efficiency. Stages run
side by side, except that one that looks at all partitions at once waits for all before it. `simulate.py` plays the same out in time.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from internvid_pipeline.cluster.machines import ClusterDescription
from internvid_pipeline.engine.rates import Rates, StageRate
from internvid_pipeline.errors import UsageError

EFFICIENCY = 0.9  # the share of paid time that is work; benchmarks/README.md, throughput over workers, must show at least this
LIST_S = 0.1  # one LIST request of a thousand names; a round figure for S3 within a region
LOOKING_SHARE = 0.05  # most of a run's time that its driver spends on listings (engine/progress.py)
NAMES_PER_LIST = 1000


@dataclass(frozen=True, slots=True)
class StageEstimate:
    """One stage. bound: what it would be limited by if it ran alone. share: of the scarcest resource of its segment."""

    stage: str
    basis: str
    source: str
    items: float
    worker_hours: float
    cpu_hours: float
    gpu_hours: float
    size_bytes: float
    objects: float
    writes: float
    reads: float
    workers: int
    alone_hours: float


@dataclass(frozen=True, slots=True)
class Money:
    """In the cluster file's currency; None where a price is missing. machines: all machines, from the first hour to the last."""

    currency: str
    prices_from: str
    machines: float | None
    requests: float | None
    storage_per_month: float | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """All stages together. wall_hours: at the efficiency. bottleneck: the stage that decides it; why: by what. assumptions: everything
    that was not measured, in words."""

    videos: int
    video_hours: float
    partitions: int
    stages: tuple[StageEstimate, ...]
    cpu_hours: float
    gpu_hours: float
    size_bytes: float
    objects: float
    writes: float
    reads: float
    lists: float
    wall_hours: float
    bottleneck: str
    why: str
    money: Money
    missing: tuple[str, ...]
    assumptions: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return asdict(self)


def estimate(rates: Rates, cluster: ClusterDescription, videos: int, hours_per_video: float | None = None) -> Estimate:
    """The estimate. Raises UsageError where nothing is known, or a stage fits on no machine."""
    hours = hours_per_video or rates.hours_per_video
    if not rates.stages:
        raise UsageError("nothing is measured yet: run a sample of the videos first, or give --rates FILE")
    if not hours:
        raise UsageError("how long a video is on average is not known yet; give --hours-per-video")
    per_partition = rates.videos_per_partition or 32.0
    partitions = math.ceil(videos / per_partition)
    stages = tuple(_stage(rate, cluster, videos * hours, partitions) for rate in rates.stages)
    ideal_hours, bottleneck, why = _wall(rates.stages, stages, cluster)
    wall_hours = ideal_hours / EFFICIENCY
    objects = sum(stage.objects for stage in stages) + partitions
    lists = wall_hours * 3600 * LOOKING_SHARE / LIST_S
    writes, reads = sum(stage.writes for stage in stages) + partitions, sum(stage.reads for stage in stages)
    size_bytes = sum(stage.size_bytes for stage in stages)
    return Estimate(
        videos=videos,
        video_hours=videos * hours,
        partitions=partitions,
        stages=stages,
        cpu_hours=sum(stage.cpu_hours for stage in stages),
        gpu_hours=sum(stage.gpu_hours for stage in stages),
        size_bytes=size_bytes,
        objects=objects,
        writes=writes,
        reads=reads,
        lists=lists,
        wall_hours=wall_hours,
        bottleneck=bottleneck,
        why=why,
        money=_money(cluster, wall_hours, size_bytes, writes, reads, lists),
        missing=rates.missing,
        assumptions=tuple(_assumptions(rates, hours_per_video, per_partition)),
    )


def _stage(rate: StageRate, cluster: ClusterDescription, hours: float, partitions: int) -> StageEstimate:
    room = cluster.workers(rate.cpus, rate.gpus)
    if not room:
        raise UsageError(f"stage {rate.stage}: a worker of {rate.cpus:g} CPUs and {rate.gpus:g} GPUs fits on none of the machines")
    workers = min(room, rate.max_workers or room, partitions)
    worker_hours = rate.worker_s * hours / 3600
    files = rate.files_per_partition * partitions
    return StageEstimate(
        stage=rate.stage,
        basis=rate.basis,
        source=rate.source,
        items=rate.items * hours,
        worker_hours=worker_hours,
        cpu_hours=worker_hours * rate.cpus,
        gpu_hours=worker_hours * rate.gpus,
        size_bytes=rate.size_bytes * hours,
        objects=files + partitions,
        writes=files + partitions,
        reads=rate.reads_per_partition * partitions + rate.reads_per_item * rate.items * hours,
        workers=workers,
        alone_hours=worker_hours / workers,
    )


def segments(rates: Sequence[StageRate]) -> list[list[int]]:
    """Indices of the stages that run side by side: a stage that looks at all partitions starts a new group."""
    groups: list[list[int]] = []
    for index, rate in enumerate(rates):
        if not groups or rate.needs_reduce:
            groups.append([])
        groups[-1].append(index)
    return groups


def _wall(rates: Sequence[StageRate], stages: Sequence[StageEstimate], cluster: ClusterDescription) -> tuple[float, str, str]:
    """Hours at full use, and the stage that decides them, over all segments."""
    total, worst = 0.0, (-1.0, "", "")
    for group in segments(rates):
        own = [stages[index] for index in group]
        bounds = [(stage.alone_hours, stage.stage, f"no more than {stage.workers} workers of it fit or are allowed") for stage in own]
        if cluster.cpus:
            first = max(own, key=lambda stage: stage.cpu_hours)
            bounds.append((sum(stage.cpu_hours for stage in own) / cluster.cpus, first.stage, f"it holds most of {cluster.cpus:g} CPUs"))
        if cluster.gpus:
            first = max(own, key=lambda stage: stage.gpu_hours)
            bounds.append((sum(stage.gpu_hours for stage in own) / cluster.gpus, first.stage, f"it holds most of {cluster.gpus:g} GPUs"))
        # Where a shared resource and one stage's own pool bind alike, the resource is the better word for it.
        bound = max(reversed(bounds), key=lambda entry: round(entry[0], 9))
        total += bound[0]
        worst = max(worst, bound, key=lambda entry: entry[0])
    return total, worst[1], worst[2]


def _money(cluster: ClusterDescription, wall_hours: float, size_bytes: float, writes: float, reads: float, lists: float) -> Money:
    hourly, prices = cluster.price_per_hour, cluster.storage
    requests = None
    if prices.per_1000_writes is not None and prices.per_1000_reads is not None and prices.per_1000_lists is not None:
        requests = (writes * prices.per_1000_writes + reads * prices.per_1000_reads + lists * prices.per_1000_lists) / 1000
    return Money(
        currency=cluster.currency,
        prices_from=cluster.prices_from,
        machines=None if hourly is None else hourly * wall_hours,
        requests=requests,
        storage_per_month=None if prices.per_gb_month is None else prices.per_gb_month * size_bytes / 1e9,
    )


def _assumptions(rates: Rates, hours_per_video: float | None, per_partition: float) -> list[str]:
    words = [f"rate of {rate.stage}: {rate.source}" for rate in rates.stages if rate.basis == "assumed"]
    words += [f"no rate of {name}: it is left out of every sum" for name in rates.missing]
    if not rates.videos_per_partition:
        words.append(f"{per_partition:g} videos in a partition")
    if hours_per_video:
        words.append(f"a video lasts {hours_per_video:.4g} h on average (given)")
    words.append(f"{EFFICIENCY:.0%} of the machines' time is work; all machines are there from start to end")
    words.append("nothing fails and nothing is computed twice; source videos themselves are not stored")
    words.append(f"LIST requests: at most what fits into {LOOKING_SHARE:.0%} of the time at {LIST_S:g} s each")
    return words
