"""download_videos against a site on loopback that asks for patience, and that fails: nothing is fetched twice, nothing is lost."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from internvid_pipeline.config import DatasetConfig, config_from
from internvid_pipeline.engine import RunReport, build_plan, open_root, partition_numbers, read_losses, run_dataset
from internvid_pipeline.engine.availability import availability
from internvid_pipeline.engine.read_items import read_rows
from internvid_pipeline.engine.retry import mark_for_retry
from internvid_pipeline.engine.validate import validate_dataset
from internvid_pipeline.records import VideoRecord
from internvid_pipeline.storage import read_part
from internvid_pipeline.web.downloads import downloads_folder
from tests.media.made import Made, shots_of, write_video
from tests.web.site import Site, running_site

REPO = Path(__file__).resolve().parents[2]
BLOCK = 1 << 16


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """12 s, 640x360."""
    return write_video(tmp_path_factory.mktemp("video") / "a.mp4", shots_of([150, 150], 640, 360), Made(gop=25)).read_bytes()


@pytest.fixture
def site() -> Iterator[Site]:
    with running_site() as running:
        yield running


@pytest.fixture(autouse=True)
def own_scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Downloads under way and the pace's state lie in the test's own folder, also those of other processes."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))


def fill(site: Site, video: bytes, count: int, padding: int = 0) -> list[str]:
    """Videos v00, v01, …, each with bytes of its own, and the paths that they are asked for by."""
    for number in range(count):
        free = (16 + padding).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big") + bytes(padding)
        site.files[f"v{number:02d}.mp4"] = video + free
    return [f"/files/v{number:02d}.mp4" for number in range(count)]


def config_of(folder: Path, site: Site, paths: list[str], network: dict[str, Any] | None = None, **placement: Any) -> DatasetConfig:
    (folder / "urls.txt").write_text("".join(f"{site.base}{path}\n" for path in paths))
    patience = {"requests_per_s": None, "attempts": 2, "timeout_s": 5, "longest_wait_s": 0.1, "backoff_s": 1}
    threads = {"stages": {"download_videos": {"load_threads": 1}}}  # one after the other, so that it is known who meets the refusal
    raw = {
        "root": str(folder / "set"),
        "source": {"path": str(folder / "urls.txt"), "partition_videos": 100},
        "stages": {"download_videos": {"network": {"allow_networks": ["127.0.0.0/8"], **patience, **(network or {})}}},
        "placement": {"deferral_s": 0, **threads, **placement},
        "max_failed_ratio": 1.0,
    }
    return config_from(raw)


def run(config: DatasetConfig) -> RunReport:
    return run_dataset(config.model_copy(update={"placement": config.placement.model_copy(update={"isolate": False})}), engine="inline")


def downloaded(config: DatasetConfig) -> dict[str, bytes]:
    """What the finished data set holds, by the address's path; checked against itself."""
    root, partitions = open_root(config), partition_numbers(open_root(config))
    plans = build_plan(config, len(partitions))
    assert validate_dataset(root, plans, partitions, read_media=True).problems == []
    rows = [row for number in partitions for row in read_rows(root, plans[0].folder, number, VideoRecord)]
    assert len({row.video_id for row in rows}) == len(rows)
    return {row.source_uri.split("/", 3)[3]: root.read_media(row.media) for row in rows}


def test_429_and_500_then_200(tmp_path: Path, site: Site, video: bytes):
    """v01 answers 500 four times, twice in each of two tries; v03 asks for patience, and with it the whole host: so v01 is not asked
    again at the end of the first run, but at that of the second."""
    paths = fill(site, video, 6)
    site.retry_after = "2"
    site.refusals = {paths[1]: [500, 500, 500, 500], paths[3]: [429]}
    config = config_of(tmp_path, site, paths)
    report = run(config)
    root, plan = open_root(config), build_plan(config, 1)[0]
    assert report.exit_status(1.0) == 3 and report.statuses[0].deferred_by_class == {"RateLimited": 4}
    part, last = (read_part(root, plan.folder, 0, number) for number in (0, 1))
    assert [one.item_id[-7:-4] for one in part.done] == ["v00", "v02"]
    assert [one.error_class for one in part.deferred] == ["ServerFault", *["RateLimited"] * 3]
    for found in (part, last):
        assert {one.item_id[-7:-4]: one.attempts for one in found.deferred} == {"v01": 1, "v03": 1, "v04": 0, "v05": 0}
    assert [site.hits[path] for path in paths[3:]] == [1, 0, 0], "the host is left alone"
    assert availability(root, build_plan(config, 1), [0]).videos == {"pending": 2, "deferred": 4}
    time.sleep(2.1)
    report = run(config)
    assert report.exit_status(1.0) == 0
    assert downloaded(config) == {path[1:]: site.files[path[7:]] for path in paths}
    assert {path: site.sent[path] for path in paths} == {path: len(site.files[path[7:]]) for path in paths}, "each byte once"
    assert [site.hits[path] for path in paths] == [1, 5, 1, 2, 1, 1]
    assert list(downloads_folder(config.root).iterdir()) == [], "what is committed is not kept twice"


