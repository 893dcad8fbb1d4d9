"""How much of a cluster's time goes into work, and what the engine costs per unit when there is none.

    python benchmarks/throughput.py steady  [--workers 16] [--partitions 192] [--costs 4 8 20]
    python benchmarks/throughput.py gpus    [--partitions 40] [--costs 4 12 6]
    python benchmarks/throughput.py trivial [--partitions 10000] [--stages 6]

`steady`: stages that sleep for the given seconds per partition, on four nodes of this machine with as many logical CPUs as workers. What is
counted is the share of the workers' time that was slept through, from the moment at which all of them have been at work (the ramp-up,
printed too) to the moment at which the first stage has nothing left to begin (after that the pipeline drains).
`gpus`: two stages on eight logical CPUs before one on two logical GPUs, which is the bottleneck. What is counted is how much of the GPUs'
time passed without work while a partition was ready for them.
`trivial`: partitions of one item through stages that do nothing, on an embedded Ray: cost per partition and stage, memory of the driver
as it goes on."""

import argparse
import contextlib
import json
import os
import resource
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.sleeping_stages import STAGES
from internvid_pipeline.config import config_from
from internvid_pipeline.engine import run_dataset

REPO = Path(__file__).resolve().parents[1]


def make_videos(folder: Path, number: int) -> Path:
    """One small file per partition."""
    folder.mkdir(parents=True)
    for name in range(number):
        (folder / f"{name:06d}.mp4").write_bytes(b"x" * (1 + name % 97))
    return folder


def raw_config(root: Path, videos: Path, stages: dict[str, Any], placement: dict[str, Any]) -> dict[str, Any]:
    """One video per partition."""
    source = {"path": str(videos), "partition_videos": 1}
    return {"root": str(root), "source": source, "stages": stages, "placement": placement}


def steady(workers: int, partitions: int, costs: list[float]) -> None:
    """Prints a row: what share of the workers' time was work."""
    with slept_through(partitions, costs, [0.0] * len(costs), [{"cpus": workers / 4}] * 4) as log:
        report(log, workers, costs)


def gpus(partitions: int, costs: list[float]) -> None:
    """Prints a row: how long GPUs had nothing to do while there was work for them."""
    needed = [0.0] * (len(costs) - 1) + [1.0]
    with slept_through(partitions, costs, needed, [{"cpus": 8}, {"cpus": 2, "gpus": 2}]) as log:
        report_gpus(log, 2, costs)


@contextlib.contextmanager
def slept_through(partitions: int, costs: list[float], gpus: list[float], nodes: list[dict[str, float]]) -> Iterator[Path]:
    """The log of a run of sleeping stages on a cluster of these nodes."""
    from tests.cluster.nodes import Cluster

    folder = Path(tempfile.mkdtemp(prefix="iv-", dir="/tmp"))
    log = folder / "log"
    (folder / "token").write_text(secrets.token_hex(32))
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(folder / "token")
    videos = make_videos(folder / "videos", partitions)
    fields = [{"work_s": cost, "gpus": needed, "cpus": 0.25 if needed else 1.0} for cost, needed in zip(costs, gpus, strict=True)]
    stages = {f"benchmarks.sleeping_stages:{STAGES[index]}": own for index, own in enumerate(fields)}
    env = {"PYTHONPATH": str(REPO), "INTERNVID_BENCH_LOG": str(log)}
    with Cluster(nodes=1, head_cpus=0, env=env) as cluster:
        for node in nodes:
            cluster.add_node(**node)
        config = folder / "config.yaml"
        placement = {"ray_address": cluster.gcs, "stages": {}}
        config.write_text(json.dumps(raw_config(folder / "root", videos, stages, placement)))
        command = [sys.executable, "-m", "internvid_pipeline.cli.main", "run", str(config), "--quiet"]
        subprocess.run(command, cwd=REPO, env={**cluster.environment(), **env}, check=True)
    yield log
    shutil.rmtree(folder)


