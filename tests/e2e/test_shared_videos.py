"""Real files of twenty-two kinds: every one accounted for once, cuts where a person saw them. Skipped by name where they are absent."""

import itertools
import json
from collections import Counter
from pathlib import Path

import pytest

from internvid_pipeline.cli.dataset import open_dataset
from internvid_pipeline.config import config_from, load_config
from internvid_pipeline.engine import StatusReader, read_losses, run_dataset
from internvid_pipeline.engine.outcomes import input_outcomes
from internvid_pipeline.engine.read_items import read_rows
from internvid_pipeline.engine.validate import validate_dataset
from internvid_pipeline.records import ClipRecord, DuplicateRecord
from tests.conftest import shared_videos

pytestmark = pytest.mark.skipif(shared_videos() is None, reason="no real test videos: set INTERNVID_TEST_VIDEOS to their folder")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("real") / "root"
    demo = load_config("demo", [f"root={place}", f"source.path={shared_videos()}"]).model_dump(mode="json")
    stages = list(demo["stages"].items())
    after = [key for key, _ in stages].index("cut_clips") + 1
    stages[after:after] = [("hash_clips", {}), ("deduplicate_clips", {})]
    report = run_dataset(config_from({**demo, "stages": dict(stages)}), engine="inline")
    assert not report.errors
    return place


def test_every_file_is_accounted_for_once(root: Path):
    opened, _, plans, partitions = open_dataset(str(root))
    found = {Path(outcome.uri).name: outcome for outcome in input_outcomes(opened, plans, partitions)}
    videos = shared_videos()
    assert videos is not None
    assert sorted(found) == sorted(path.name for path in videos.iterdir() if path.suffix in (".mp4", ".ts", ".webm", ".wmv", ".flv"))
    assert Counter(outcome.outcome for outcome in found.values()) == {"clips": 17, "dropped": 3, "failed": 2}
    reasons = {name[:3]: outcome.reason.split(":")[0] for name, outcome in found.items() if not outcome.clips}
    assert reasons == {"s16": "black", "s17": "no_video", "s18": "damaged", "s19": "UnreadableMedia", "s20": "UnreadableMedia"}


def test_sums_close_and_nothing_is_wrong(root: Path):
    opened, _, plans, partitions = open_dataset(str(root))
    for status in StatusReader(opened, plans, partitions).read():
        assert status.inputs == status.emitted + status.dropped + status.failed, status.stage
    assert validate_dataset(opened, plans, partitions, read_media=True).problems == []


def test_failures_say_why(root: Path):
    opened, _, plans, _ = open_dataset(str(root))
    failures = [row for plan in plans for _, row in read_losses(opened, plan, "failures")]
    words = {Path(row.item_id).name: row.message for row in failures}
    assert sorted(words) == ["s19_no_moov.mp4", "s20_empty.flv"]
    assert words["s19_no_moov.mp4"] == "not readable as a video: moov atom not found"
    assert words["s20_empty.flv"].startswith("not readable as a video: no media data found")


def test_clips_cover_each_video_without_gap(root: Path):
    opened, _, plans, partitions = open_dataset(str(root))
    plan = next(plan for plan in plans if plan.name == "cut_clips")
    clips = [row for partition in partitions for row in read_rows(opened, plan.folder, partition, ClipRecord)]
    dropped = {row.item_id for _, row in read_losses(opened, plan, "drops")}
    for video_id in {clip.video_id for clip in clips}:
        own = sorted((clip for clip in clips if clip.video_id == video_id), key=lambda clip: clip.start_frame)
        if not any(item.startswith(video_id) for item in dropped):
            assert own[0].start_frame == 0
            assert all(before.end_frame == after.start_frame for before, after in itertools.pairwise(own))


def test_hard_cuts_are_found(root: Path):
    """Recall of the hard cuts that a person checked, within 2 frames: InternVid's detector at 27 finds 31 of 33 of them."""
    videos = shared_videos()
    assert videos is not None
    reference = json.loads((videos / "cuts_reference.json").read_text())["files"]
    opened, _, plans, partitions = open_dataset(str(root))
    plan = next(plan for plan in plans if plan.name == "cut_clips")
    starts: dict[str, set[int]] = {}
    for partition in partitions:
        for clip in read_rows(opened, plan.folder, partition, ClipRecord):
            starts.setdefault(Path(clip.source_uri).name, set()).update((clip.start_frame, clip.end_frame))
    cuts = [(name, part["frame"]) for name, entry in reference.items() for part in entry["transitions"] if part["type"] == "cut"]
    found = [any(abs(frame - start) <= 2 for start in starts.get(name, ())) for name, frame in cuts]
    assert len(cuts) >= 30
    assert sum(found) >= len(cuts) - 2


def test_one_footage_in_two_files_is_found_and_nothing_else(root: Path):
    """s06 and s07 are one take in two codecs; d02 is the beginning of s01, telecined and stretched. s13 is of the same film as s01 but
    shows other scenes of it, so that it must not be taken for a double."""
    opened, _, plans, partitions = open_dataset(str(root))
    by_name = {plan.name: plan for plan in plans}
    clips = [row for partition in partitions for row in read_rows(opened, by_name["cut_clips"].folder, partition, ClipRecord)]
    files = {clip.clip_id: Path(clip.source_uri).name[:3] for clip in clips}
    folder = by_name["deduplicate_clips"].folder
    doubles = [row for partition in partitions for row in read_rows(opened, folder, partition, DuplicateRecord) if row.duplicate_of]
    found = Counter(tuple(sorted((files[row.clip_id], files[row.duplicate_of or ""]))) for row in doubles)
    assert found == {("d02", "s01"): sum(name == "d02" for name in files.values()), ("s06", "s07"): 1}
