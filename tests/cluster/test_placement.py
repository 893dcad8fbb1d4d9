"""Nodes that go and nodes that come, on a real cluster: notice of pre-emption to a worker and to a node, a plan that no longer fits and is
cut anew, custom resources, a run that waits for nodes, pools that keep to their bounds."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from internvid_pipeline.config import config_from
from internvid_pipeline.engine import run_dataset
from tests.cluster.chaos import stage_processes, write_sources
from tests.cluster.nodes import Cluster, Node
from tests.conftest import contents

pytestmark = [pytest.mark.ray, pytest.mark.kill, pytest.mark.timeout(400)]
REPO = Path(__file__).resolve().parents[2]
NOTICE_S = 30.0


def wait_until(condition, deadline_s: float, what: str) -> float:
    """Seconds that it took."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < deadline_s, f"not within {deadline_s:.0f} s: {what}"
        time.sleep(0.1)
    return time.monotonic() - start


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


class Place:
    """A cluster whose nodes each keep a log of what was worked on there: (stage, item, pid) in order."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.scratch = folder, folder / "s"
        self.scratch.mkdir()
        self.env = {"INTERNVID_TEST_WORK_S": "0.5", "PYTHONPATH": str(REPO), "TMPDIR": str(self.scratch)}
        self.cluster = Cluster(nodes=1, head_cpus=0, env={**self.env, **self._log("head")})  # the head does no work
        self.nodes: dict[str, Node] = {}

    def _log(self, node: str) -> dict[str, str]:
        return {"INTERNVID_TEST_LOG": str(self.folder / f"{node}.log")}

    def add(self, name: str, **resources: Any) -> None:
        self.nodes[name] = self.cluster.add_node(env=self._log(name), **resources)

    def lines(self, *names: str) -> list[tuple[str, str, int]]:
        logs = [self.folder / f"{name}.log" for name in names]
        return [tuple(json.loads(line)) for log in logs if log.exists() for line in log.read_text().splitlines()]

    def config(self, name: str, videos: int, per_partition: int, placement: dict[str, Any]) -> dict[str, Any]:
        source = self.folder / f"{name}-videos"
        write_sources(source, videos)
        stages: dict[str, Any] = {f"tests.cluster.chaos_stages:{stage}": {} for stage in ("Pieces", "Words")}
        raw = {"root": str(self.folder / name), "source": {"path": str(source), "partition_videos": per_partition}, "stages": stages}
        return {**raw, "max_failed_ratio": 1.0, "placement": {"ray_address": self.cluster.gcs, **placement}}

    @contextmanager
    def driver(self, raw: dict[str, Any]) -> Iterator["subprocess.Popen[bytes]"]:
        path = Path(f"{raw['root']}.yaml")
        path.write_text(json.dumps(raw))
        with open(path.with_suffix(".log"), "wb") as out:
            command = [sys.executable, "-m", "internvid_pipeline.cli.main", "run", str(path), "--quiet"]
            process = subprocess.Popen(command, cwd=REPO, env={**self.cluster.environment(), **self.env}, stdout=out, stderr=out)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    def said(self, raw: dict[str, Any]) -> str:
        return Path(f"{raw['root']}.log").read_text()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    found = Place(tmp_path_factory.mktemp("place"))
    with found.cluster:
        yield found


def straight(raw: dict[str, Any], folder: Path) -> dict[str, str]:
    config = config_from({**raw, "root": str(folder), "placement": {"isolate": False, "stages": raw["placement"]["stages"]}})
    assert not run_dataset(config, engine="inline").errors
    return contents(folder)


def test_notice_to_a_worker_and_to_its_node_and_the_plan_fits_what_is_left(place: Place, tmp_path: Path):
    """Two stages of one CPU each, on two nodes. A supervisor of the first stage gets SIGTERM in the middle of a partition, then all of its
    node does, through its raylet. The CPU that is left is held by the second stage: the plan stalls, is cut into two segments, and ends
    with every byte as if nothing had happened."""
    stages = {"chaos_pieces": {"cpus": 1}, "chaos_words": {"cpus": 1}}
    raw = place.config("set", 24, 2, {"stalled_s": 6, "stages": stages})
    for name in ("a", "b"):
        place.add(name, cpus=1, wait=False)
    place.cluster.wait_for_nodes(3)
    with place.driver(raw) as driver:
        wait_until(lambda: len(place.lines("a", "b")) >= 3 or driver.poll() is not None, 150, "the run is at work")
        name = next(name for name in ("a", "b") if any(line[0] == "chaos_pieces" for line in place.lines(name)))
        node = place.nodes.pop(name)
        child, supervisor = a_worker(node)
        os.kill(supervisor.pid, signal.SIGTERM)
        took_s = wait_until(lambda: is_gone(child) and is_gone(supervisor), NOTICE_S, "the worker has left")
        print(f"worker gone after {took_s:.1f} s")
        assert not list(place.scratch.glob(f"internvid-*/*-{supervisor.pid}-*")), "it took its scratch files with it"
        before = len(place.lines(name))
        wait_until(lambda: len(place.lines(name)) > before + 1, 90, "the work goes on")
        raylet = next(member for member in node.family if "raylet" in member.name())
        workers = stage_processes(node)
        raylet.terminate()
        took_s = wait_until(lambda: all(is_gone(member) for member in [raylet, *workers]), NOTICE_S, "the node's raylet and workers")
        print(f"node gone after {took_s:.1f} s")
        place.cluster.kill_node(node)  # what is left of it: agents that have nothing to do with us
        assert driver.wait(timeout=200) == 0, place.said(raw)[-6000:]
    said = place.said(raw)
    assert "SIGTERM handler is not set" not in said, "a thread that was left has connected to Ray anew"
    assert "no worker has worked for 6 s: the plan is cut anew" in said
    assert "segment 1 of 2: chaos_pieces; segment 2 of 2: chaos_words (has no room beside those before it)" in said
    assert contents(Path(raw["root"])) == straight(raw, tmp_path / "straight")


def a_worker(node: Node) -> tuple[psutil.Process, psutil.Process]:
    """The process of a stage that is at work, and its supervisor."""
    children = [process for process in stage_processes(node) if "internvid_pipeline.engine.workers.child" in " ".join(process.cmdline())]
    assert children, "nobody is at work"
    parent = children[0].parent()
    assert parent is not None
    return children[0], parent


def most_at_once(pids: list[int]) -> int:
    """Most of them that were at work between their first and their last line: Ray may end a worker and begin another one."""
    spans = [(pids.index(pid), len(pids) - pids[::-1].index(pid)) for pid in set(pids)]
    return max((sum(first <= at < end for first, end in spans) for at in range(len(pids))), default=0)


def test_a_run_waits_for_nodes_and_pools_keep_to_their_bounds(place: Place, tmp_path: Path):
    """The first stage asks for what no node has: the run waits until one comes, with room for two of its workers, and works nowhere else.
    How far pools grow between their bounds is up to Ray; beyond them they must not."""
    stages = {
        "chaos_pieces": {"cpus": 1, "custom": {"disk": 1}, "min_workers": 1, "max_workers": 2},
        "chaos_words": {"cpus": 1, "min_workers": 2, "max_workers": 3},
    }
    raw = place.config("waiting", 24, 1, {"wait_for_nodes_s": 150, "stages": stages})
    raw["stages"]["tests.cluster.chaos_stages:Words"] = {"slow": 3}
    other = next(iter(place.nodes))  # that the other test has left
    before = len(place.lines(other))
    with place.driver(raw) as driver:
        runs = Path(raw["root"]) / "generations" / "runs"
        wait_until(lambda: list(runs.rglob("*.json")) or driver.poll() is not None, 60, "the run has begun")
        assert driver.poll() is None, place.said(raw)
        place.add("disk", cpus=3, resources={"disk": 2}, wait=False)
        assert driver.wait(timeout=200) == 0, place.said(raw)[-2000:]
    disk, beside = place.lines("disk"), place.lines(other)[before:]
    pieces = {pid for stage, _, pid in disk if stage == "chaos_pieces"}
    assert len(pieces) in (1, 2)
    assert {stage for stage, _, _ in beside} == {"chaos_words"}, "there is no such disk"
    words = [[pid for stage, _, pid in lines if stage == "chaos_words"] for lines in (disk, beside)]
    assert len({pid for pids in words for pid in pids}) >= 2
    assert all(most_at_once(pids) <= 3 for pids in words)
    assert contents(Path(raw["root"])) == straight(raw, tmp_path / "straight")
