"""`internvid launch` to a real cluster of three nodes, with its root on S3: what it writes, and what is seen of it meanwhile."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
import yaml

from internvid_pipeline.config import load_config
from internvid_pipeline.engine import run_dataset
from internvid_pipeline.media.synth_encode import Shot, VideoSettings, encode
from tests.conftest import contents
from tests.s3 import S3, objects

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]
SECRET = "a-secret-that-nobody-may-see"


@pytest.fixture(scope="module", autouse=True)
def sets(s3: S3) -> str:
    return s3.bucket("sets")


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("numbers")
    for number in range(12):
        (folder / f"{number}.mp4").write_bytes(b"x" * (number + 1))
    return folder


def toy(folder: Path, numbers: Path, root: str, **squares: object) -> Path:
    """A config file; partitions of four."""
    stages = {"tests.toy_stages:Numbers": {"with_media": True}, "tests.toy_stages:Squares": squares, "tests.toy_stages:Totals": {}}
    raw = {"name": "toy", "root": root, "source": {"path": str(numbers), "partition_videos": 4}, "stages": stages}
    raw |= {"placement": {"workers": 2}, "max_failed_ratio": 0.5}
    path = folder / f"{root.rsplit('/', 1)[-1]}.yaml"
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    return path


def test_a_launched_run_equals_the_inline_run(internvid, s3: S3, numbers: Path, tmp_path: Path):
    config = toy(tmp_path, numbers, "s3://sets/toy", raises=[3])
    undisturbed = run_dataset(load_config(str(config), [f"root={tmp_path / 'root'}"]), engine="inline")
    assert not undisturbed.errors
    passed = {**s3.env, "AWS_SECRET_ACCESS_KEY": SECRET}
    done = internvid("launch", config, "--env", "AWS_*", "--env", f"SPARE={SECRET}", env=passed)
    assert done.finish() == 0, done.errors + done.output
    assert objects(s3.filesystem, "sets/toy") == contents(tmp_path / "root")
    assert "internvid: checked 3 of 3 nodes" in done.errors
    assert "toy_totals: 3/3 partitions" in done.output and "lost in toy_squares: 1 ValueError" in done.output
    listed = internvid("jobs", "--json")
    assert listed.finish() == 0
    job = json.loads(listed.output)[0]
    assert (job["name"], job["root"], job["status"], job["exit_status"]) == ("toy", "s3://sets/toy", "SUCCEEDED", 0)
    log = internvid("logs", job["id"].removeprefix("internvid-")[:12])
    assert log.finish() == 0 and "toy_totals" in log.output
    shown = done.errors + done.output + listed.output + log.output
    shown += "".join(s3.filesystem.cat_file(path).decode(errors="replace") for path in s3.filesystem.find("sets/toy"))
    assert SECRET not in shown


def test_ctrl_c_leaves_the_job_and_a_second_launch_is_refused(internvid, s3: S3, numbers: Path, tmp_path: Path):
    """Two launches at the same moment: one job stays. Ctrl-C on it leaves it at work; `stop` ends it in order."""
    config = toy(tmp_path, numbers, "s3://sets/slow", work_s=0.6)
    both = [internvid("launch", config, "--env", "AWS_*", env=dict(s3.env)) for _ in range(2)]
    while all(launched.process.poll() is None for launched in both) and not any("checked" in launched.errors for launched in both):
        time.sleep(0.2)
    first, second = sorted(both, key=lambda launched: launched.process.poll() is not None)
    assert second.finish() == 2, second.errors
    (line,) = [line for line in second.errors.splitlines() if "launched" not in line]
    assert "is at work on s3://sets/slow" in line and "--again" in line
    first.wait_for("internvid: checked")
    os.killpg(first.process.pid, signal.SIGINT)
    assert first.finish(30) == 0
    how = first.errors.splitlines()[-1]
    assert how.startswith("internvid: left; the job goes on. follow: internvid logs -f internvid-toy-") and "stop: internvid stop" in how
    running = internvid("jobs", "--active", "--json")
    assert running.finish() == 0
    assert [job["status"] for job in json.loads(running.output)] == ["RUNNING"]
    following = internvid("logs", "toy", "--follow")
    stopped = internvid("stop", "toy")
    assert stopped.finish() == 0 and stopped.output.strip().endswith(" stopped"), stopped.errors
    assert following.finish(60) == 3
    assert "was stopped; what is done is kept" in following.errors
    again = internvid("stop", "toy")
    assert again.finish() == 0 and "has ended already (stopped)" in again.output


@pytest.mark.soak
def test_a_second_job_on_the_same_root_takes_over_if_told(internvid, s3: S3, numbers: Path, tmp_path: Path):
    """`launch --again` beside a job that is at work: the later one does the rest, the earlier one says why it stops; nothing is doubled."""
    config = toy(tmp_path, numbers, "s3://sets/again", nap_s=2.5)
    slow = ("source.partition_videos=1", "placement.stages.toy_squares.deadline_factor=60")
    first = internvid("launch", config, *slow, "--env", "AWS_*", env=dict(s3.env))
    first.wait_for("internvid: checked")
    second = internvid("launch", config, *slow, "--again", "--env", "AWS_*", "--log-format", "json", env=dict(s3.env))
    assert second.finish() == 0, second.errors + second.output
    assert first.finish(60) == 3 and "was started later" in first.errors + first.output, first.errors + first.output
    assert '"message": "partition done"' not in second.errors, "workers log on their nodes"
    fast = [f"root={tmp_path / 'root'}", "source.partition_videos=1", "placement.isolate=false"]
    undisturbed = run_dataset(load_config(str(toy(tmp_path, numbers, "s3://sets/fast")), fast), engine="inline")
    assert not undisturbed.errors and objects(s3.filesystem, "sets/again") == contents(tmp_path / "root")


@pytest.mark.soak
def test_the_demos_stages_on_videos(internvid, s3: S3, tmp_path: Path):
    """The real stages on two videos of two shots each: tables, media and shards are the inline run's."""
    from internvid_pipeline.media import synth_scenes as scenes

    videos = tmp_path / "videos"
    videos.mkdir()
    for number, hue in enumerate((0.1, 0.5)):
        shots = (Shot(scenes.ball(hue=hue), 60), Shot(scenes.plasma(hue=hue + 0.4), 60))
        encode(videos / f"{number}.mp4", shots, VideoSettings(size_px=(320, 180)))
    overrides = [f"source.path={videos}", "name=two"]
    assert not run_dataset(load_config("demo", [f"root={tmp_path / 'root'}", *overrides]), engine="inline").errors
    done = internvid("launch", "demo", "root=s3://sets/two", *overrides, "--env", "AWS_*", env=dict(s3.env))
    assert done.finish() == 0, done.errors + done.output
    found = objects(s3.filesystem, "sets/two")
    assert found == contents(tmp_path / "root")
    assert any(name.startswith("shards/") and name.endswith(".tar") for name in found)


