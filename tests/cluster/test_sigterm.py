"""SIGTERM, as a spot market and a scheduler send it: to one worker, and to a whole node. The run goes on elsewhere, and nothing is
half-written."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from internvid_pipeline.config import config_from
from internvid_pipeline.engine import run_dataset
from tests.cluster.chaos import stage_processes, write_sources
from tests.cluster.nodes import Cluster
from tests.conftest import contents

REPO = Path(__file__).resolve().parents[2]
NOTICE_S = 30.0


def wait_until(condition, deadline_s: float, what: str) -> float:
    """Seconds that it took."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < deadline_s, f"not within {deadline_s:.0f} s: {what}"
        time.sleep(0.1)
    return time.monotonic() - start


def lines(log: Path) -> int:
    return len(log.read_text().splitlines()) if log.exists() else 0


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.mark.kill
@pytest.mark.ray
@pytest.mark.timeout(400)
def test_notice_to_a_worker_and_to_a_node(tmp_path: Path):
    """First a supervisor gets it in the middle of a partition, then all of a node does, through its raylet."""
    write_sources(tmp_path / "videos", 20)
    stages: dict[str, Any] = {f"tests.cluster.chaos_stages:{name}": {} for name in ("Pieces", "Words")}
    raw = {"source": {"path": str(tmp_path / "videos"), "partition_videos": 2}, "stages": stages, "max_failed_ratio": 1.0}
    config, log, scratch = tmp_path / "config.yaml", tmp_path / "log", tmp_path / "s"
    scratch.mkdir()
    env = {"INTERNVID_TEST_LOG": str(log), "INTERNVID_TEST_WORK_S": "0.7", "PYTHONPATH": str(REPO), "TMPDIR": str(scratch)}
    with Cluster(nodes=2, cpus=1, env=env) as cluster:
        placement = {"ray_address": cluster.gcs, "stalled_s": 20}
        config.write_text(json.dumps({**raw, "root": str(tmp_path / "root"), "placement": placement}))
        command = [sys.executable, "-m", "internvid_pipeline.cli.main", "run", str(config), "--quiet"]
        with open(tmp_path / "driver.log", "wb") as out:
            driver = subprocess.Popen(command, cwd=REPO, env={**cluster.environment(), **env}, stdout=out, stderr=out)
        try:
            wait_until(lambda: lines(log) >= 3 or driver.poll() is not None, 150, "the run is at work")
            child, supervisor = a_worker(cluster)
            os.kill(supervisor.pid, signal.SIGTERM)
            took_s = wait_until(lambda: is_gone(child) and is_gone(supervisor), NOTICE_S, "the worker has left")
            print(f"worker gone after {took_s:.1f} s")
            assert not list(scratch.glob(f"internvid-*/*-{supervisor.pid}-*")), "it took its scratch files with it"
            before = lines(log)
            wait_until(lambda: lines(log) > before + 1, 90, "the work goes on")
            node = cluster.workers[0]
            raylet = next(member for member in node.family if "raylet" in member.name())
            workers = stage_processes(node)
            raylet.terminate()
            took_s = wait_until(lambda: all(is_gone(member) for member in [raylet, *workers]), NOTICE_S, "the node's raylet and workers")
            print(f"node gone after {took_s:.1f} s")
            cluster.kill_node(node)  # what is left of it: agents that have nothing to do with us
            cluster.add_node(wait=False)
            assert driver.wait(timeout=200) == 0, (tmp_path / "driver.log").read_text()[-2000:]
        finally:
            if driver.poll() is None:
                driver.kill()
                driver.wait()
    straight = config_from({**raw, "root": str(tmp_path / "straight"), "placement": {"isolate": False}})
    assert not run_dataset(straight, engine="inline").errors
    assert contents(tmp_path / "root") == contents(tmp_path / "straight"), "every byte as if nothing had happened"


def a_worker(cluster: Cluster) -> tuple[psutil.Process, psutil.Process]:
    """The process of a stage that is at work, and its supervisor."""
    found = [process for node in cluster.running for process in stage_processes(node)]
    children = [process for process in found if "internvid_pipeline.engine.workers.child" in " ".join(process.cmdline())]
    assert children, "nobody is at work"
    parent = children[0].parent()
    assert parent is not None
    return children[0], parent
