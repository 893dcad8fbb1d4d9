"""The demo from end to end: every input accounted for, shards that the usual readers read, nothing computed twice."""

import io
import itertools
import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import av
import pytest

from internvid_pipeline.cli.dataset import open_dataset
from internvid_pipeline.config import load_config
from internvid_pipeline.engine import StatusReader, build_plan, preview, run_dataset
from internvid_pipeline.engine.outcomes import input_outcomes
from internvid_pipeline.engine.read_items import read_rows
from internvid_pipeline.engine.validate import validate_dataset
from internvid_pipeline.media.synth import make_demo_videos
from internvid_pipeline.records import CaptionRecord, ClipRecord, TranscriptRecord
from internvid_pipeline.removal import remove_videos
from tests.conftest import contents, manifest_times
from tests.e2e.test_resume_after_kill import finish, kill_tree, start, wait_for_progress

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("demo") / "data set"
    command = [sys.executable, "-m", "internvid_pipeline.cli.main", "demo", "--root", str(root), "--engine", "inline"]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    (root.parent / "stdout").write_text(done.stdout)
    return root


def config_of(root: Path, *overrides: str):
    return load_config("demo", [f"root={root}", f"source.path={root / 'videos'}", *overrides])


def copy_of(demo: Path, place: Path) -> Path:
    shutil.copytree(demo, place)
    return place


def table(root: Path, record_type: type) -> list[Any]:
    opened, _, plans, partitions = open_dataset(str(root))
    plan = next(plan for plan in plans if plan.build().writes is record_type)
    return [row for partition in partitions for row in read_rows(opened, plan.folder, partition, record_type)]


def samples(root: Path) -> list[dict[str, Any]]:
    import webdataset

    tars = sorted(str(path) for path in (root / "shards" / "default").glob("*.tar"))
    return list(webdataset.WebDataset(tars, shardshuffle=False, empty_check=False))


def test_every_input_has_one_outcome(demo: Path):
    opened, _, plans, partitions = open_dataset(str(demo))
    found = list(input_outcomes(opened, plans, partitions))
    by_name = {Path(outcome.uri).name: outcome for outcome in found}
    made = make_demo_videos(demo / "videos")
    assert sorted(Path(outcome.uri).name for outcome in found) == sorted(video.path.name for video in made)
    assert by_name["07_duplicate_of_01.mp4"].reason.startswith("duplicate: ")
    assert by_name["08_black.mp4"].reason.startswith("black: ")
    assert by_name["10_broken_no_moov.mp4"].outcome == by_name["11_empty.mp4"].outcome == "failed"
    assert by_name["04_still_picture.mp4"].in_shards == 0 and "below_minimum" in by_name["04_still_picture.mp4"].reason
    lost = {"07_duplicate_of_01.mp4", "08_black.mp4", "10_broken_no_moov.mp4", "11_empty.mp4"}
    assert {name for name, outcome in by_name.items() if not outcome.clips} == lost
    assert all(name in (demo.parent / "stdout").read_text() for name in by_name)


def test_sums_close(demo: Path):
    opened, _, plans, partitions = open_dataset(str(demo))
    statuses = StatusReader(opened, plans, partitions).read()
    assert all(status.inputs == status.emitted + status.dropped + status.failed for status in statuses)
    assert statuses[0].inputs == 11
    rows = {plan.folder: status.rows for plan, status in zip(plans, statuses, strict=True)}
    for plan, status in zip(plans[1:], statuses[1:], strict=True):
        if plan.name == "align_speech":  # clips of the four videos with subtitles
            spoken = {row.video_id for row in table(demo, TranscriptRecord)}
            assert len(spoken) == 4 and status.inputs == sum(clip.video_id in spoken for clip in table(demo, ClipRecord))
        else:
            assert status.inputs == rows[plan.reads or ""], "what a stage emits is what is given to those that read it"


def test_cuts_are_where_they_were_made(demo: Path):
    clips = table(demo, ClipRecord)
    for video in make_demo_videos(demo / "videos"):
        spans = sorted((clip.start_frame, clip.end_frame) for clip in clips if clip.source_uri == str(video.path))
        if spans:
            bounds = [0, *video.cuts, video.num_frames]
            assert spans == list(itertools.pairwise(bounds)), video.path.name


