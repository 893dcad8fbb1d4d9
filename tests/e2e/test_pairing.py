"""500 clips whose frames say their own number, through the whole pipeline, with batches in changing order and workers that die: every
caption, score and embedding belongs to its clip."""

import glob
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from internvid_pipeline.config import load_config
from internvid_pipeline.engine import build_plan
from internvid_pipeline.records import CaptionRecord, ClipRecord, EmbeddingRecord, ScoreRecord
from internvid_pipeline.storage import Root, done_partitions, read_manifest, read_table
from tests.e2e.number_videos import KILLS_VARIABLE, NumberReader, middle_number, number_in, picture_of, write_video
from tests.models.pictures import jpeg

REPO = Path(__file__).resolve().parents[2]
VIDEOS, PER_VIDEO, KILLS = 20, 25, 5
CONFIG = """
name: pairing
root: {root}
source: {{path: {source}, partition_videos: 3}}
stages:
  import_videos:
  scan_videos: {{detectors: [content]}}
  cut_clips: {{detector: content, threshold: 27}}
  tests.e2e.number_videos:NumberCaptions:
    coarse: {{model: stand-in-captioner}}
    fine: {{model: stand-in-captioner}}
    fused: null
    vlm: {{model: stand-in-video-captioner}}
  tests.e2e.number_videos:NumberEmbeddings: {{model: stand-in-scorer, num_frames: 4}}
  tests.e2e.number_videos:NumberScores: {{model: stand-in-scorer, scales: [coarse, fine, vlm]}}
  select_clips: {{selections: {{all: {{rules: [{{where: duration_s > 0}}]}}}}}}
  write_shards:
placement:
  workers: 2
  stages:
    caption_clips: {{cpus: 0.5, batch_size: 7}}
    embed_frames: {{cpus: 0.5, batch_size: 5}}
    score_alignment: {{cpus: 0.5, batch_size: 11}}
max_failed_ratio: 0
"""


def test_numbers_can_be_read_and_told_apart():
    numbers = [0, 1, 2, 17, 498, 499, 1023]
    assert [number_in(picture_of(number)) for number in numbers] == numbers
    broken = picture_of(5).copy()
    broken[: broken.shape[0] // 4, : broken.shape[1] // 4] = 255 - broken[0, 0]
    assert number_in(broken) == -1
    assert jpeg(picture_of(3)) != jpeg(picture_of(4))


@pytest.mark.kill
@pytest.mark.ray
@pytest.mark.timeout(600)
def test_every_caption_and_score_belongs_to_its_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source, kills, root = tmp_path / "videos", tmp_path / "kills", tmp_path / "root"
    source.mkdir()
    kills.mkdir()
    for video in range(VIDEOS):
        write_video(source / f"{video:02d}.mp4", range(video * PER_VIDEO, (video + 1) * PER_VIDEO))
    for number in range(KILLS):
        (kills / str(number)).touch()
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(root=root, source=source))
    monkeypatch.setenv(KILLS_VARIABLE, str(kills))
    command = [sys.executable, "-m", "internvid_pipeline.cli.main", "run", str(config), "--engine", "ray"]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert not list(kills.iterdir()), "the run was over before it could be disturbed enough"
    numbers = shown_in_shards(root, tmp_path)
    assert sorted(numbers.values()) == list(range(VIDEOS * PER_VIDEO))
    check_tables(Root(str(root)), config, numbers)


def shown_in_shards(root: Path, scratch: Path) -> dict[str, int]:
    """By clip: the number that its mp4 shows. The shard's text and json must say the same."""
    found = {}
    for shard in sorted(glob.glob(f"{root}/shards/all/*.tar")):
        with tarfile.open(shard) as tar:
            members = {member.name: tar.extractfile(member).read() for member in tar.getmembers()}
        for name in [name.removesuffix(".mp4") for name in members if name.endswith(".mp4")]:
            (scratch / "clip.mp4").write_bytes(members[f"{name}.mp4"])
            number = found[name] = middle_number(scratch / "clip.mp4")
            sample = json.load(io.BytesIO(members[f"{name}.json"]))
            assert members[f"{name}.txt"].decode() == f"number {number}" == sample["caption"]
            assert {row["text"] for row in sample["captions"]} == {f"number {number}"} and len(sample["captions"]) == 3
            assert [row["value"] for row in sample["scores"]] == [1.0] * 3 and not sample["has_stand_ins"]
    return found


def check_tables(root: Root, config: Path, numbers: dict[str, int]) -> None:
    """Frames, captions, vectors and scores of each clip show its number."""
    plans = {plan.name: plan for plan in build_plan(load_config(str(config)), 7)}
    rows: dict[type, list] = {}
    for name, kind in (
        ("cut_clips", ClipRecord),
        ("caption_clips", CaptionRecord),
        ("embed_frames", EmbeddingRecord),
        ("score_alignment", ScoreRecord),
    ):
        for partition in done_partitions(root, plans[name].folder):
            manifest = read_manifest(root, plans[name].folder, partition)
            assert manifest.emitted == manifest.inputs
            rows.setdefault(kind, []).extend(read_table(root, manifest.path_of("rows"), kind))
    assert {kind: len(found) for kind, found in rows.items()} == {
        ClipRecord: 500,
        CaptionRecord: 1500,
        EmbeddingRecord: 500,
        ScoreRecord: 1500,
    }
    reader = NumberReader(None)
    for row in rows[CaptionRecord]:
        assert row.text == f"number {numbers[row.clip_id]}" and row.model == "number-reader"
    for row in rows[EmbeddingRecord]:
        assert (row.matrix() @ reader.embed_texts([f"number {numbers[row.clip_id]}"])[0]).min() == 1
    assert {(row.value, row.num_frames) for row in rows[ScoreRecord]} == {(1.0, 4)}
