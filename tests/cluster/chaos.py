"""A run that is disturbed on purpose: a cluster, a store behind a proxy that fails, drivers, and a seeded hand that kills.

Used by test_chaos.py (small) and benchmarks/soak_chaos.py (200 partitions). Only processes that were started here are killed, by their
ids."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.cluster.faulty_s3 import FaultyStore, faulty
from tests.cluster.nodes import Cluster, Node
from tests.s3 import S3, objects, s3_server

REPO = Path(__file__).resolve().parents[2]


@dataclass
class Plan:
    """What is to happen. kills: by kind (`worker`, `node`, `driver`); they come in a random order."""

    seed: int
    partitions: int
    items: int = 4
    work_s: float = 0.1
    nodes: int = 3
    node_cpus: float = 1.0
    error_share: float = 0.05
    kills: Mapping[str, int] = field(default_factory=dict)
    pause_s: tuple[float, float] = (0.5, 2.0)
    deadline_s: float = 600.0


@dataclass
class Result:
    """kills: that hit. starts: drivers started. lost_races: drivers that stopped because a later one had taken over. repeated: items worked
    on again, of `total`."""

    kills: Counter[str]
    starts: int
    lost_races: int
    total: int
    repeated: int
    faults: Mapping[str, int]
    wall_s: float
    is_equal: bool
    differing: list[str]
    unaccounted: list[str]


def write_sources(folder: Path, number: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in range(number):
        (folder / f"{name}.mp4").write_bytes(b"x" * (name + 1))


def config_text(root: str, source: Path, plan: Plan, address: str) -> str:
    stages: dict[str, Any] = {f"tests.cluster.chaos_stages:{name}": {} for name in ("Pieces", "Words", "Shards")}
    placement = {"ray_address": address, "stalled_s": 20, "partition_deaths": 20, "partition_attempts": 6}
    return json.dumps(
        {
            "name": "chaos",
            "root": root,
            "source": {"path": str(source), "partition_videos": plan.items},
            "stages": stages,
            "placement": placement,
            "max_failed_ratio": 1.0,
        }
    )


class Chaos:
    """The stage on which it happens; `run` gives the result."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan, self.folder = plan, folder
        self.chance = random.Random(plan.seed)
        self.stack = ExitStack()
        self.drivers: list[subprocess.Popen[bytes]] = []
        self.starts = self.lost_races = 0
        self.kills: Counter[str] = Counter()

    def __enter__(self) -> "Chaos":
        try:
            self._set_up()
        except BaseException:
            self.stack.close()
            raise
        return self

    def _set_up(self) -> None:
        plan = self.plan
        write_sources(self.folder / "videos", plan.partitions * plan.items)
        self.s3: S3 = self.stack.enter_context(s3_server("chaos"))
        self.store: FaultyStore = self.stack.enter_context(faulty(self.s3.env["AWS_ENDPOINT_URL"], plan.seed, plan.error_share))
        self.log = self.folder / "worked.jsonl"
        self.env = {
            **self.s3.env,
            "AWS_ENDPOINT_URL": self.store.url,
            "PYTHONPATH": str(REPO),
            "INTERNVID_TEST_LOG": str(self.log),
            "INTERNVID_TEST_WORK_S": str(plan.work_s),
            "TMPDIR": str(self.folder),
        }
        self.cluster: Cluster = self.stack.enter_context(Cluster(nodes=plan.nodes, cpus=plan.node_cpus, env=self.env))
        self.config = self.folder / "config.yaml"
        self.config.write_text(config_text("s3://chaos/set", self.folder / "videos", plan, self.cluster.gcs))

    def __exit__(self, *error: object) -> None:
        for driver in self.drivers:
            if driver.poll() is None:
                driver.kill()
                driver.wait()
        self.stack.close()

    def start_driver(self) -> None:
        self.starts += 1
        with open(self.folder / "drivers.log", "ab") as log:
            log.write(f"--- driver {self.starts}\n".encode())
            log.flush()
            command = [sys.executable, "-m", "internvid_pipeline.cli.main", "run", str(self.config), "--quiet"]
            env = {**self.cluster.environment(), **self.env}
            self.drivers.append(subprocess.Popen(command, cwd=REPO, env=env, stdout=log, stderr=log, start_new_session=True))

    def run(self) -> Result:
        """Two drivers at once, kills until all are spent, drivers started anew until one ends with 0."""
        begun = time.monotonic()
        order = [kind for kind, count in self.plan.kills.items() for _ in range(count)]
        self.chance.shuffle(order)
        self.start_driver()
        self.start_driver()
        while time.monotonic() - begun < self.plan.deadline_s:
            time.sleep(self.chance.uniform(*self.plan.pause_s))
            if self._settled():
                break
            if order and self._is_working() and self._kill(order[-1]):
                self.kills[order.pop()] += 1
        else:
            raise TimeoutError(f"not done after {self.plan.deadline_s:.0f} s; {order} left; {self.words()}")
        return self._result(time.monotonic() - begun)

    def words(self) -> str:
        return (self.folder / "drivers.log").read_text(errors="replace")[-3000:]

    def _settled(self) -> bool:
        """True when a driver has finished everything. Starts another where none is left."""
        for driver in [driver for driver in self.drivers if driver.poll() is not None]:
            self.drivers.remove(driver)
            if driver.returncode == 0:
                return True
            if driver.returncode > 0 and "has taken over" in self.words()[-1500:]:
                self.lost_races += 1
        if not self.drivers:
            self.start_driver()
        return False

    def _lines(self) -> int:
        with suppress(FileNotFoundError), open(self.log, "rb") as file:
            return sum(1 for _ in file)
        return 0

    def _is_working(self) -> bool:
        """True where something was worked on since the last kill: to strike a run that is still starting would test little."""
        lines = self._lines()
        is_new = lines > getattr(self, "_seen_lines", 0)
        self._seen_lines = lines
        return is_new

    def _kill(self, kind: str) -> bool:
        if kind == "driver":
            alive = [driver for driver in self.drivers if driver.poll() is None]
            if alive:
                os.kill(self.chance.choice(alive).pid, signal.SIGKILL)
            return bool(alive)
        if kind == "node":
            self.cluster.kill_node(self.chance.choice(self.cluster.workers))
            self.cluster.add_node(wait=False)
            return True
        workers = [process for node in self.cluster.running for process in stage_processes(node)]
        with suppress(psutil.NoSuchProcess):
            if workers:
                self.chance.choice(workers).kill()
                return True
        return False

    def _result(self, wall_s: float) -> Result:
        worked = Counter(tuple(json.loads(line)[:2]) for line in self.log.read_text().splitlines())
        found = objects(self.s3.filesystem, "chaos/set")
        wanted = self._undisturbed()
        differing = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
        return Result(
            kills=self.kills,
            starts=self.starts,
            lost_races=self.lost_races,
            total=len(worked),
            repeated=sum(worked.values()) - len(worked),
            faults=self.store.counts(),
            wall_s=wall_s,
            is_equal=found == wanted,
            differing=differing[:20],
            unaccounted=self._unaccounted(),
        )

    def _undisturbed(self) -> dict[str, str]:
        """The same run on the inline engine, straight to the store, nothing killed."""
        config = self.folder / "undisturbed.json"
        text = json.loads(config_text("s3://chaos/undisturbed", self.folder / "videos", self.plan, "local"))
        config.write_text(json.dumps(text))
        env = {**os.environ, **self.s3.env, "PYTHONPATH": str(REPO), "INTERNVID_TEST_WORK_S": "0"}
        command = [sys.executable, "-m", "internvid_pipeline.cli.main", "run", str(config), "--engine", "inline", "-q"]
        subprocess.run(command, cwd=REPO, env=env, check=True, stdout=subprocess.DEVNULL, timeout=900)
        return objects(self.s3.filesystem, "chaos/undisturbed")

    def _unaccounted(self) -> list[str]:
        """Inputs that are not in exactly one of a stage's rows, drops and failures."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        filesystem = self.s3.filesystem
        wanted = {f"{number}.mp4" for number in range(self.plan.partitions * self.plan.items)}
        counts: Counter[str] = Counter()
        for path in filesystem.find("chaos/set/chaos_pieces"):
            if path.endswith(".manifest.json"):
                for file in json.loads(filesystem.cat_file(path))["files"]:
                    if file["kind"] in ("rows", "drops", "failures"):
                        table = pq.read_table(pa.BufferReader(filesystem.cat_file(f"chaos/set/{file['path']}")))
                        column = "video_id" if file["kind"] == "rows" else "item_id"
                        counts.update(f"{Path(value).stem}.mp4" for value in table[column].to_pylist())
        return sorted(name for name in wanted | counts.keys() if counts[name] != 1)


def stage_processes(node: Node) -> list[psutil.Process]:
    """Processes of a node in which stages work: Ray's actors, and the children that they watch."""
    found = []
    for member in node.family:
        with suppress(psutil.Error):
            line = " ".join(member.cmdline())
            is_actor = line.startswith("ray::") and ("StageRunner" in line or "MapWorker" in line)
            if is_actor or "internvid_pipeline.engine.workers.child" in line:
                found.append(member)
    return found
