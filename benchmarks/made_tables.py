"""A root of made tables, as large as wanted, in the schemas of the real ones: a thousand clips of 34 videos in each partition, three
captions and two scores a clip, eight references to frames. Every partition has a manifest in each stage of the demo's config; tables of
partitions that are not `distinct` are one file under many names, since most readers never open them."""

import io
import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from internvid_pipeline.config import load_config, to_yaml
from internvid_pipeline.engine import StagePlan, build_plan
from internvid_pipeline.records import (
    CaptionRecord,
    ClipRecord,
    DropRecord,
    ScoreRecord,
    SelectionRecord,
    VideoRecord,
    schema_of,
)
from internvid_pipeline.registry import resolved
from internvid_pipeline.storage import layout, write_arrow

CLIPS = 1000
_VIDEOS = 34
_LINKS = 30_000
_TEXT = (
    "a man is riding red bike down the street two dogs running on beach woman in blue dress dancing with her children people playing "
    "basketball gym close up of hands cutting an onion wooden table car driving city night mountain snow 猫 在 桌子 قطة بيضاء"
)
_WORDS = _TEXT.split()
_LANGUAGES = np.array(["en", "zh", "es", "ar", "hi", "fr", "de", "ja", "ru", "pt", None], dtype=object)
_LICENCES = np.array(["CC-BY", "YouTube standard", None], dtype=object)
_CATEGORIES = ("Music", "Sports", "News", "Education", "Travel", "Gaming", "People", "Howto", "Comedy", "Science")


def _filled(kind: type, size: int, columns: dict[str, Any]) -> pa.Table:
    """A table of a record type; columns that are not given are None, or empty, or 0."""
    arrays = []
    for field in schema_of(kind):
        value = columns.get(field.name)
        if value is None:
            empties: dict[Any, Any] = {pa.string(): "", pa.bool_(): False}
            empty = [] if pa.types.is_list(field.type) else empties.get(field.type, 0)
            value = pa.array([None if field.nullable else empty] * size, field.type)
        elif not isinstance(value, pa.Array):
            value = pa.array(value, field.type)
        arrays.append(value)
    return pa.Table.from_arrays(arrays, schema=schema_of(kind))


