"""WebDataset tars: the parts of a sample side by side, everything known in the json, the same bytes every time."""

import itertools
import json
import struct
import tarfile
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from internvid_pipeline.errors import StorageError
from internvid_pipeline.records import (
    CaptionRecord,
    ClipRecord,
    MediaRef,
    SampleRecord,
    ScoreRecord,
    SelectionRecord,
    VideoRecord,
    to_table,
)
from internvid_pipeline.registry import build_stage
from internvid_pipeline.stage import Emit, Item, WorkerContext
from internvid_pipeline.storage import Root, SampleTarWriter
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


class Tables:
    """Partitions of made clips; `sizes` by partition, one video for every three clips."""

    def __init__(self, sizes: dict[int, list[int]], selections: tuple[str, ...] = ("default",)) -> None:
        self.sizes, self.selections = sizes, selections
        self.partitions = sorted(sizes)

    def table(self, partition: int, record_type: type, columns: list[str]) -> pa.Table:
        names = [(f"p{partition}v{number // 3}", f"p{partition}v{number // 3}_{number}") for number in range(len(self.sizes[partition]))]
        if record_type is ClipRecord:
            rows = [
                made_clip(clip, video, media=MediaRef(uri="x", size_bytes=size))
                for (video, clip), size in zip(names, self.sizes[partition], strict=True)
            ]
        else:
            texts = {"caption": "x", "caption_scale": "fused"}
            rows = [
                SelectionRecord(clip_id=clip, video_id=video, selection=name, **texts) for video, clip in names for name in self.selections
            ]
        return to_table(rows, record_type).select(columns)


def shards_of(tables: Tables, **config) -> list[tuple[int, list[str]]]:
    """(partition, clips in order) of each shard that `gather` deals out."""
    dealt = build_stage("write_shards", config).gather(tables).to_pylist()
    piles = itertools.groupby(dealt, key=lambda row: (row["pile"], row["partition"]))
    return [(partition, [row["item_id"] for row in rows]) for (_, partition), rows in piles]


def test_parts_are_adjacent_and_typed(tmp_path: Path):
    write(tmp_path / "out", items(tmp_path, 3))
    with tarfile.open(tmp_path / "out" / "default" / "00007-00000.tar") as tar:
        names = tar.getnames()
        assert names == [f"v{n}_000000000_000002000.{part}" for n in range(3) for part in ("json", "mp4", "txt")]
        samples = [json.load(tar.extractfile(name)) for name in names if name.endswith(".json")]
        assert tar.extractfile(names[5]).read().decode() == f"{TEXT} 1"
        assert {(info.mtime, info.uname, info.mode) for info in tar} == {(0, "internvid", 0o644)}
    shapes = [{key: type(value) for key, value in {**sample, **sample["video"]}.items()} for sample in samples]
    assert shapes[0] == shapes[1] == shapes[2], "readers infer types from the first samples"
    assert samples[0]["video"]["title"] == "" and samples[1]["video"]["title"] == TEXT
    assert [sample["has_stand_ins"] for sample in samples] == [False, True, False]
    assert (samples[0]["start_timestamp"], samples[0]["end_timestamp"]) == ("00:00:00.000", "00:00:02.000")


def test_rows_and_index_give_the_bytes_of_each_sample(tmp_path: Path):
    rows = write(tmp_path / "out", items(tmp_path, 5))
    path = tmp_path / "out" / "default" / "00007-00000.tar"
    data = path.read_bytes()
    assert [row.index for row in rows] == [0, 1, 2, 3, 4]
    assert rows[0].media.offset_bytes == 0
    for before, after in itertools.pairwise(rows):
        assert before.media.offset_bytes + before.media.size_bytes == after.media.offset_bytes
    for number, row in enumerate(rows):
        piece = data[row.media.offset_bytes : row.media.offset_bytes + row.media.size_bytes]
        assert row.clip_id.encode() in piece and bytes([number]) * 1000 in piece
    index = path.with_name(f"{path.name}.idx").read_bytes()
    offsets = [struct.unpack("Q", index[start : start + 8])[0] for start in range(0, len(index), 8)]  # as Megatron-Energon reads it
    assert offsets == [*(row.media.offset_bytes for row in rows), len(data) - 1024]


