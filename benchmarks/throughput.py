"""How much of a cluster's time goes into work, and what the engine costs per unit when there is none.

    python benchmarks/throughput.py steady  [--workers 16] [--partitions 192] [--costs 4 8 20]
    python benchmarks/throughput.py trivial [--partitions 10000] [--stages 6]

`steady`: stages that sleep for the given seconds per partition, on four nodes of this machine with as many logical CPUs as workers. What is
counted is the share of the workers' time that was slept through, from the moment at which all of them have been at work (the ramp-up,
printed too) to the moment at which the first stage has nothing left to begin (after that the pipeline drains).
`trivial`: partitions of one item through stages that do nothing, on an embedded Ray: cost per partition and stage, memory of the driver
as it goes on."""

import argparse
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
    from tests.cluster.nodes import Cluster

    folder = Path(tempfile.mkdtemp(prefix="iv-", dir="/tmp"))
    log = folder / "log"
    (folder / "token").write_text(secrets.token_hex(32))
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(folder / "token")
    videos = make_videos(folder / "videos", partitions)
    stages = {f"benchmarks.sleeping_stages:{STAGES[index]}": {"work_s": cost} for index, cost in enumerate(costs)}
    env = {"PYTHONPATH": str(REPO), "INTERNVID_BENCH_LOG": str(log)}
    with Cluster(nodes=5, cpus=workers / 4, head_cpus=0, env=env) as cluster:
        config = folder / "config.yaml"
        placement = {"ray_address": cluster.gcs, "stages": {}}
        config.write_text(json.dumps(raw_config(folder / "root", videos, stages, placement)))
        command = [sys.executable, "-m", "internvid_pipeline.cli.main", "run", str(config), "--quiet"]
        subprocess.run(command, cwd=REPO, env={**cluster.environment(), **env}, check=True)
    report(log, workers, costs)
    shutil.rmtree(folder)


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


def trivial(partitions: int, stages: int) -> None:
    """Prints a row: cost of a unit, and the driver's memory at each tenth of the way."""
    folder = Path(tempfile.mkdtemp(prefix="iv-", dir="/tmp"))
    videos = make_videos(folder / "videos", partitions)
    chosen: dict[str, Any] = {f"benchmarks.sleeping_stages:{name}": {"work_s": 0.0, "cpus": 0.25} for name in STAGES[:stages]}
    memory_mb: list[float] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(10):
            memory_mb.append(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6)

    threading.Thread(target=watch, daemon=True).start()
    start = time.monotonic()
    result = run_dataset(config_from(raw_config(folder / "root", videos, chosen, {})), engine="ray")
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
    parser.add_argument("kind", choices=["steady", "trivial"])
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--partitions", type=int)
    parser.add_argument("--costs", type=float, nargs="+", default=[4.0, 8.0, 20.0])
    parser.add_argument("--stages", type=int, default=6)
    arguments = parser.parse_args()
    if arguments.kind == "steady":
        steady(arguments.workers, arguments.partitions or 192, arguments.costs)
    else:
        trivial(arguments.partitions or 10_000, arguments.stages)


if __name__ == "__main__":
    main()
