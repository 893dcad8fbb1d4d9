"""`--json` for scripts: the keys that they rely on, and sums that close."""

import json
import shutil
from pathlib import Path
from typing import Any

from tests.cli.conftest import Run, make_videos, write_toy


def answer(internvid: Run, *arguments: object, status: int = 0) -> Any:
    done = internvid(*arguments, "--json")
    assert done.returncode == status, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_status(internvid: Run, toy_set: Path):
    found = answer(internvid, "status", toy_set / "set")
    assert list(found) == ["root", "name", "partitions", "stages", "last_finished_at", "cost", "currency"]
    assert (found["root"], found["name"], found["partitions"]) == (str(toy_set / "set"), "toy", 3)
    numbers, squares = found["stages"]
    for stage in found["stages"]:
        assert set(stage) >= {"stage", "fingerprint", "partitions", "partitions_done", "inputs", "emitted", "dropped", "failed", "rows"}
        assert set(stage) >= {"dropped_parts", "drops_by_reason", "failures_by_class", "size_bytes", "wall_s", "files", "ready"}
        assert set(stage) >= {"items_per_hour", "video_hours_per_hour", "left_s", "cost", "cpu_s", "gpu_s", "last_finished_at"}
        assert (stage["ready"], stage["left_s"], stage["cost"]) == (0, 0, None)
        assert stage["inputs"] == stage["emitted"] + stage["dropped"] + stage["failed"]
        assert sum(stage["drops_by_reason"].values()) == stage["dropped"]
        assert sum(stage["failures_by_class"].values()) == stage["failed"]
        assert stage["partitions_done"] == stage["partitions"] == 3
        assert (toy_set / "set" / stage["stage"] / stage["fingerprint"]).is_dir()
    assert (numbers["inputs"], numbers["emitted"], numbers["dropped"], numbers["failed"]) == (8, 7, 1, 0)
    assert (squares["inputs"], squares["emitted"], squares["dropped"], squares["failed"]) == (7, 6, 0, 1)
    assert numbers["drops_by_reason"] == {"too_short": 1} and squares["failures_by_class"] == {"ValueError": 1}
    assert squares["inputs"] == numbers["rows"]


def test_status_of_a_run_that_stopped_early(internvid: Run, tmp_path: Path):
    make_videos(tmp_path / "videos", 1, 2)
    done = internvid("run", write_toy(tmp_path), "--engine", "inline", "--until", "toy_numbers", "-q")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    numbers, squares = answer(internvid, "status", tmp_path / "set")["stages"]
    assert (numbers["partitions_done"], squares["partitions_done"], squares["inputs"]) == (numbers["partitions"], 0, 0)


def test_failures(internvid: Run, toy_set: Path):
    (failure,) = answer(internvid, "failures", toy_set / "set")
    assert set(failure) == {"kind", "partition", "stage", "item_id", "error_class", "message", "detail", "attempts"}
    assert (failure["kind"], failure["stage"], failure["item_id"]) == ("failure", "toy_squares", "3")
    assert (failure["error_class"], failure["message"]) == ("ValueError", "3 is not to my taste, says <object object at 0x…>")
    losses = answer(internvid, "failures", toy_set / "set", "--drops")
    (drop,) = [loss for loss in losses if loss["kind"] == "drop"]
    assert len(losses) == 2
    assert set(drop) == {"kind", "partition", "stage", "item_id", "part_of", "reason", "message"}
    assert (drop["stage"], drop["reason"], drop["part_of"], Path(drop["item_id"]).name) == ("toy_numbers", "too_short", None, "-1.mp4")
    assert answer(internvid, "failures", toy_set / "set", "--stage", "toy_numbers") == []


def test_validate_also_where_the_data_set_has_been_moved_to(internvid: Run, toy_set: Path, tmp_path: Path):
    shutil.copytree(toy_set / "set", tmp_path / "moved")
    found = answer(internvid, "validate", tmp_path / "moved", "--read-media")
    assert set(found) == {"problems", "warnings", "checked_partitions", "checked_rows", "checked_samples"}
    assert (found["problems"], found["checked_partitions"], found["checked_rows"]) == ([], 6, 13)


def test_plan(internvid: Run, toy_set: Path, tmp_path: Path):
    found = answer(internvid, "plan", toy_set / "toy.yaml")
    assert list(found) == ["root", "inputs", "new_inputs", "partitions", "stages", "collecting"] and found["collecting"] is None
    assert (found["inputs"], found["new_inputs"], found["partitions"]) == (8, 0, 3)
    for stage in found["stages"]:
        assert set(stage) == {"stage", "fingerprint", "to_compute", "done", "reasons", "changes"}
        assert (stage["to_compute"], stage["done"], stage["reasons"], stage["changes"]) == (0, 3, [], [])
    numbers, squares = answer(internvid, "plan", toy_set / "toy.yaml", "stages.tests.toy_stages:Squares.prompt=other")["stages"]
    assert (numbers["to_compute"], squares["to_compute"]) == (0, 3)
    assert squares["changes"] == [{"field": "stages.tests.toy_stages:Squares.prompt", "old": "square", "new": "other"}]
    fresh = answer(internvid, "plan", toy_set / "toy.yaml", f"root={tmp_path}/new")
    assert (fresh["partitions"], fresh["new_inputs"]) == (0, 8)
    assert not (tmp_path / "new").exists(), "a plan reads only"


def test_config(internvid: Run):
    fields = answer(internvid, "config", "explain")
    assert all(set(field) == {"path", "type", "bounds", "default", "meaning", "in_fingerprint"} for field in fields)
    assert {"root", "source.path", "stages.cut_clips.threshold"} <= {field["path"] for field in fields}
    shown = answer(internvid, "config", "show", "demo", "root=elsewhere", "stages.cut_clips.threshold=30")
    assert shown["root"] == "elsewhere" and shown["stages"]["cut_clips"]["threshold"] == 30


def test_tables_for_people_say_the_same(internvid: Run, toy_set: Path):
    status = internvid("status", toy_set / "set").stdout
    assert "toy_squares" in status and "3/3" in status and "1 ValueError" in status
    failures = internvid("failures", toy_set / "set", "--drops", "--limit", "1").stdout
    assert "-1 is negative" in failures and "2 in all: 1 too_short, 1 ValueError; 1 not shown (--limit)" in failures
    plan = internvid("plan", toy_set / "toy.yaml").stdout
    assert "8 inputs, 0 of them new; 3 partitions" in plan


def test_too_many_failures_are_status_1(internvid: Run, toy_set: Path):
    assert internvid("run", toy_set / "toy.yaml", "--engine", "inline", "--max-failed-ratio", "0.1", "-q").returncode == 1
