"""What a report over very many clips takes.

    python benchmarks/report_scale.py [--clips 10000000] [--folder DIR]

Makes a root of made tables (`made_tables.py`, a thousand clips in a partition), then runs `internvid report` over it in a process of its
own. Tables of the partitions that the report draws are all different ones; the others are one file under many names. Prints wall
seconds, CPU seconds and the peak of memory of the process tree.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.made_tables import CLIPS, make_root
from internvid_pipeline.report.reading import drawn_partitions
from internvid_pipeline.report.sample import MOST_CLIPS

REPOSITORY = Path(__file__).resolve().parents[1]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, help="where to make the root; default: the system's temporary folder")
    arguments = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="report-", dir=arguments.folder))
    partitions = arguments.clips // CLIPS
    try:
        start = time.monotonic()
        make_root(base / "root", partitions, set(drawn_partitions(range(partitions), MOST_CLIPS / arguments.clips)))
        print(f"made {partitions} partitions in {time.monotonic() - start:.0f} s", file=sys.stderr)
        command = [sys.executable, "-m", "internvid_pipeline.cli.main", "report", str(base / "root"), "--out", str(base / "report")]
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        subprocess.run(command, check=True, cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": str(REPOSITORY)})
        wall_s, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        page = (base / "report" / "report.html").stat().st_size
        print("| clips | partitions | wall s | CPU s | peak MB (largest process) | page MB |\n|--:|--:|--:|--:|--:|--:|")
        print(f"| {arguments.clips:,} | {partitions:,} | {wall_s:.1f} | {cpu_s:.1f} | {after.ru_maxrss / 1000:.0f} | {page / 1e6:.1f} |")
    finally:
        shutil.rmtree(base)


if __name__ == "__main__":
    main()