def test_webdataset_reads_whole_samples(demo: Path):
    clips = {clip.clip_id: clip for clip in table(demo, ClipRecord)}
    fused = {row.clip_id: row.text for row in table(demo, CaptionRecord) if row.scale == "fused"}
    found = samples(demo)
    assert len(found) == len({sample["__key__"] for sample in found}) > 10
    for sample in found:
        key = sample["__key__"]
        metadata = json.loads(sample["json"])
        assert {name for name in sample if not name.startswith("__")} == {"mp4", "json", "txt"}
        assert metadata["clip_id"] == key
        assert sample["txt"].decode() == metadata["caption"] == fused[key]
        assert metadata["has_stand_ins"] is True
        with av.open(io.BytesIO(sample["mp4"])) as container:
            assert sum(1 for _ in container.decode(video=0)) == clips[key].num_frames


def test_what_subtitles_say_is_in_status_and_shards(demo: Path):
    """A clip with words of its own in each of three languages; marks of music are no words."""
    opened, _, plans, partitions = open_dataset(str(demo))
    by_name = {status.stage: status for status in StatusReader(opened, plans, partitions).read()}
    assert by_name["identify_languages"].rows_by_language == {"ar": 2, "en": 6, "zh": 2}
    spoken = [json.loads(sample["json"])["speech"] for sample in samples(demo)]
    texts = {(one["language"], one["text"]) for one in spoken if one["text"]}
    wanted = {"ar": "كلمة تتجه إلى الأعلى 😀", "zh": "然后颜色变成了云🌸。", "en": "The quick brown fox jumps over the lazy dog."}
    assert set(wanted.items()) <= texts
    assert not any("Music" in text for _, text in texts) and sum(not one["text"] for one in spoken) > 3


def test_datasets_reads_the_shards(demo: Path, tmp_path: Path):
    import datasets

    files = sorted(str(path) for path in (demo / "shards" / "default").glob("*.tar"))
    loaded = datasets.load_dataset("webdataset", data_files={"train": files}, split="train", cache_dir=str(tmp_path))
    loaded = loaded.cast_column("mp4", datasets.Video(decode=False))
    assert sorted(row["__key__"] for row in loaded) == sorted(sample["__key__"] for sample in samples(demo))
    assert all(row["txt"] == row["json"]["caption"] for row in loaded)


def test_validate_finds_nothing_but_stand_ins(demo: Path):
    opened, _, plans, partitions = open_dataset(str(demo))
    report = validate_dataset(opened, plans, partitions, read_media=True)
    assert report.problems == []
    by_models = {"caption_clips", "embed_frames", "score_alignment", "score_aesthetics"}
    assert {name for name in by_models if any(f"rows of {name} were made by stand-ins" in text for text in report.warnings)} == by_models
    assert all("stand-ins" in warning for warning in report.warnings)
    assert report.checked_samples == len(samples(demo))


def test_the_printed_lines_read_the_shards(demo: Path):
    """The three lines of Python at the end of the demo are run as they stand."""
    lines = (demo.parent / "stdout").read_text().split("Read the shards:\n\n")[1].splitlines()[:3]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(samples(demo))


@pytest.mark.ray
@pytest.mark.kill
@pytest.mark.timeout(600)
def test_kills_change_nothing(demo: Path, tmp_path: Path):
    """The real stages on Ray, the driver with all its workers killed twice; the inline engine ends what they began: the same bytes."""
    config, root = tmp_path / "config.yaml", tmp_path / "root"
    config.write_text(
        (REPO / "configs" / "demo.yaml").read_text().replace("./demo-dataset", str(root)).replace("./demo-videos", str(demo / "videos"))
    )
    chance = random.Random(77)
    finished: dict[str, int] = {}
    for _ in range(2):
        process = start(config, "ray")
        wait_for_progress(process, root, len(finished))
        time.sleep(chance.uniform(0.0, 2.0))
        kill_tree(process)
        assert finished.items() <= manifest_times(root).items(), "a finished partition was computed again"
        finished = manifest_times(root)
    finish(config, "inline")
    assert contents(root) == {name: digest for name, digest in contents(demo).items() if not name.startswith("videos/")}


def test_again_computes_nothing(demo: Path, tmp_path: Path):
    before = manifest_times(demo)
    report = run_dataset(config_of(demo), engine="inline")
    assert manifest_times(demo) == before
    assert report.new_partitions == 0