FAULTS = {
    "no bucket": (["root=s3://nowhere/x"], True, 3, "cannot write to the root in s3://nowhere/x: no such folder or bucket"),
    "no credentials": (
        [],
        False,
        3,
        "cannot write to the root in s3://sets/x1: Unable to locate credentials",
    ),
    "no GPU": (["placement.stages.toy_squares.gpus=1"], True, 3, "stage toy_squares needs 1 gpus for one worker"),
    "missing package": (
        ["stages.tests.cluster.needy_stage:Needy={}"],
        True,
        3,
        "lacks the package yt_dlp; install it there",
    ),
    "unseen folder": (["source.path=/no/such/folder"], True, 3, "does not see /no/such/folder"),
}


def test_what_is_wrong_with_the_cluster_is_one_line(internvid, s3: S3, numbers: Path, tmp_path: Path):
    """All at the same time, on roots of their own: each job waits most of its time for processes to start."""
    launched = {}
    for number, (name, (overrides, with_credentials, _, _)) in enumerate(FAULTS.items()):
        config = toy(tmp_path, numbers, f"s3://sets/x{number}")
        passed = [word for name in s3.env if with_credentials or "KEY" not in name for word in ("--env", name)]
        launched[name] = internvid("launch", config, f"name=fault-{number}", *overrides, *passed, env=dict(s3.env))
    for name, (_, _, status, words) in FAULTS.items():
        done = launched[name]
        assert done.finish(120) == status, (name, done.errors + done.output)
        first, line = done.errors.splitlines()
        assert first.startswith("internvid: launched") and line.startswith("internvid: ") and words in line, (name, line)
        assert "Traceback" not in done.output
