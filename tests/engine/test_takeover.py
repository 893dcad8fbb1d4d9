"""Two runs at once on one root: the later one owns what both do; published files are always one version."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from internvid_pipeline.config import config_from
from internvid_pipeline.engine import build_plan, open_root, partition_numbers, run_dataset
from internvid_pipeline.engine.attempt import ErrorKind, attempt_partition
from internvid_pipeline.engine.ownership import Ownership, Superseded, newest, own_runs
from internvid_pipeline.engine.partition import run_partition
from internvid_pipeline.engine.publish import withdraw_superseded
from internvid_pipeline.engine.reduce import Reduced
from internvid_pipeline.engine.workers.host import open_host
from internvid_pipeline.storage import Root, done_partitions, layout

SHARDS = "tests.cluster.chaos_stages:Shards"


def config_at(root: Path, source: Path, salt: str = ""):
    stages: dict[str, Any] = {f"tests.cluster.chaos_stages:{name}": {"salt": salt} for name in ("Pieces", "Words", "Shards")}
    raw = {"root": str(root), "source": {"path": str(source), "partition_videos": 5}, "stages": stages, "max_failed_ratio": 1.0}
    return config_from({**raw, "placement": {"isolate": False, "partition_attempts": 1}})


@pytest.fixture
def ready(tmp_path: Path, numbers_folder: Path):
    """Two configs over one root, all but the shards done for both."""
    configs = [config_at(tmp_path / "root", numbers_folder, salt) for salt in ("", "other")]
    for config in configs:
        assert not run_dataset(config, engine="inline", until="chaos_words").errors
    return configs


def shard_plan(config):
    return build_plan(config, 4)[2]


def published(root: Root) -> dict[str, bytes]:
    return {name: root.read_bytes(f"shards/chaos/{name}") for name in root.list_names("shards/chaos")}


def host_of(config, plan):
    return open_host(plan, open_root(config), Reduced(), config.placement)


def test_the_later_config_owns_the_folder_and_going_back_works(ready):
    first, second = ready
    root = open_root(first)
    run_dataset(first, engine="inline")
    old = published(root)
    assert len(old) == 4
    run_dataset(second, engine="inline")
    assert published(root).keys() == old.keys() and published(root) != old
    assert done_partitions(root, shard_plan(first).folder) == set()
    run_dataset(first, engine="inline")
    assert published(root) == old


def test_a_worker_that_is_late_publishes_nothing(ready):
    """The first run's worker is still alive when the second takes the folder over: before its commit, and in the middle of it."""
    first, second = ready
    root, plan = open_root(first), shard_plan(first)
    withdraw_superseded(root, plan)
    host = host_of(first, plan)
    run_dataset(second, engine="inline")
    current = published(root)
    with pytest.raises(Superseded, match="another config has taken over shards/chaos"):
        run_partition(root, plan, 0, host)
    assert published(root) == current
    assert done_partitions(root, plan.folder) == set()
    host.close()


def test_a_worker_that_commits_after_the_takeover_takes_it_back(ready, monkeypatch: pytest.MonkeyPatch):
    first, second = ready
    root, plan = open_root(first), shard_plan(first)
    withdraw_superseded(root, plan)
    host = host_of(first, plan)
    from internvid_pipeline.engine import partition as module

    checked = module.check_current

    def takeover_in_between(*arguments) -> None:
        checked(*arguments)
        monkeypatch.setattr(module, "check_current", checked)
        assert not run_dataset(second, engine="inline").errors

    monkeypatch.setattr(module, "check_current", takeover_in_between)
    with pytest.raises(Superseded):
        run_partition(root, plan, 0, host)
    host.close()
    assert len(published(root)) == 4, "nothing of the late worker is left, and nothing of the current run is gone"
    assert done_partitions(root, plan.folder) == set()
    run_dataset(second, engine="inline")
    for partition in range(4):
        name = f"{partition:05d}.tar"
        assert b"other" in published(root)[name]


def test_what_a_killed_run_left_in_the_folder_is_cleared_away(ready):
    """A tar without a manifest, of a worker that was killed between the two."""
    first, second = ready
    root = open_root(first)
    withdraw_superseded(root, shard_plan(first))
    root.put_bytes_if_absent("shards/chaos/00000.tar", b"left by a worker that was killed")
    run_dataset(second, engine="inline")
    assert sorted(published(root)) == [f"{partition:05d}.tar" for partition in range(4)]
    assert b"left by" not in b"".join(published(root).values())


def test_a_takeover_that_was_killed_is_finished(ready):
    """The generation is there, the clearing away is not: as after kill -9 in between."""
    first, second = ready
    root = open_root(first)
    run_dataset(first, engine="inline")
    folder = layout.publish_generations("shards/chaos")
    number, _ = newest(root, folder)
    owner = json.dumps({"stage": "chaos_shards", "fingerprint": shard_plan(second).fingerprint}).encode()
    root.put_bytes_if_absent(layout.generation_file(folder, number + 1), owner)
    assert not run_dataset(second, engine="inline").errors
    assert all(b"other" in data for data in published(root).values()) and len(published(root)) == 4


def test_the_later_run_stops_the_earlier_one(tmp_path: Path, numbers_folder: Path):
    config = config_at(tmp_path / "root", numbers_folder)
    assert not run_dataset(config, engine="inline", until="chaos_pieces").errors
    root, plan = open_root(config), build_plan(config, 4)[1]
    earlier, later = own_runs(root, [plan]), own_runs(root, [plan])
    host = host_of(config, plan)
    error = attempt_partition(root, plan, 0, lambda: host, 3, Ownership(root, plan, earlier))
    assert error is not None and error.kind is ErrorKind.FATAL
    assert "started later" in error.message and "this one stops" in error.message
    assert attempt_partition(root, plan, 0, lambda: host, 3, Ownership(root, plan, later)) is None
    host.close()
    assert done_partitions(root, plan.folder) == {0}


def test_one_of_many_that_start_at_once_is_the_owner(tmp_path: Path, numbers_folder: Path):
    config = config_at(tmp_path / "root", numbers_folder)
    root, plan = open_root(config), build_plan(config, 4)[1]
    runs: list[str] = []
    threads = [threading.Thread(target=lambda: runs.append(own_runs(Root(root.uri), [plan]))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    number, content = newest(root, layout.run_generations(plan.folder))
    assert number == 7 and content["run"] in runs
    allowed = []
    for run in runs:
        try:
            Ownership(root, plan, run).check()
            allowed.append(run)
        except Superseded:
            pass
    assert allowed == [content["run"]]


def test_partitions_are_numbered_in_the_log_of_appends(tmp_path: Path, numbers_folder: Path):
    """A planner that was killed after its entry and before its tables: the next one writes them."""
    config = config_at(tmp_path / "root", numbers_folder)
    run_dataset(config, engine="inline", until="chaos_pieces")
    root = open_root(config)
    tables = {number: root.read_bytes(layout.sources_table(number)) for number in partition_numbers(root)}
    for number in (1, 3):
        root.delete(layout.sources_table(number))
    assert partition_numbers(root) == [0, 2]
    run_dataset(config, engine="inline", until="chaos_pieces")
    assert {number: root.read_bytes(layout.sources_table(number)) for number in partition_numbers(root)} == tables