@pytest.mark.ray
def test_ray_writes_the_same_bytes(demo: Path, tmp_path: Path):
    """The same videos through Ray, with two workers a stage: every table, tar and shard is the inline run's, byte for byte."""
    root = tmp_path / "on ray"
    report = run_dataset(load_config("demo", [f"root={root}", f"source.path={demo / 'videos'}", "placement.workers=2"]), engine="ray")
    assert not report.errors
    expected = {name: digest for name, digest in contents(demo).items() if not name.startswith("videos/")}
    assert contents(root) == expected


def test_changed_prompt(demo: Path, tmp_path: Path):
    """The plan names the field, and lists captions and what reads them, nothing upstream."""
    root = copy_of(demo, tmp_path / "copy")
    source = f"source.path={demo / 'videos'}"
    changed = load_config("demo", [f"root={root}", source, "stages.caption_clips.coarse.prompt=what is it"])
    found = preview(changed)
    assert [stage.stage for stage in found.stages if stage.to_compute] == [
        "caption_clips",
        "score_alignment",
        "select_clips",
        "write_shards",
    ]
    by_name = {stage.stage: stage for stage in found.stages}
    assert [(change.field, change.old, change.new) for change in by_name["caption_clips"].changes] == [
        ("stages.caption_clips.coarse.prompt", None, "what is it")
    ]
    assert "reads caption_clips, which is computed again" in by_name["score_alignment"].reasons
    before = manifest_times(root)
    run_dataset(changed, engine="inline")
    untouched = {name: time for name, time in before.items() if name.startswith(("import_videos", "cut_clips"))}
    assert untouched and untouched.items() <= manifest_times(root).items()
    assert {row.prompt for row in table(root, CaptionRecord) if row.scale == "coarse"} == {"what is it"}
    assert len(samples(root)) == len({sample["__key__"] for sample in samples(root)}) == len(samples(demo)), (
        "no old shard is left beside the new"
    )
    back = load_config("demo", [f"root={root}", source])
    run_dataset(back, engine="inline")
    assert len(samples(root)) == len(samples(demo)), "going back packs the old captions again"
    assert {sample["txt"] for sample in samples(root)} == {sample["txt"] for sample in samples(demo)}


def test_a_video_is_taken_out(demo: Path, tmp_path: Path):
    """Of real tables: scans, kept frames and clips lie in tars of the partition, and rows of other videos point into the same tars."""
    root = copy_of(demo, tmp_path / "copy")
    description = root / "dataset.yaml"
    description.write_text(description.read_text().replace(f"root: {demo}", f"root: {root}"))
    clips = table(root, ClipRecord)
    gone = next(clip for clip in clips if Path(clip.source_uri).name.startswith("01_"))  # of which 07 is a copy: it goes too
    kept = {sample["__key__"]: sample["mp4"] for sample in samples(root) if not sample["__key__"].startswith(gone.video_id)}
    opened, _, plans, partitions = open_dataset(str(root))
    report = remove_videos(opened, plans, [gone.video_id])
    assert report.rows["cut_clips"] == sum(clip.video_id == gone.video_id for clip in clips)
    assert {sample["__key__"]: sample["mp4"] for sample in samples(root)} == kept
    assert validate_dataset(opened, plans, partitions, read_media=True).problems == []
    files = [path for path in root.rglob("*") if path.is_file() and root / "videos" not in path.parents]
    left = [path for path in files if gone.video_id.encode() in path.read_bytes()]
    assert left == []
    for clip in table(root, ClipRecord):
        for frame in clip.frames:
            assert opened.read_media(frame.media)[:2] == b"\xff\xd8", "a JPEG, where the row says"
    before = manifest_times(root)
    assert run_dataset(config_of(root, f"source.path={demo / 'videos'}"), engine="inline").new_partitions == 0
    assert manifest_times(root) == before


def test_placement_recomputes_nothing(demo: Path):
    overrides = ["placement.workers=7", "placement.stages.cut_clips.cpus=2", "placement.stages.caption_clips.batch_size=3"]
    assert all(stage.to_compute == 0 for stage in preview(config_of(demo, *overrides)).stages)
    assert [plan.fingerprint for plan in build_plan(config_of(demo, *overrides), 3)] == [
        plan.fingerprint for plan in build_plan(config_of(demo), 3)
    ]
