"""WebDataset tars: the parts of a sample side by side, everything known in the json, the same bytes every time."""

import itertools
import json
import tarfile
from pathlib import Path

import pytest

from internvid_pipeline.records import CaptionRecord, ClipRecord, MediaRef, SampleRecord, ScoreRecord, SelectionRecord, VideoRecord
from internvid_pipeline.registry import build_stage
from internvid_pipeline.stage import Emit, Item, WorkerContext
from internvid_pipeline.storage import Root
from tests.made_records import made_clip

TEXT = "кошка спит — قطة نائمة — 猫が眠る 🐈"


def items(folder: Path, count: int, size_bytes: int = 1000, selection: str = "default") -> list[Item[SelectionRecord]]:
    found = []
    for number in range(count):
        media = folder / f"clip{number}.mp4"
        media.write_bytes(bytes([number % 256]) * size_bytes)
        clip_id, video_id = f"v{number}_000000000_000002000", f"v{number}"
        video = VideoRecord(
            video_id=video_id,
            source_uri="/v.mp4",
            media=MediaRef(uri="/v.mp4"),
            title=TEXT if number else None,
            container="mp4",
            duration_s=2.0,
            start_s=0.0,
            width_px=64,
            height_px=48,
            fps=None,
            num_frames=None,
            video_codec="h264",
            pixel_format="yuv420p",
            audio_codec=None,
            num_audio_streams=0,
            rotation_deg=0,
            sample_aspect_ratio=1.0,
        )
        clip = made_clip(clip_id, video_id, media=MediaRef(uri=str(media), size_bytes=size_bytes, sha256="ab"))
        caption = CaptionRecord(
            clip_id=clip_id,
            video_id=video_id,
            scale="fused",
            text=f"{TEXT} {number}",
            language="und",
            model="m",
            model_commit="c",
            prompt=None,
            frames=(1, 2),
            is_stand_in=False,
        )
        score = ScoreRecord(
            clip_id=clip_id,
            video_id=video_id,
            scorer="alignment",
            caption_scale=None,
            value=0.25,
            num_frames=4,
            reduced="max",
            model="m",
            model_commit="c",
            is_stand_in=number == 1,
        )
        row = SelectionRecord(clip_id=clip_id, video_id=video_id, selection=selection, caption=caption.text, caption_scale="fused")
        joined = {VideoRecord: (video,), ClipRecord: (clip,), CaptionRecord: (caption,), ScoreRecord: (score,)}
        found.append(Item(record=row, partition=7, joined=joined))
    return found


def write(folder: Path, batch: list[Item[SelectionRecord]], **config) -> list[SampleRecord]:
    folder.mkdir(exist_ok=True)
    stage = build_stage("write_shards", config)
    stage.setup(WorkerContext(root=Root(str(folder)), scratch=folder, resources=stage.resources))
    outcomes = stage.process(batch)
    assert all(isinstance(outcome, Emit) and len(outcome.records) == 1 for outcome in outcomes)
    return [outcome.records[0] for outcome in outcomes]


def test_parts_are_adjacent_and_typed(tmp_path: Path):
    write(tmp_path / "out", items(tmp_path, 3))
    with tarfile.open(tmp_path / "out" / "default" / "00007-00000.tar") as tar:
        names = tar.getnames()
        assert names == [f"v{n}_000000000_000002000.{part}" for n in range(3) for part in ("json", "mp4", "txt")]
        samples = [json.load(tar.extractfile(name)) for name in names if name.endswith(".json")]
        assert tar.extractfile(names[5]).read().decode() == f"{TEXT} 1"
        assert {(info.mtime, info.uname, info.mode) for info in tar} == {(0.0, "internvid", 0o644)}
    shapes = [{key: type(value) for key, value in {**sample, **sample["video"]}.items()} for sample in samples]
    assert shapes[0] == shapes[1] == shapes[2], "readers infer types from the first samples"
    assert samples[0]["video"]["title"] == "" and samples[1]["video"]["title"] == TEXT
    assert [sample["has_stand_ins"] for sample in samples] == [False, True, False]
    assert (samples[0]["start_timestamp"], samples[0]["end_timestamp"]) == ("00:00:00.000", "00:00:02.000")


def test_rows_give_the_bytes_of_each_sample(tmp_path: Path):
    rows = write(tmp_path / "out", items(tmp_path, 5))
    data = (tmp_path / "out" / "default" / "00007-00000.tar").read_bytes()
    assert [row.index for row in rows] == [0, 1, 2, 3, 4]
    assert rows[0].media.offset_bytes == 0
    for before, after in itertools.pairwise(rows):
        assert before.media.offset_bytes + before.media.size_bytes == after.media.offset_bytes
    for number, row in enumerate(rows):
        piece = data[row.media.offset_bytes : row.media.offset_bytes + row.media.size_bytes]
        assert row.clip_id.encode() in piece and bytes([number]) * 1000 in piece


@pytest.mark.parametrize(("config", "expected"), [({"shard_samples": 2}, [2, 2, 1]), ({"shard_mb": 1}, [2, 2, 1])])
def test_shards_are_closed_when_full(config: dict, expected: list[int], tmp_path: Path):
    rows = write(tmp_path / "out", items(tmp_path, 5, size_bytes=600_000), **config)
    shards = sorted((tmp_path / "out" / "default").iterdir())
    assert [path.name for path in shards] == [f"00007-{number:05d}.tar" for number in range(3)]
    assert [sum(row.shard == path.name for row in rows) for path in shards] == expected


def test_same_bytes_twice(tmp_path: Path):
    batch = items(tmp_path, 4)
    for place in ("a", "b"):
        write(tmp_path / place, batch)
    assert (tmp_path / "a/default/00007-00000.tar").read_bytes() == (tmp_path / "b/default/00007-00000.tar").read_bytes()


def test_two_selections_lie_apart(tmp_path: Path):
    first, second = items(tmp_path, 2), items(tmp_path, 2, selection="other")
    write(tmp_path / "out", [first[0], second[0], first[1], second[1]])
    assert sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.tar")) == [
        "default/00007-00000.tar",
        "other/00007-00000.tar",
    ]