def test_a_site_that_stays_busy_gives_failures_that_can_be_taken_again(tmp_path: Path, site: Site, video: bytes):
    paths = fill(site, video, 3)
    site.retry_after = "0"
    site.refusals = {paths[1]: [429] * 4, paths[2]: [410]}
    config = config_of(tmp_path, site, paths, max_deferrals=4)
    assert run(config).deferred == 1 and run(config).deferred == 0
    root, plans = open_root(config), build_plan(config, 1)
    failures = {row.item_id[-7:-4]: (row.error_class, row.attempts) for _, row in read_losses(root, plans[0], "failures")}
    assert failures == {"v01": ("RateLimited", 4), "v02": ("Gone", 1)}
    assert mark_for_retry(root, config, plans, [0], ("RateLimited",)).again == 1
    assert run(config).statuses[0].inputs == 4
    assert downloaded(config).keys() == {paths[0][1:], paths[1][1:]} and site.hits[paths[0]] == 1
    assert availability(root, build_plan(config, 2), partition_numbers(root)).videos == {"available": 2, "Gone": 1}


def start(folder: Path, config: DatasetConfig) -> subprocess.Popen[bytes]:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(json.loads(config.model_dump_json())))
    command = [sys.executable, "-m", "internvid_pipeline.cli.main", "run", str(path), "--engine", "inline", "-q"]
    env = {**os.environ, "PYTHONPATH": str(REPO)}
    with open(folder / "log", "ab") as log:
        return subprocess.Popen(command, cwd=REPO, env=env, stdout=log, stderr=log, start_new_session=True)


def kill(process: subprocess.Popen[bytes]) -> None:
    """kill -9 of the driver and its worker."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for member in family:
        member.send_signal(signal.SIGKILL)
    process.wait()
    psutil.wait_procs(family, timeout=20)


@pytest.mark.kill
def test_killed_in_the_middle_of_a_partition_with_deferred_inputs(tmp_path: Path, site: Site, video: bytes):
    """The first run gets six of sixteen; the second is killed while it fetches the others; the third fetches what is missing of them."""
    paths = fill(site, video, 16, padding=6 * BLOCK)
    site.retry_after = "5"
    site.refusals = {paths[6]: [429]}
    config = config_of(tmp_path, site, paths)
    process = start(tmp_path, config)
    assert process.wait(timeout=120) == 3, (tmp_path / "log").read_text()
    first = dict(site.sent)
    assert first == {path: len(site.files[path[7:]]) for path in paths[:6]}
    site.pause_s = 0.03
    time.sleep(5.1)
    process = start(tmp_path, config)
    deadline = time.monotonic() + 120
    while not (site.hits[paths[10]] and site.sent[paths[10]] > 2 * BLOCK):
        assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "log").read_text()
        time.sleep(0.01)
    kill(process)
    site.pause_s = 0.0
    process = start(tmp_path, config)
    assert process.wait(timeout=120) == 0, (tmp_path / "log").read_text()
    assert downloaded(config) == {path[1:]: site.files[path[7:]] for path in paths}
    again = {path: site.sent[path] - len(site.files[path[7:]]) for path in paths if site.sent[path] != len(site.files[path[7:]])}
    assert all(0 < size <= 4 * BLOCK for size in again.values()) and len(again) <= 2, f"fetched twice: {again}"
    assert all(site.hits[path] == 1 for path in (*paths[:6], *paths[7:10])), "what was whole was not even asked for"
