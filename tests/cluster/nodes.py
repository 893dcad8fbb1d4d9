"""A real Ray cluster of several nodes on this machine.

    with Cluster(nodes=3, cpus=1) as cluster:          # head with the job server, and two more nodes
        cluster.http, cluster.gcs                      # http://127.0.0.1:<port>, 127.0.0.1:<port>
        node = cluster.add_node(cpus=2, resources={"disk": 1})
        cluster.kill_node(node)                        # kill -9 of everything that belongs to it, as a pulled plug

Each node is a `ray start --block` of its own in a session of its own, with ports of its own and small stores. Only processes that were
started here are ended, by their ids. Token authentication is on, with the tests' own token file (tests/conftest.py).
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.s3 import free_port

_STORE_BYTES = 80 * 2**20
_START_DEADLINE_S = 180.0


@dataclass
class Node:
    """One `ray start`. log: what it printed."""

    process: "subprocess.Popen[bytes]"
    log: Path
    is_head: bool = False

    @property
    def family(self) -> list[psutil.Process]:
        """The process, its raylet, workers, and what these started, whatever session they are in."""
        with contextlib.suppress(psutil.NoSuchProcess):
            own = psutil.Process(self.process.pid)
            return [own, *own.children(recursive=True)]
        return []


@dataclass
class Cluster:
    """nodes: how many, head included. cpus, gpus, resources: of each node (logical). env: for all processes of the cluster, which its jobs
    inherit. head_cpus: of the head, where it shall differ."""

    nodes: int = 3
    cpus: float = 1
    gpus: float = 0
    resources: Mapping[str, float] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    head_cpus: float | None = None

    def __post_init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="iv-", dir="/tmp"))  # sockets' names may have 107 characters
        self.running: list[Node] = []
        self._seen: dict[int, psutil.Process] = {}
        self.gcs = f"127.0.0.1:{free_port()}"
        self.http = f"http://127.0.0.1:{free_port()}"

    def __enter__(self) -> "Cluster":
        try:
            self._start_head()
            for _ in range(self.nodes - 1):
                self.add_node(wait=False)
            self.wait_for_nodes(self.nodes)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def head(self) -> Node:
        return self.running[0]

    @property
    def workers(self) -> list[Node]:
        """All nodes but the head."""
        return self.running[1:]

    def environment(self) -> dict[str, str]:
        """For a process that shall speak to this cluster: its token is on; no other cluster's address, no store's credentials."""
        dropped = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "AWS_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")])  # a job's `python` is this one
        return {**kept, "PATH": path, "RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}

    def _start_head(self) -> None:
        gcs_port, http_port = self.gcs.rpartition(":")[2], self.http.rpartition(":")[2]
        options = [
            "--head",
            f"--port={gcs_port}",
            "--include-dashboard=true",
            "--dashboard-host=127.0.0.1",
            f"--dashboard-port={http_port}",
        ]
        self._start(options, self.cpus if self.head_cpus is None else self.head_cpus)
        self.wait_for_nodes(1)

    def add_node(
        self,
        cpus: float | None = None,
        gpus: float | None = None,
        resources: Mapping[str, float] | None = None,
        env: Mapping[str, str] | None = None,
        wait: bool = True,
    ) -> Node:
        """Starts one more node; what is not given is as in the other nodes."""
        alive = len(self.alive_nodes()) if wait else 0
        node = self._start([f"--address={self.gcs}"], self.cpus if cpus is None else cpus, gpus, resources, env)
        if wait:
            self.wait_for_nodes(alive + 1)
        return node

    def _start(
        self,
        options: list[str],
        cpus: float,
        gpus: float | None = None,
        resources: Mapping[str, float] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Node:
        place = self.folder / str(len(list(self.folder.iterdir())))  # of each node its own, else two that start at once take one socket
        place.mkdir()
        log = place / "node.log"
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats", "--log-color=false", *options]
        command += ["--node-ip-address=127.0.0.1", f"--num-cpus={cpus:g}", f"--num-gpus={self.gpus if gpus is None else gpus:g}"]
        command += [f"--resources={json.dumps(dict(self.resources if resources is None else resources))}"]
        command += [f"--object-store-memory={_STORE_BYTES}", f"--temp-dir={place}", f"--dashboard-agent-listen-port={free_port()}"]
        with open(log, "wb") as out:
            process = subprocess.Popen(
                command,
                env={**self.environment(), **self.env, **(env or {})},
                cwd=self.folder,  # not the checkout: what a job needs must be shipped to it
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        node = Node(process, log, is_head=not self.running)
        self.running.append(node)
        return node

    def get(self, path: str) -> Any:
        """JSON of the head's HTTP server. Raises OSError while it is not there."""
        token = Path(os.environ["RAY_AUTH_TOKEN_PATH"]).read_text().strip()
        request = urllib.request.Request(f"{self.http}{path}", headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def alive_nodes(self) -> list[dict[str, Any]]:
        """What the head says of the nodes that it takes to be alive."""
        found = self.get("/api/v0/nodes?limit=1000")["data"]["result"]["result"]
        return [node for node in found if node["state"] == "ALIVE"]

    def wait_for_nodes(self, number: int, deadline_s: float = _START_DEADLINE_S) -> None:
        """Waits until exactly so many nodes are alive, and the job server answers. Raises TimeoutError with the nodes' last words."""
        deadline = time.monotonic() + deadline_s
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                if len(self.alive_nodes()) == number and isinstance(self.get("/api/jobs/"), list):
                    self._remember()
                    return
            time.sleep(0.2)
        words = "\n".join(node.log.read_text()[-1500:] for node in self.running)
        raise TimeoutError(f"no {number} nodes within {deadline_s:.0f} s; {words}")

    def _remember(self) -> None:
        """Children whose parent dies go to process 1: they are known by then."""
        for node in self.running:
            for member in node.family:
                self._seen.setdefault(member.pid, member)

    def kill_node(self, node: Node) -> None:
        """kill -9 of all processes of a node at once. The head learns of it by itself, after seconds."""
        self._remember()
        _kill(node.family)
        node.process.wait(timeout=20)
        self.running.remove(node)

    def stop(self) -> None:
        """Ends all nodes, workers first, and deletes what they wrote."""
        self._remember()
        for node in reversed(self.running):
            _kill(node.family)
            with contextlib.suppress(subprocess.TimeoutExpired):
                node.process.wait(timeout=20)
        _kill([member for member in self._seen.values() if member.is_running()])
        self.running.clear()
        shutil.rmtree(self.folder, ignore_errors=True)


def _kill(members: list[psutil.Process]) -> None:
    for member in members:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.send_signal(signal.SIGKILL)
    psutil.wait_procs(members, timeout=20)