@pytest.mark.parametrize("key", ["v" * 150, "видео-1", "a b'c"])
def test_any_name_can_stand_in_a_tar(tmp_path: Path, key: str):
    with SampleTarWriter(tmp_path / "a.tar") as tar:
        tar.add(key, {"json": b"{}", "mp4": b"m" * 700})
    with tarfile.open(tmp_path / "a.tar") as found:
        assert [(info.name, info.size) for info in found] == [(f"{key}.json", 2), (f"{key}.mp4", 700)]


@pytest.mark.parametrize(
    ("config", "expected"),
    [({"shard_samples": 2}, [2, 2, 2]), ({"shard_mb": 1}, [2, 2, 2]), ({"shard_samples": 4}, [3, 3]), ({}, [6])],
)
def test_shards_are_of_equal_size_over_partitions(config: dict, expected: list[int]):
    found = shards_of(Tables({number: [400_000] * 2 for number in range(3, 6)}), **config)
    assert [len(names) for _, names in found] == expected
    assert sorted(name for _, names in found for name in names) == sorted(
        f"p{number}v0_{clip}/default" for number in range(3, 6) for clip in range(2)
    )


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.lists(st.integers(0, 3_000_000), max_size=9), min_size=1, max_size=6),
    st.integers(1, 4),
    st.integers(1, 8),
)
def test_every_clip_is_dealt_once_in_bounded_shards(sizes: list[list[int]], shard_mb: int, shard_samples: int):
    tables = Tables(dict(enumerate(sizes)), ("a", "b"))
    found = shards_of(tables, shard_mb=shard_mb, shard_samples=shard_samples)
    names = [name for _, shard in found for name in shard]
    assert len(names) == len(set(names)) == 2 * sum(map(len, sizes))
    assert all(0 < len(shard) <= shard_samples and len({name.split("/")[1] for name in shard}) == 1 for _, shard in found)
    bytes_of = {f"p{p}v{k // 3}_{k}/{name}": size for p, part in enumerate(sizes) for k, size in enumerate(part) for name in "ab"}
    largest = max((size for part in sizes for size in part), default=0)
    assert all(sum(bytes_of[name] for name in shard) <= shard_mb * 10**6 + largest for _, shard in found)
    assert [partition for partition, _ in found] == sorted(partition for partition, _ in found)


def test_neighbours_are_of_different_videos_and_the_order_is_shuffled():
    (_, names), *_ = shards_of(Tables({number: [1000] * 12 for number in range(8)}))
    videos = [name.rsplit("_", 1)[0] for name in names]
    assert all(one != other for one, other in itertools.pairwise(videos))
    partitions = [video.split("v")[0] for video in videos]
    assert sum(one == other for one, other in itertools.pairwise(partitions)) < len(names) / 3, "clips of all partitions are mixed"
    assert shards_of(Tables({number: [1000] * 12 for number in range(8)}), shuffle_seed=1)[0][1] != names


def test_same_bytes_twice(tmp_path: Path):
    batch = items(tmp_path, 4)
    for place in ("a", "b"):
        write(tmp_path / place, batch)
    assert (tmp_path / "a/default/00007-00000.tar").read_bytes() == (tmp_path / "b/default/00007-00000.tar").read_bytes()


def test_selections_and_piles_lie_apart(tmp_path: Path):
    first, second = items(tmp_path, 3), items(tmp_path, 2, selection="other")
    piles = [*(replace(item, pile=item.record.clip_id > "v1_") for item in first), *(replace(item, pile=2) for item in second)]
    write(tmp_path / "out", piles)
    assert sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.tar")) == [
        "default/00007-00000.tar",
        "default/00007-00001.tar",
        "other/00007-00000.tar",
    ]


def test_a_clip_that_is_gone_stops_the_partition(tmp_path: Path):
    batch = items(tmp_path, 2)
    (tmp_path / "clip1.mp4").unlink()
    with pytest.raises(StorageError, match=r"clip1.mp4 in .* is missing"):
        write(tmp_path / "out", batch)
