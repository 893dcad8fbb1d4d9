"""One cluster of three nodes for all tests of launching: starting it costs more than most tests."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.cluster.nodes import Cluster

REPO = Path(__file__).resolve().parents[2]
HIDDEN = "yt_dlp"  # installed here, and not on one of the nodes
_HIDE = f"""
import sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {HIDDEN!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hide())
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes of one CPU; one of them lacks a package that only `tests.cluster.needy_stage` needs."""
    pytest.importorskip("ray", reason="Ray is not installed")
    hide = tmp_path_factory.mktemp("hide")
    (hide / "sitecustomize.py").write_text(_HIDE)
    with Cluster(nodes=2) as found:
        found.add_node(env={"PYTHONPATH": str(hide)}, wait=False)
        found.wait_for_nodes(3)
        yield found


def _collect(pipe: IO[str], lines: list[str]) -> None:
    lines.extend(iter(pipe.readline, ""))


class Launched:
    """`internvid …` in a process of its own, its output read as it comes."""

    def __init__(self, cluster: Cluster | None, *arguments: object, env: dict[str, str] | None = None) -> None:
        base = cluster.environment() if cluster else dict(os.environ)
        base.pop("RAY_AUTH_MODE", None)  # whether the cluster wants a token is found out
        self.process = subprocess.Popen(
            [sys.executable, "-m", "internvid_pipeline.cli.main", *map(str, arguments)],
            cwd=REPO,
            env={**base, "COLUMNS": "200", **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.out: list[str] = []
        self.err: list[str] = []
        pipes = ((self.process.stdout, self.out), (self.process.stderr, self.err))
        self._readers = [threading.Thread(target=_collect, args=pipe, daemon=True) for pipe in pipes]
        for reader in self._readers:
            reader.start()

    @property
    def errors(self) -> str:
        return "".join(self.err)

    @property
    def output(self) -> str:
        return "".join(self.out)

    def wait_for(self, pattern: str, deadline_s: float = 90) -> str:
        """The first line of standard error in which `pattern` is found."""
        deadline = time.monotonic() + deadline_s
        while time.monotonic() < deadline:
            found = next((line for line in list(self.err) if re.search(pattern, line)), None)
            if found:
                return found
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise AssertionError(f"no line {pattern!r} in: {self.errors}\n{self.output}")

    def finish(self, deadline_s: float = 400) -> int:
        status = self.process.wait(timeout=deadline_s)
        for reader in self._readers:
            reader.join(timeout=10)
        return status

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def internvid(cluster: Cluster) -> Iterator["object"]:
    """`internvid("jobs", "--json")`: starts a command with the cluster's address; ended with the test."""
    started: list[Launched] = []

    def start(*arguments: object, env: dict[str, str] | None = None, address: bool = True) -> Launched:
        started.append(Launched(cluster, *arguments, *(["--address", cluster.http] if address else []), env=env))
        return started[-1]

    yield start
    for process in started:
        process.kill()
