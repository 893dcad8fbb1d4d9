"""What a stage costs per hour of source video: measured from manifests, the unit in which `plan --estimate` and the simulation reckon."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, get_args

from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.engine.report import StageStatus
from internvid_pipeline.records import MediaRef, ScanRecord, SourceRecord, VideoRecord
from internvid_pipeline.stage import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRate:
    """One stage per hour of source video (of what goes into the pipeline, not of what reaches the stage).

    worker_s: seconds of one worker. cpus, gpus: that it holds meanwhile. items: inputs of the stage. size_bytes: stored.
    files_per_partition: stored, manifests apart. reads_per_partition: requests for upstream manifests and tables.
    reads_per_item: requests for media. needs_reduce: it starts when the stages before have done everything.
    max_workers: that the config allows. basis: `measured`, `given` or `assumed`. source: where the figures come from.
    """

    stage: str
    worker_s: float
    cpus: float
    gpus: float
    items: float
    size_bytes: float
    files_per_partition: float
    reads_per_partition: float
    reads_per_item: float
    needs_reduce: bool
    max_workers: int | None
    basis: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Rates of a pipeline. hours_per_video: mean length of a source. videos_per_partition: as planned so far; None where nothing is
    known. missing: stages of the plan that have no rate yet."""

    stages: tuple[StageRate, ...]
    hours_per_video: float | None
    videos_per_partition: float | None
    missing: tuple[str, ...]


def measured_rates(plans: Sequence[StagePlan], statuses: Sequence[StageStatus]) -> Rates:
    """Rates from the done partitions. Stages may have done different numbers of them: each is reckoned per partition. Source hours are
    those of the first stage that tells them, so a stage behind a filter is charged with what its filter left."""
    hours_per_partition, hours_per_video, first = None, None, statuses[0] if statuses else None
    told = next((status for status in statuses if status.partitions_done and status.video_s), None)
    if told is not None:
        hours_per_partition = told.video_s / 3600 / told.partitions_done
        videos = first.inputs / first.partitions_done if first is not None and first.partitions_done else 0
        hours_per_video = hours_per_partition / videos if videos else None
    rates, missing = [], []
    for plan, status in zip(plans, statuses, strict=True):
        if not status.partitions_done or not hours_per_partition:
            missing.append(plan.name)
        else:
            rates.append(_rate(plan, status, hours_per_partition * status.partitions_done))
    per_partition = first.inputs / first.partitions_done if first is not None and first.partitions_done else None
    return Rates(stages=tuple(rates), hours_per_video=hours_per_video, videos_per_partition=per_partition, missing=tuple(missing))


def _rate(plan: StagePlan, status: StageStatus, hours: float) -> StageRate:
    resources = plan.resources
    held = status.wall_s if status.cpu_s or status.gpu_s else 0.0  # manifests of old versions do not say what the workers held
    return StageRate(
        stage=plan.name,
        worker_s=status.wall_s / hours,
        cpus=status.cpu_s / held if held else resources.cpus,
        gpus=status.gpu_s / held if held else resources.gpus,
        items=status.inputs / hours,
        size_bytes=status.size_bytes / hours,
        files_per_partition=status.files / status.partitions_done,
        reads_per_partition=reads_per_partition(plan),
        reads_per_item=float(reads_media(plan)),
        needs_reduce=plan.is_barrier,
        max_workers=plan.max_workers,
        basis="measured",
        source=f"{status.partitions_done} partitions, {hours:.3g} h of video",
    )


def reads_per_partition(plan: StagePlan) -> float:
    """Is it done; and of each table that it reads the manifest and the rows."""
    return 1.0 + 2 * max(1, len(plan.upstream))


def reads_media(plan: StagePlan) -> bool:
    """True where the stage loads something for each input, or copies media into shards, and its inputs point at media: one read per
    input is then reckoned."""
    stage = plan.build()
    loads = type(stage).load is not Stage.load or stage.publish_dir is not None
    return stage.reads in (SourceRecord, VideoRecord, ScanRecord) or (
        loads and any(points_at_media(kind) for kind in (stage.reads, *stage.joins))
    )


def points_at_media(kind: Any) -> bool:
    """True where a record type holds references to media, at any depth."""
    if kind is MediaRef:
        return True
    if is_dataclass(kind):
        return any(points_at_media(field.type) for field in fields(kind))
    return any(points_at_media(part) for part in get_args(kind))
