"""How much of what was asked for could be had: videos, and clips of a published list, by reason."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from internvid_pipeline.engine.attempts import next_attempt
from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.engine.read_items import read_rows
from internvid_pipeline.records import ClipRecord, DropRecord, FailureRecord, SourceRecord, VideoRecord
from internvid_pipeline.storage import Root, done_partitions, read_manifest, read_parts, read_table


@dataclass
class Availability:
    """videos, clips: how many, by what became of them: `available`, `pending`, `deferred` (to be tried again), or the reason of a drop or
    the class of a failure. Clips are counted where a list asks for them."""

    videos: Counter[str] = field(default_factory=Counter)
    clips: Counter[str] = field(default_factory=Counter)


def availability(root: Root, plans: Sequence[StagePlan], partitions: Sequence[int]) -> Availability:
    """Counts over a data set; an input that was taken again counts by its last attempt. Holds one partition at a time, and the ids of
    further attempts."""
    importer = next((plan for plan in plans if plan.reads is None), None)
    cutter = next((plan for plan in plans if plan.build().writes is ClipRecord), None)
    done = {plan.folder: done_partitions(root, plan.folder) for plan in (importer, cutter) if plan is not None}
    found = Availability()
    later: set[str] = set()
    for partition in sorted(partitions, reverse=True):  # later attempts stand in later partitions
        outcomes = _of_partition(root, importer, cutter, done, partition)
        for source, video_outcome, clip_outcomes in outcomes:
            if source.attempt > 1:
                later.add(source.source_id)
            if later and next_attempt(source).source_id in later:
                continue
            found.videos[video_outcome] += 1
            found.clips.update(clip_outcomes)
    return found


def _of_partition(
    root: Root, importer: StagePlan | None, cutter: StagePlan | None, done: dict[str, set[int]], partition: int
) -> list[tuple[SourceRecord, str, Counter[str]]]:
    sources: list[SourceRecord] = read_rows(root, None, partition, SourceRecord)
    if importer is None or partition not in done[importer.folder]:
        parts = read_parts(root, importer.folder, partition) if importer is not None else []
        waits = {one.item_id for part in parts[-1:] for one in part.deferred}
        kinds = ["deferred" if source.uri in waits else "pending" for source in sources]
        return [(source, kind, Counter({kind: len(source.clip_requests)})) for source, kind in zip(sources, kinds, strict=True)]
    lost, _ = _losses(root, importer, partition)
    videos: dict[str, VideoRecord] = {video.source_uri: video for video in read_rows(root, importer.folder, partition, VideoRecord)}
    is_cut = cutter is not None and partition in done[cutter.folder]
    lost_videos, lost_clips = _losses(root, cutter, partition) if is_cut and cutter is not None else ({}, {})
    made: Counter[str] = Counter()
    if is_cut and cutter is not None:
        made.update(clip.video_id for clip in read_rows(root, cutter.folder, partition, ClipRecord))
    rows = []
    for source in sources:
        wanted = len(source.clip_requests)
        video = videos.get(source.uri)
        if video is None:
            reason = lost.get(source.uri, "unknown")
            rows.append((source, reason, Counter({reason: wanted}) if wanted else Counter()))
            continue
        clips = _clips(video.video_id, wanted, is_cut, made, lost_videos, lost_clips)
        rows.append((source, "available", clips))
    return rows


def _clips(
    video_id: str, wanted: int, is_cut: bool, made: Counter[str], lost_videos: dict[str, str], lost_clips: dict[str, Counter[str]]
) -> Counter[str]:
    if not wanted or not is_cut:
        return Counter({"pending": wanted}) if wanted else Counter()
    found = Counter({"available": made[video_id]}) if made[video_id] else Counter()
    found.update(lost_clips.get(video_id, Counter()))
    if rest := wanted - found.total():
        found[lost_videos.get(video_id, "same_frames")] += max(0, rest)  # two spans that meet the same frames are one clip
    return +found


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
