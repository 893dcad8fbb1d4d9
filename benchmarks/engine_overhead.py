"""What the engine itself costs: four stages that do nothing over many partitions of one item each.

    python benchmarks/engine_overhead.py [--partitions 1000] [--engine inline --engine ray]

Prints milliseconds of wall time, and of CPU time of the whole process tree, per partition and stage. A partition's real work takes
minutes, so a hundred milliseconds would be nothing; what must not happen is that it grows with the number of partitions.
"""

import argparse
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from internvid_pipeline.config import DatasetConfig, config_from
from internvid_pipeline.engine import run_dataset

STAGES = ("First", "Second", "Third", "Fourth")


def config_for(folder: Path, root: Path) -> DatasetConfig:
    """One partition for each file of the folder."""
    stages = {f"benchmarks.trivial_stages:{name}": {} for name in STAGES}
    return config_from({"root": str(root), "source": {"path": str(folder), "partition_videos": 1}, "stages": stages})


def tree_cpu_s() -> float:
    """User and system seconds of this process and of all its children that have ended."""
    return sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


def measure(engine: str, num_partitions: int) -> None:
    """Runs the plan once and prints a row of the table."""
    folder = Path(tempfile.mkdtemp(prefix="overhead-"))
    videos = folder / "videos"
    videos.mkdir()
    for number in range(num_partitions):
        (videos / f"{number}.mp4").write_bytes(b"x" * (number + 1))
    start, cpu_start = time.monotonic(), tree_cpu_s()
    report = run_dataset(config_for(videos, folder / "root"), engine=engine)
    wall_s, cpu_s = time.monotonic() - start, tree_cpu_s() - cpu_start
    assert all(status.partitions_done == num_partitions for status in report.statuses), report.errors
    units = num_partitions * len(STAGES)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(
        f"| {engine} | {num_partitions} | {wall_s:.1f} | {wall_s / units * 1000:.1f} | {cpu_s / units * 1000:.1f} | {peak_mb:.0f} |",
        flush=True,
    )
    shutil.rmtree(folder)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--partitions", type=int, default=1000)
    parser.add_argument("--engine", action="append", choices=["inline", "ray"])
    arguments = parser.parse_args()
    print(
        f"| engine | partitions x {len(STAGES)} stages | wall s | ms per partition and stage | "
        "CPU ms of the same (driver and ended children) | driver peak MB |"
    )
    print("|---|--:|--:|--:|--:|--:|")
    for engine in arguments.engine or ["inline", "ray"]:
        measure(engine, arguments.partitions)


if __name__ == "__main__":
    main()