class TableMaker:
    """Tables of one partition by record type. The same number gives the same tables."""

    def __init__(self, frame_bytes: int) -> None:
        media = {"uri": "frames.tar", "offset_bytes": 0, "size_bytes": frame_bytes, "sha256": "0" * 64}
        frames = [{"frame": n, "time_s": n / 8, "width_px": 384, "height_px": 216, "media": media} for n in range(8)]
        clips = schema_of(ClipRecord)
        self._frames = pa.array([frames] * CLIPS, clips.field("frames").type)
        self._media_type = clips.field("media").type

    def tables(self, partition: int) -> dict[type, pa.Table]:
        random = np.random.default_rng(partition)
        video_ids = np.array([f"youtube-{partition:06d}{n:05d}" for n in range(_VIDEOS)], dtype=object)
        owner = np.sort(random.integers(0, _VIDEOS, CLIPS))
        starts = np.arange(CLIPS) * 4000
        clip_ids = [f"{video_ids[v]}_{s:09d}_{s + 3000:09d}" for v, s in zip(owner, starts, strict=True)]
        kept = random.random(CLIPS) < 0.7
        texts = self._texts(random)
        return {
            VideoRecord: self._videos(random, video_ids),
            ClipRecord: self._clips(random, clip_ids, video_ids[owner]),
            CaptionRecord: self._captions(clip_ids, video_ids[owner], texts),
            ScoreRecord: self._scores(random, clip_ids, video_ids[owner]),
            SelectionRecord: _filled(
                SelectionRecord,
                int(kept.sum()),
                {
                    "clip_id": [clip for clip, is_kept in zip(clip_ids, kept, strict=True) if is_kept],
                    "video_id": video_ids[owner][kept],
                    "selection": ["default"] * int(kept.sum()),
                    "caption": [text for text, is_kept in zip(texts[0], kept, strict=True) if is_kept],
                    "caption_scale": ["fused"] * int(kept.sum()),
                },
            ),
            DropRecord: _filled(
                DropRecord,
                int((~kept).sum()),
                {
                    "stage": ["select_clips"] * int((~kept).sum()),
                    "item_id": [clip for clip, is_kept in zip(clip_ids, kept, strict=True) if not is_kept],
                    "reason": ["below_minimum"] * int((~kept).sum()),
                    "message": ["motion 0.05 is below 0.1"] * int((~kept).sum()),
                },
            ),
        }

    def _texts(self, random: np.random.Generator) -> list[list[str]]:
        words = np.array(_WORDS, dtype=object)
        return [[" ".join(row) for row in words[random.integers(0, len(words), (CLIPS, 12))]] for _ in range(3)]

    def _videos(self, random: np.random.Generator, ids: Any) -> pa.Table:
        size = len(ids)
        columns = {
            "video_id": ids,
            "title": [f"A made video {video_id}" for video_id in ids],
            "language": random.choice(_LANGUAGES, size),
            "licence": random.choice(_LICENCES, size),
            "categories": [[_CATEGORIES[n]] for n in random.integers(0, len(_CATEGORIES), size)],
            "duration_s": random.gamma(2, 180, size),
            "width_px": np.full(size, 1280),
            "height_px": np.full(size, 720),
            "fps": np.full(size, 25.0),
            "media": [{"uri": f"/videos/{video_id}.mp4", "offset_bytes": None, "size_bytes": None, "sha256": None} for video_id in ids],
        }
        return _filled(VideoRecord, size, columns)

    def _clips(self, random: np.random.Generator, ids: list[str], videos: Any) -> pa.Table:
        duration = random.gamma(2, 4, CLIPS) + 0.3
        media = [{"uri": "clips.tar", "offset_bytes": n, "size_bytes": 1000, "sha256": "0" * 64} for n in range(CLIPS)]
        columns = {
            "clip_id": ids,
            "video_id": videos,
            "duration_s": duration,
            "fps": np.full(CLIPS, 25.0),
            "num_frames": (duration * 25).astype(np.int64),
            "width_px": np.full(CLIPS, 1280),
            "height_px": random.choice([360, 480, 720, 1080], CLIPS),
            "motion": random.gamma(1.2, 3, CLIPS),
            "luma_mean": random.normal(110, 40, CLIPS).clip(0, 255),
            "cut_mode": random.choice(np.array(["copy", "smart", "reencode"], dtype=object), CLIPS),
            "audio_mode": ["copy"] * CLIPS,
            "frames": self._frames,
            "media": pa.array(media, self._media_type),
        }
        return _filled(ClipRecord, CLIPS, columns)

    def _captions(self, ids: list[str], videos: Any, texts: list[list[str]]) -> pa.Table:
        size = 3 * CLIPS
        columns = {
            "clip_id": ids * 3,
            "video_id": np.tile(videos, 3),
            "scale": ["fused"] * CLIPS + ["coarse"] * CLIPS + ["fine"] * CLIPS,
            "text": [text for part in texts for text in part],
            "language": ["en"] * size,
            "model": ["stand-in-captioner"] * size,
            "model_commit": ["v1"] * size,
            "is_stand_in": [True] * size,
        }
        return _filled(CaptionRecord, size, columns)

    def _scores(self, random: np.random.Generator, ids: list[str], videos: Any) -> pa.Table:
        size = 2 * CLIPS
        columns = {
            "clip_id": ids * 2,
            "video_id": np.tile(videos, 2),
            "scorer": ["alignment"] * CLIPS + ["aesthetic"] * CLIPS,
            "value": np.concatenate([random.normal(0.25, 0.05, CLIPS), random.normal(4.8, 0.7, CLIPS)]),
            "reduced": ["max"] * size,
            "model": ["stand-in-scorer"] * size,
            "model_commit": ["v1"] * size,
            "is_stand_in": [True] * size,
        }
        return _filled(ScoreRecord, size, columns)