def report_gpus(log: Path, num_gpus: int, costs: list[float]) -> None:
    """From the log of begun and ended work: between two events the number of idle GPUs and of partitions that are ready stays the same."""
    units = [tuple(json.loads(line)) for line in log.read_text().splitlines()]  # stage, begun, ended, partition
    last = max(unit[0] for unit in units)
    own = [unit for unit in units if unit[0] == last]
    before = max(unit[0] for unit in units if unit[0] != last)
    ready = {unit[3]: unit[2] for unit in units if unit[0] == before}
    events = sorted([*((at, 0, 1) for at in ready.values()), *((unit[1], 1, -1) for unit in own), *((unit[2], 1, 0) for unit in own)])
    waiting = busy = 0
    idle_s, begun, now = 0.0, min(unit[1] for unit in own), min(unit[1] for unit in own)
    end = max(unit[1] for unit in own)
    for at, is_gpu, change in events:
        if begun < at <= end:
            idle_s += min(waiting, num_gpus - busy) * (at - now)
            now = at
        waiting += change
        busy += is_gpu * (1 if change else -1)
    total_s = num_gpus * (end - begun)
    print("| GPUs | seconds per partition by stage | partitions | GPU seconds | of these idle while a partition was ready |")
    print("|--:|---|--:|--:|--:|")
    print(f"| {num_gpus} | {', '.join(f'{cost:g}' for cost in costs)} | {len(own)} | {total_s:.0f} | {100 * idle_s / total_s:.1f} % |")


def report(log: Path, workers: int, costs: list[float]) -> None:
    """From the log of begun and ended work."""
    units = [tuple(json.loads(line)) for line in log.read_text().splitlines()]  # stage, begun, ended
    begun, ended = min(unit[1] for unit in units), max(unit[2] for unit in units)

    def busy(at: float) -> int:
        return sum(unit[1] <= at < unit[2] for unit in units)

    full = next((unit[1] for unit in sorted(units, key=lambda unit: unit[1]) if busy(unit[1]) >= workers), begun)
    drained = max(unit[1] for unit in units if unit[0] == units[0][0])
    inside = sum(max(0.0, min(unit[2], drained) - max(unit[1], full)) for unit in units)
    share = inside / (workers * (drained - full)) if drained > full else 0.0
    whole = sum(unit[2] - unit[1] for unit in units) / (workers * (ended - begun))
    print(
        "| workers | seconds per partition by stage | partitions | ramp-up s | steady s | work in the workers' time, steady | whole run |"
    )
    print("|--:|---|--:|--:|--:|--:|--:|")
    print(
        f"| {workers} | {', '.join(f'{cost:g}' for cost in costs)} | {len(units) // len(costs)} | {full - begun:.1f} | "
        f"{drained - full:.1f} | {100 * share:.1f} % | {100 * whole:.1f} % |"
    )


def trivial(partitions: int, stages: int, workers: int) -> None:
    """Prints a row: cost of a unit, and the driver's memory at each tenth of the way; on standard error a line each minute."""
    folder = Path(tempfile.mkdtemp(prefix="iv-", dir="/tmp"))
    videos = make_videos(folder / "videos", partitions)
    chosen: dict[str, Any] = {f"benchmarks.sleeping_stages:{name}": {"work_s": 0.0, "cpus": 0.25} for name in STAGES[:stages]}
    memory_mb: list[float] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(10):
            memory_mb.append(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6)
            if len(memory_mb) % 6 == 0:
                there = sum(1 for _ in (folder / "root" / f"sleep_{stages - 1}").rglob("*.manifest.json"))
                print(f"{10 * len(memory_mb)} s: {there} partitions, driver {memory_mb[-1]:.0f} MB", file=sys.stderr, flush=True)

    threading.Thread(target=watch, daemon=True).start()
    start = time.monotonic()
    result = run_dataset(config_from(raw_config(folder / "root", videos, chosen, {"workers": workers})), engine="ray")
    wall_s = time.monotonic() - start
    done.set()
    assert all(status.partitions_done == partitions for status in result.statuses), result.errors
    tenths = [memory_mb[index * (len(memory_mb) - 1) // 10] for index in range(11)] if memory_mb else []
    print(f"| partitions x {stages} stages | wall s | ms per partition and stage | driver MB at each tenth of the time |")
    print("|--:|--:|--:|---|")
    print(
        f"| {partitions} | {wall_s:.0f} | {1000 * wall_s / (partitions * stages):.1f} | {', '.join(f'{value:.0f}' for value in tenths)} |"
    )
    shutil.rmtree(folder)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["steady", "gpus", "trivial"])
    parser.add_argument("--workers", type=int, help="of the whole cluster (steady, 16) or of each stage (trivial, 1)")
    parser.add_argument("--partitions", type=int)
    parser.add_argument("--costs", type=float, nargs="+")
    parser.add_argument("--stages", type=int, default=6)
    arguments = parser.parse_args()
    if arguments.kind == "steady":
        steady(arguments.workers or 16, arguments.partitions or 192, arguments.costs or [4.0, 8.0, 20.0])
    elif arguments.kind == "gpus":
        gpus(arguments.partitions or 40, arguments.costs or [4.0, 12.0, 6.0])
    else:
        trivial(arguments.partitions or 10_000, arguments.stages, arguments.workers or 1)


if __name__ == "__main__":
    main()
