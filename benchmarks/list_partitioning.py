"""A published list in InternVid's format becomes partitions: CPU and wall seconds, memory, and the same again when all of it is known.

python benchmarks/list_partitioning.py [--lines 1000000] [--list InternVid-10M-flt.jsonl]
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from internvid_pipeline.config import config_from
from internvid_pipeline.engine.appends import SourceIndex
from internvid_pipeline.engine.intake import Intake
from internvid_pipeline.storage import Root
from internvid_pipeline.units import timestamp

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_CLIPS_PER_VIDEO = 2.72  # of InternVid-10M-FLT, whose lines are a sample and stand in no order
_CAPTION = "a man is riding a horse along the beach while the sun sets behind him"


def write_list(path: Path, lines: int) -> None:
    """Lines of made videos, those of one video scattered over the file."""
    chance = random.Random(7)
    ids = ["".join(chance.choices(_LETTERS, k=11)) for _ in range(round(lines / _CLIPS_PER_VIDEO))]
    with path.open("w") as file:
        for number in range(lines):
            start_s = chance.uniform(0, 600)
            times = {"Start_timestamp": timestamp(start_s), "End_timestamp": timestamp(start_s + chance.uniform(2, 30))}
            scores = {"Aesthetic_Score": round(chance.uniform(3, 6), 6), "UMT_Score": round(chance.uniform(0.3, 0.6), 6)}
            file.write(json.dumps({"YoutubeID": chance.choice(ids), **times, "Caption": f"{_CAPTION} {number % 997}", **scores}) + "\n")


def _partition(path: Path, folder: Path) -> None:
    config = config_from(
        {"root": str(folder / "set"), "source": {"path": str(path), "partition_videos": 256}, "stages": {"download_videos": None}}
    )
    for name in ("new list", "all known"):
        start, wall = time.process_time(), time.monotonic()
        index = SourceIndex(Root(config.root))
        numbers = Intake(config, index.root).append(index)
        used = f"{time.process_time() - start:.1f} CPU s, {time.monotonic() - wall:.1f} wall s"
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
        print(f"{name}: {len(numbers)} partitions, {index.table.num_rows:,} videos, {used}, peak {peak_mb:.0f} MB", flush=True)


def main() -> None:
    """Makes the list in one process and reads it in another, so that the peak is the reader's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--list", type=Path, help="a list of your own in place of a made one")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.folder is not None:
        return _partition(options.list, options.folder)
    with tempfile.TemporaryDirectory() as folder:
        path = options.list or Path(folder, "made.jsonl")
        if options.list is None:
            write_list(path, options.lines)
        print(f"{path.name}: {path.stat().st_size / 1e6:.0f} MB")
        subprocess.run([sys.executable, __file__, "--list", str(path), "--folder", folder], check=True)
    return None


if __name__ == "__main__":
    main()