_STAGE_TABLES: dict[str, tuple[type, ...]] = {
    "import_videos": (VideoRecord,),
    "cut_clips": (ClipRecord,),
    "caption_clips": (CaptionRecord,),
    "score_alignment": (ScoreRecord,),
    "select_clips": (SelectionRecord, DropRecord),
}


def make_root(folder: Path, num_partitions: int, distinct: Collection[int]) -> list[StagePlan]:
    """Writes the root; partitions that are not distinct hold the tables of the first that is."""
    config = load_config("demo", [f"root={folder}", f"source.path={folder}"])
    plans = build_plan(config, num_partitions)
    folder.mkdir(parents=True)
    (folder / layout.DATASET_FILE).write_text(to_yaml(resolved(config)))
    picture = io.BytesIO()
    Image.effect_mandelbrot((384, 216), (-2, -1.2, 1, 1.2), 60).convert("RGB").save(picture, "JPEG")
    (folder / "frames.tar").write_bytes(picture.getvalue())
    for name in (layout.SOURCES, *(plan.folder for plan in plans)):
        (folder / name).mkdir(parents=True)
    maker = TableMaker(len(picture.getvalue()))
    first = min(distinct)
    sizes = _write_tables(folder, plans, maker, sorted(distinct))
    for partition in range(num_partitions):
        _link(folder / layout.SOURCES, "parquet", partition, folder / "frames.tar")
        for plan in plans:
            _finish(folder, plan, partition, partition if partition in distinct else first, sizes)
    return plans


def _write_tables(folder: Path, plans: list[StagePlan], maker: TableMaker, partitions: list[int]) -> dict[tuple[str, str], int]:
    rows = {}
    for partition in partitions:
        tables = maker.tables(partition)
        for plan in plans:
            for kind in _STAGE_TABLES.get(plan.name, ()):
                path = (layout.drops_table if kind is DropRecord else layout.rows_table)(plan.folder, partition)
                write_arrow(tables[kind], folder / path)
                rows[(plan.name, "drops" if kind is DropRecord else "rows")] = tables[kind].num_rows
    return rows


def _link(folder: Path, ending: str, partition: int, original: Path) -> None:
    """Another name for a file; file systems allow some ten thousand for one."""
    if partition % _LINKS == 0:
        (folder / f".{ending}-{partition}").write_bytes(original.read_bytes())
    os.link(folder / f".{ending}-{partition // _LINKS * _LINKS}", folder / f"{layout.partition_name(partition)}.{ending}")


def _finish(folder: Path, plan: StagePlan, partition: int, source: int, rows: dict[tuple[str, str], int]) -> None:
    files = []
    for kind, path_of in (("rows", layout.rows_table), ("drops", layout.drops_table)):
        if (plan.name, kind) in rows:
            files.append({"kind": kind, "path": path_of(plan.folder, source), "size_bytes": 100_000, "sha256": "0" * 64})
    inputs = {"import_videos": 34, "scan_videos": 34, "cut_clips": 34, "write_shards": 700}.get(plan.name, CLIPS)
    dropped = 300 if plan.name == "select_clips" else 0
    emitted = {"import_videos": 34, "scan_videos": 34, "caption_clips": 3 * CLIPS, "select_clips": 700, "write_shards": 700}
    counts = {"inputs": inputs, "emitted": inputs - dropped, "dropped": dropped, "failed": 0, "dropped_parts": 0}
    reasons = {"drops_by_reason": {"below_minimum": dropped} if dropped else {}, "failures_by_class": {}}
    times = {"started_at": "2026-11-01T10:00:00+00:00", "finished_at": "2026-11-01T10:01:01+00:00", "video_s": 11264.5, "wall_s": 61.5}
    more = {"versions": {"internvid": "0.1", "python": "3.11"}, "resources": {"cpus": 1.0, "gpus": 0.0}, "host": "node-17"}
    names = {"stage": plan.name, "fingerprint": plan.fingerprint, "partition": partition, "rows": emitted.get(plan.name, CLIPS)}
    manifest = names | counts | reasons | times | more | {"files": files, "schema_version": 1}
    (folder / layout.manifest(plan.folder, partition)).write_text(json.dumps(manifest))
