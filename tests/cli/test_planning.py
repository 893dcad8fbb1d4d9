"""`status` with prices and from anywhere, `gc`, `plan --estimate` and `--simulate`, as people type them."""

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Run, make_videos, write_toy

RATES = """
hours_per_video: 0.1
videos_per_partition: 10
stages:
  toy_numbers: {worker_s: 36, cpus: 1, items: 10, size_mb: 1, basis: measured, source: bench of today}
  toy_squares: {worker_s: 360, cpus: 1, items: 10, size_mb: 100, basis: assumed, source: a guess}
"""
MACHINES = """
currency: EUR
prices_from: our provider, 2026-11-01
machines: {small: {count: 2, cpus: 4, price_per_hour: 1.5}}
storage: {per_gb_month: 0.02, per_1000_writes: 0.005, per_1000_reads: 0.0004, per_1000_lists: 0.005}
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "rates.yaml").write_text(RATES)
    (tmp_path / "machines.yaml").write_text(MACHINES)
    return tmp_path


def test_status_with_prices_tells_what_the_work_has_cost(internvid: Run, toy_set: Path, files: Path):
    done = internvid("status", toy_set / "set", "--machines", files / "machines.yaml", "--json")
    found = json.loads(done.stdout)
    for stage in found["stages"]:
        assert stage["cost"] == pytest.approx(stage["cpu_s"] / 4 * 1.5 / 3600, abs=2e-4)
    assert found["currency"] == "EUR" and found["cost"] == pytest.approx(sum(stage["cost"] for stage in found["stages"]), abs=1e-3)
    text = internvid("status", toy_set / "set", "--machines", files / "machines.yaml").stdout
    assert "our provider, 2026-11-01" in text and "last partition finished" in text
    assert "no sum of money" in internvid("status", toy_set / "set", "--machines", "machines").stdout


def test_watching_ends_when_everything_is_done(internvid: Run, toy_set: Path):
    done = internvid("status", toy_set / "set", "--watch")
    assert done.returncode == 0 and "toy_squares" in done.stdout


def test_estimate_from_a_file(internvid: Run, toy_set: Path, files: Path):
    options = ("--rates", files / "rates.yaml", "--machines", files / "machines.yaml", "--videos", 1000)
    found = json.loads(internvid("plan", toy_set / "toy.yaml", "--estimate", *options, "--json").stdout)["estimate"]
    assert (found["video_hours"], found["partitions"], found["cpu_hours"]) == (100, 100, pytest.approx(11))
    assert (found["bottleneck"], found["money"]["currency"]) == ("toy_squares", "EUR")
    assert [stage["basis"] for stage in found["stages"]] == ["given", "assumed"]
    text = internvid("plan", toy_set / "toy.yaml", "--estimate", *options).stdout
    assert "assumed: rate of toy_squares: a guess" in text and "bottleneck: toy_squares" in text and "our provider" in text


def test_simulation_with_a_plot(internvid: Run, toy_set: Path, files: Path):
    options = ("--rates", files / "rates.yaml", "--machines", files / "machines.yaml", "--videos", 1000, "--plot", files / "flow.png")
    done = internvid("plan", toy_set / "toy.yaml", "--simulate", *options)
    assert done.returncode == 0, done.stderr
    assert "200 units" in done.stdout and "bottleneck: toy_squares" in done.stdout and "holds: largest folder" in done.stdout
    assert (files / "flow.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--estimate",), "nothing is measured yet: run a sample of the videos first, or give --rates FILE"),
        (("--estimate", "--rates", "nowhere"), "no rates file 'nowhere'"),
        (("--estimate", "--machines", "nowhere"), "no machines file 'nowhere'"),
        (("--videos", 3), "belong to --estimate or --simulate"),
        (("--estimate", "--videos", 0), "--videos"),
    ],
)
def test_wrong_usage_is_one_line(internvid: Run, toy_set: Path, options: tuple, words: str):
    done = internvid("plan", toy_set / "toy.yaml", *options)
    assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1


@pytest.fixture
def two_configs(tmp_path: Path, internvid: Run) -> Path:
    """A set that was run with one prompt and then with another."""
    make_videos(tmp_path / "videos", 1, 2, 3, 4)
    for prompt in ("first", "second"):
        config = write_toy(tmp_path, {"prompt": prompt})
        assert internvid("run", config, "--engine", "inline", "-q").returncode == 0
        shutil.copy(config, tmp_path / f"{prompt}.yaml")
    return tmp_path


def test_gc_asks_for_yes_shows_and_deletes(internvid: Run, two_configs: Path):
    root = two_configs / "set"
    done = internvid("gc", root)
    assert done.returncode == 2 and "give --yes, or --dry-run" in done.stderr
    dry = internvid("gc", root, "--dry-run", "--grace-hours", 0)
    assert dry.returncode == 0 and "old      toy_squares/" in dry.stdout and "nothing was deleted" in dry.stdout
    assert "younger than the grace time" in internvid("gc", root, "--dry-run").stdout
    kept = json.loads(internvid("gc", root, "-n", "--grace-hours", 0, "--keep", two_configs / "first.yaml", "--json").stdout)
    assert [found for found in kept["garbage"] if found["kind"] != "scratch"] == [] and kept["deleted"] is False
    busy = internvid("gc", root, "--yes", "--grace-hours", 0)
    assert busy.returncode == 2 and "a run seems to be at work" in busy.stderr
    assert len(list((root / "toy_squares").iterdir())) == 2
    done = internvid("gc", root, "--yes", "--grace-hours", 0, "--idle-minutes", 0, "--json")
    found = json.loads(done.stdout)
    assert found["deleted"] is True and "old" in {one["kind"] for one in found["garbage"]}
    assert len(list((root / "toy_squares").iterdir())) == 1
    assert internvid("validate", root, "--read-media").returncode == 0
    again = json.loads(internvid("plan", two_configs / "second.yaml", "--json").stdout)
    assert all(stage["to_compute"] == 0 for stage in again["stages"])


def test_validate_tells_of_a_path_that_leaves_the_root_and_goes_on(internvid: Run, toy_set: Path, tmp_path: Path):
    shutil.copytree(toy_set / "set", tmp_path / "set")
    manifests = sorted((tmp_path / "set").glob("toy_squares/*/*.manifest.json"))
    for number, path in ((0, "../../outside.parquet"), (1, "/etc/passwd")):
        data = json.loads(manifests[number].read_text())
        data["files"][0]["path"] = path
        manifests[number].write_text(json.dumps(data))
    done = internvid("validate", tmp_path / "set", "--json")
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    words = [problem["what"] for problem in found["problems"] if "is not a path below" in problem["what"]]
    assert len(words) == 2 and found["checked_partitions"] == 6
