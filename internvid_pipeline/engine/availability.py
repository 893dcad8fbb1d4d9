"""How much of what was asked for could be had: videos, and clips of a published list, by reason."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.records import ClipRecord, DropReason, DropRecord, FailureRecord
from internvid_pipeline.storage import Root, done_partitions, layout, read_arrow, read_manifest, read_table


@dataclass
class Availability:
    """videos, clips: how many, by what became of them: `available`, `pending`, or the reason of a drop or the class of a failure. Clips
    are counted where a list asks for them. A list that has grown asks for a video again, for its further clips: it counts twice."""

    videos: Counter[str] = field(default_factory=Counter)
    clips: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _Asked:
    """An input. key: the same for each try of it; only where one was tried again."""

    uri: str
    attempt: int
    clips: int
    key: str


def availability(root: Root, plans: Sequence[StagePlan], partitions: Sequence[int]) -> Availability:
    """Counts over a data set; an input that was tried again counts by its last try. Holds one partition at a time, and the addresses of
    inputs that were tried again."""
    importer = next((plan for plan in plans if plan.reads is None), None)
    cutter = next((plan for plan in plans if plan.build().writes is ClipRecord), None)
    done = {plan.folder: done_partitions(root, plan.folder) for plan in (importer, cutter) if plan is not None}
    found = Availability()
    settled: set[str] = set()
    for partition in sorted(partitions, reverse=True):  # later tries stand in later partitions
        asked = _asked(root, partition, bool(settled))
        for one, video_outcome, clip_outcomes in _outcomes(root, importer, cutter, done, partition, asked):
            if one.key in settled:
                continue
            if one.attempt > 1:
                settled.add(one.key)
            found.videos[video_outcome] += 1
            found.clips.update(clip_outcomes)
    if root.exists(layout.EXCLUDED):
        found.videos[DropReason.EXCLUDED] += read_arrow(root, layout.EXCLUDED, ["item_id"]).num_rows
    return found


def _asked(root: Root, partition: int, needs_keys: bool) -> list[_Asked]:
    table = read_arrow(root, layout.sources_table(partition))
    uris, attempts = table["uri"].to_pylist(), table["attempt"].to_pylist()
    counts = pc.list_value_length(table["clip_requests"]).to_pylist()
    keys = uris
    if needs_keys or any(attempt > 1 for attempt in attempts):  # a grown list asks for one video twice, each time for other spans
        spans = table["clip_requests"].to_pylist()
        keys = [f"{uri} {[request['start_s'] for request in wanted]}" for uri, wanted in zip(uris, spans, strict=True)]
    return [_Asked(*row) for row in zip(uris, attempts, counts, keys, strict=True)]


def _outcomes(
    root: Root,
    importer: StagePlan | None,
    cutter: StagePlan | None,
    done: dict[str, set[int]],
    partition: int,
    asked: Sequence[_Asked],
) -> Iterator[tuple[_Asked, str, Counter[str]]]:
    if importer is None or partition not in done[importer.folder]:
        yield from ((one, "pending", Counter({"pending": one.clips})) for one in asked)
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
