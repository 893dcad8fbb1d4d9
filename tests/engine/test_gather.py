"""Shards over many partitions: groups follow the appends, nothing old is rewritten, a missing partition stops only its own group."""

import json
from pathlib import Path

import pytest

from internvid_pipeline.cli.dataset import open_dataset
from internvid_pipeline.engine import build_plan, run_dataset
from internvid_pipeline.engine.gather import group_of, open_groups, without_groups_of
from internvid_pipeline.engine.outcomes import input_outcomes
from internvid_pipeline.engine.read_items import read_rows
from internvid_pipeline.engine.validate import validate_dataset
from internvid_pipeline.records import SampleRecord
from internvid_pipeline.storage import Root
from tests.conftest import contents, manifest_times
from tests.made_stages import made_config

SMALL = {"shard_samples": 9, "shuffle_partitions": 4}
EVERY = {"selections": {"default": {"rules": []}}}


def small_config(tmp_path: Path, num_videos: int = 12, root: str = "root", **shards):
    return made_config(tmp_path / root, tmp_path / "videos", num_videos, 2, write_shards={**SMALL, **shards}, select_clips=EVERY)


def run(config):
    report = run_dataset(config, engine="inline")
    assert not report.errors
    return report


def samples(root: Path) -> dict[int, list[SampleRecord]]:
    opened, _, plans, partitions = open_dataset(str(root))
    return {partition: read_rows(opened, plans[-1].folder, partition, SampleRecord) for partition in partitions}


def test_a_group_is_packed_together_and_accounted_for(tmp_path: Path):
    """Twelve videos in six partitions, in groups of three partitions each."""
    config = small_config(tmp_path)
    run(config)
    found = samples(tmp_path / "root")
    opened, _, plans, partitions = open_dataset(str(tmp_path / "root"))
    assert [list(group_of(opened, plans[-1], partition)) for partition in (0, 3)] == [[0, 1, 2], [3, 4, 5]]
    for group in ((0, 1, 2), (3, 4, 5)):
        videos = {int(row.video_id[-2:]) for partition in group for row in found[partition]}
        listed = sorted(map(str, range(12)))[2 * group[0] : 2 * group[-1] + 2]  # by the files' names
        assert videos == set(map(int, listed)), "a group holds its own videos and no others"
    mixed = [{row.video_id for row in rows if row.shard == shard} for rows in found.values() for shard in {row.shard for row in rows}]
    assert all(len(videos) > 2 for videos in mixed), "each shard has clips of more videos than a partition holds"
    report = validate_dataset(opened, plans, partitions, read_media=True)
    assert not report.problems
    outcomes = list(input_outcomes(opened, plans, partitions))
    assert [one.in_shards for one in outcomes] == [one.clips for one in outcomes] and len(outcomes) == 12


def test_new_data_adds_shards_and_changes_none(tmp_path: Path):
    run(small_config(tmp_path))
    root = tmp_path / "root"
    before, times = contents(root), manifest_times(root)
    index = json.loads((root / "shards/default/index.json").read_text())["shardlist"]
    run(small_config(tmp_path, num_videos=15))
    after = contents(root)
    changed = {name for name, digest in before.items() if after.get(name) != digest}
    assert changed == {"shards/default/index.json"}
    assert times.items() <= manifest_times(root).items()
    assert json.loads((root / "shards/default/index.json").read_text())["shardlist"][: len(index)] == index
    assert len([name for name in after if name.endswith(".tar") and name.startswith("shards/")]) > len(index)


def test_the_same_appends_give_the_same_bytes(tmp_path: Path):
    """Partitions of shards undone, with leftovers of workers that were killed before their manifests, and a group not dealt out yet:
    the same bytes as of a run that was left alone."""
    run(small_config(tmp_path))
    run(small_config(tmp_path, root="other"))
    expected, root = contents(tmp_path / "root"), tmp_path / "other"
    for path in [
        *root.glob("write_shards/*/00001.*"),
        *root.glob("write_shards/*/00003.manifest.json"),
        *root.glob("write_shards/*/groups/0*t"),
    ]:
        path.unlink()
    run(small_config(tmp_path, root="other"))
    assert contents(root) == expected


def test_a_missing_partition_stops_only_its_group(tmp_path: Path):
    config = small_config(tmp_path)
    run(config)
    root = tmp_path / "root"
    opened = Root(str(root))
    plan = build_plan(config, 6)[-1]
    assert without_groups_of(opened, plan, [0, 1, 2, 3, 4, 5], {1}) == [3, 4, 5]
    assert without_groups_of(opened, build_plan(config, 6)[0], [0, 1, 2], {1}) == [0, 2]
    for path in root.glob("write_shards/*/*.json"):
        path.unlink()
    for path in root.glob("select_clips/*/00001.manifest.json"):
        path.unlink()
    report = run_dataset(config, engine="inline", only="write_shards")
    assert {(error.partition, str(error.kind)) for error in report.errors} <= {(0, "missing"), (1, "missing"), (2, "missing")}
    assert report.errors and report.statuses[0].partitions_done >= 3


def test_groups_are_cut_evenly_and_never_over_appends(tmp_path: Path):
    plan = build_plan(small_config(tmp_path), 10)[-1]
    root = Root(str(tmp_path / "root"))
    open_groups(root, plan, [(0, 9), (10, 10), (11, 15)])
    groups = {tuple(group_of(root, plan, partition)) for partition in range(16)}
    assert sorted(groups) == [(0, 1, 2), (3, 4, 5), (6, 7, 8, 9), (10,), (11, 12), (13, 14, 15)]
    with pytest.raises(FileNotFoundError, match="no group holds partition 16"):
        group_of(root, plan, 16)


def test_another_config_replaces_the_shards(tmp_path: Path):
    run(small_config(tmp_path))
    first = {path.name for path in (tmp_path / "root/shards/default").iterdir()}
    (tmp_path / "root/shards/default/00099-00000.tar").write_bytes(b"left by a worker that was killed before its manifest")
    run(small_config(tmp_path, shard_samples=4))
    now = {path.name for path in (tmp_path / "root/shards/default").iterdir()}
    assert len(now) > len(first) and "00099-00000.tar" not in now
    index = json.loads((tmp_path / "root/shards/default/index.json").read_text())
    assert {shard["url"] for shard in index["shardlist"]} == {name for name in now if name.endswith(".tar")}
