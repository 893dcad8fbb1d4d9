"""How much of what was asked for could be had: videos, and clips of a published list, by reason."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from internvid_pipeline.engine.attempts import next_id
from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.records import ClipRecord, DropReason, DropRecord, FailureRecord
from internvid_pipeline.storage import Root, done_partitions, layout, read_arrow, read_manifest, read_parts, read_table, without_credentials


@dataclass
class Availability:
    """videos, clips: how many, by what became of them: `available`, `pending`, `deferred` (to be tried again), or the reason of a drop or
    the class of a failure. Clips are counted where a list asks for them. A list that has grown asks for a video again, for its further
    clips: it counts twice."""

    videos: Counter[str] = field(default_factory=Counter)
    clips: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _Asked:
    """An input, or one attempt at it."""

    source_id: str
    uri: str
    attempt: int
    clips: int


def availability(root: Root, plans: Sequence[StagePlan], partitions: Sequence[int]) -> Availability:
    """Counts over a data set; an input that was taken again counts by its last attempt. Holds one partition at a time, and the ids of
    further attempts."""
    importer = next((plan for plan in plans if plan.reads is None), None)
    cutter = next((plan for plan in plans if plan.build().writes is ClipRecord), None)
    done = {plan.folder: done_partitions(root, plan.folder) for plan in (importer, cutter) if plan is not None}
    found = Availability()
    later: set[str] = set()
    for partition in sorted(partitions, reverse=True):  # later attempts stand in later partitions
        asked = _asked(root, partition)
        for one, video_outcome, clip_outcomes in _outcomes(root, importer, cutter, done, partition, asked):
            if one.attempt > 1:
                later.add(one.source_id)
            if later and next_id(one.source_id, one.attempt + 1) in later:
                continue
            found.videos[video_outcome] += 1
            found.clips.update(clip_outcomes)
    if root.exists(layout.EXCLUDED):
        found.videos[DropReason.EXCLUDED] += read_arrow(root, layout.EXCLUDED, ["item_id"]).num_rows
    return found


def _asked(root: Root, partition: int) -> list[_Asked]:
    table = read_arrow(root, layout.sources_table(partition))
    counts = pc.list_value_length(table["clip_requests"]).to_pylist()
    columns = (table[name].to_pylist() for name in ("source_id", "uri", "attempt"))
    return [_Asked(*row) for row in zip(*columns, counts, strict=True)]


def _outcomes(
    root: Root,
    importer: StagePlan | None,
    cutter: StagePlan | None,
    done: dict[str, set[int]],
    partition: int,
    asked: Sequence[_Asked],
) -> Iterator[tuple[_Asked, str, Counter[str]]]:
    if importer is None or partition not in done[importer.folder]:
        parts = read_parts(root, importer.folder, partition) if importer is not None else []
        waits = {item.item_id for part in parts[-1:] for item in part.deferred}
        kinds = ["deferred" if without_credentials(one.uri) in waits else "pending" for one in asked]
        yield from ((one, kind, Counter({kind: one.clips})) for one, kind in zip(asked, kinds, strict=True))
        return
    lost, _ = _losses(root, importer, partition)
    rows = _rows(root, importer, partition, ["source_uri", "video_id"])
    videos = dict(zip(rows["source_uri"].to_pylist(), rows["video_id"].to_pylist(), strict=True)) if rows is not None else {}
    is_cut = cutter is not None and partition in done[cutter.folder]
    lost_videos, lost_clips = _losses(root, cutter, partition) if is_cut and cutter is not None else ({}, {})
    clips = _rows(root, cutter, partition, ["video_id"]) if is_cut and cutter is not None else None
    made = Counter(clips["video_id"].to_pylist() if clips is not None else ())
    for one in asked:
        video_id = videos.get(one.uri)
        if video_id is None:
            reason = lost.get(one.uri, "unknown")
            yield one, reason, Counter({reason: one.clips})
        elif not is_cut:
            yield one, "available", Counter({"pending": one.clips})
        else:
            yield one, "available", _clips(video_id, one.clips, made, lost_videos, lost_clips)


def _rows(root: Root, plan: StagePlan, partition: int, columns: Sequence[str]) -> pa.Table | None:
    path = read_manifest(root, plan.folder, partition).path_of("rows")
    return read_arrow(root, path, columns) if path else None


def _clips(
    video_id: str, wanted: int, made: Counter[str], lost_videos: dict[str, str], lost_clips: dict[str, Counter[str]]
) -> Counter[str]:
    if not wanted:
        return Counter()
    found = Counter({"available": made[video_id]}) + lost_clips.get(video_id, Counter())
    if (rest := wanted - found.total()) > 0:  # two spans that meet the same frames are one clip
        found[lost_videos.get(video_id, "same_frames")] += rest
    return found


def _losses(root: Root, plan: StagePlan, partition: int) -> tuple[dict[str, str], dict[str, Counter[str]]]:
    """Reasons of whole inputs by item, and of parts by the item that they are of."""
    manifest = read_manifest(root, plan.folder, partition)
    whole: dict[str, str] = {}
    parts: dict[str, Counter[str]] = {}
    tables: list[tuple[str, type[Any]]] = [("drops", DropRecord), ("failures", FailureRecord)]
    for kind, record_type in tables:
        path = manifest.path_of(kind)
        for row in read_table(root, path, record_type) if path else []:
            reason = row.reason if isinstance(row, DropRecord) else row.error_class
            part_of = row.part_of if isinstance(row, DropRecord) else None
            if part_of is None:
                whole[row.item_id] = reason
            else:
                parts.setdefault(part_of, Counter())[reason] += 1
    return whole, parts
