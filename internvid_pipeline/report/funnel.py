"""What became of everything, stage by stage, with sums that close; and what it took."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from internvid_pipeline.engine import StagePlan, StageStatus

# What the rows of a stage are, for people.
_ROWS = {
    "VideoRecord": "videos",
    "ScanRecord": "scanned videos",
    "ClipRecord": "clips",
    "CaptionRecord": "captions",
    "ScoreRecord": "scores",
    "SpeechRecord": "clips with speech",
    "SelectionRecord": "kept by selections",
    "SampleRecord": "samples in shards",
}


@dataclass(frozen=True)
class StageRow:
    """One stage over its done partitions. rows: that it emitted (one input may give several, or a row per
    caption). writes: what they are, in words. rows_read: that the
    stage before it emitted, in all partitions that are done there; None for the first stage. reasons, classes: of drops and failures."""

    stage: str
    writes: str
    fingerprint: str
    partitions_done: int
    partitions: int
    inputs: int
    emitted: int
    dropped: int
    failed: int
    dropped_parts: int
    rows: int
    rows_read: int | None
    reasons: Mapping[str, int]
    classes: Mapping[str, int]

    @property
    def not_taken(self) -> int:
        """Rows in partitions that this stage has not done yet, or without a row in a table that it joins (a clip without a caption)."""
        return 0 if self.rows_read is None else self.rows_read - self.inputs

    @property
    def closes(self) -> bool:
        """True where inputs = emitted + dropped + failed, reasons and classes add up, and no more came in than went out before."""
        return (
            self.inputs == self.emitted + self.dropped + self.failed
            and sum(self.reasons.values()) == self.dropped
            and sum(self.classes.values()) == self.failed
            and self.not_taken >= 0
        )


@dataclass(frozen=True)
class WorkRow:
    """What a stage took. items_per_worker_hour: inputs per hour of one worker. video_hours_per_worker_hour: hours of video, as its records
    tell; 0 where they do not. cost: at the prices of a machines file, None without one."""

    stage: str
    wall_s: float
    cpu_s: float
    gpu_s: float
    video_s: float
    items_per_worker_hour: float
    video_hours_per_worker_hour: float
    size_bytes: int
    cost: float | None


def funnel(plans: Sequence[StagePlan], statuses: Sequence[StageStatus]) -> list[StageRow]:
    """A row for each stage, in the order of the plan."""
    by_folder = {f"{status.stage}/{status.fingerprint}": status for status in statuses}
    rows = []
    for plan, status in zip(plans, statuses, strict=True):
        upstream = by_folder.get(plan.reads) if plan.reads else None
        rows.append(
            StageRow(
                stage=status.stage,
                writes=_ROWS.get(plan.build().writes.__name__, f"rows of {plan.name}"),
                fingerprint=status.fingerprint,
                partitions_done=status.partitions_done,
                partitions=status.partitions,
                inputs=status.inputs,
                emitted=status.emitted,
                dropped=status.dropped,
                failed=status.failed,
                dropped_parts=status.dropped_parts,
                rows=status.rows,
                rows_read=upstream.rows if upstream else None,
                reasons=dict(sorted(status.drops_by_reason.items(), key=lambda pair: (-pair[1], pair[0]))),
                classes=dict(sorted(status.failures_by_class.items(), key=lambda pair: (-pair[1], pair[0]))),
            )
        )
    return rows


def work(statuses: Sequence[StageStatus], costs: Mapping[str, float | None]) -> list[WorkRow]:
    """A row for each stage that has done something. costs: by stage, empty without prices."""
    return [
        WorkRow(
            stage=status.stage,
            wall_s=status.wall_s,
            cpu_s=status.cpu_s,
            gpu_s=status.gpu_s,
            video_s=status.video_s,
            items_per_worker_hour=status.inputs / status.wall_s * 3600 if status.wall_s else 0.0,
            video_hours_per_worker_hour=status.video_s / status.wall_s if status.wall_s else 0.0,
            size_bytes=status.size_bytes,
            cost=costs.get(status.stage),
        )
        for status in statuses
        if status.partitions_done
    ]
