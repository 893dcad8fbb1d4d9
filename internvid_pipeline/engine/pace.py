"""How fast a stage is and when it will be done, from the times in its manifests."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from internvid_pipeline.engine.report import BUCKET_S, StageStatus

WINDOW_S = 3600.0


@dataclass(frozen=True, slots=True)
class Pace:
    """Over the last stretch in which a stage finished partitions. video_hours_per_hour: 0 where no record tells how long videos are.
    left_s: until the stage is done at this pace, 0 when it is; None where it stands still or nothing is known."""

    items_per_hour: float
    video_hours_per_hour: float
    partitions_per_hour: float
    left_s: float | None


def paces(statuses: Sequence[StageStatus], window_s: float = WINDOW_S) -> list[Pace]:
    """One for each status. The window ends when the stage last finished a partition, on the workers' clocks, and not now: what a run did
    before it was stopped tells what it will do when it goes on. A stage that others have left behind by more than a window stands still."""
    newest = max((_seconds(status.last_finished_at) for status in statuses if status.last_finished_at), default=0.0)
    return [_pace(status, newest, window_s) for status in statuses]


def _pace(status: StageStatus, newest_s: float, window_s: float) -> Pace:
    is_done = status.partitions_done >= status.partitions
    if not status.last_finished_at or not status.recent:
        return Pace(0.0, 0.0, 0.0, 0.0 if is_done else None)
    last_s = _seconds(status.last_finished_at)
    first_bucket = int(last_s - window_s) // BUCKET_S + 1
    inside = [values for number, values in status.recent.items() if number >= first_bucket]
    partitions, items, video_s, _ = (sum(values) for values in zip(*inside, strict=True))
    start_s = max(first_bucket * BUCKET_S, _seconds(status.first_started_at))
    hours = max(last_s - start_s, 1.0) / 3600  # manifests tell whole seconds
    moves = newest_s - last_s <= window_s
    left_s = (status.partitions - status.partitions_done) / (partitions / hours) * 3600 if moves and partitions else None
    return Pace(items / hours, video_s / 3600 / hours, partitions / hours, 0.0 if is_done else left_s)


def _seconds(time: str) -> float:
    return datetime.datetime.fromisoformat(time).timestamp()
