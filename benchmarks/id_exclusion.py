"""Leaving out ten million ids: memory and time of building, memory and time of a look-up, and whether every answer is right.

python benchmarks/id_exclusion.py [--ids 10000000]
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from internvid_pipeline.web.id_set import IdSet, build_id_set

_LETTERS = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", dtype=np.uint8)


def made_ids(count: int, seed: int, step: int = 100_000) -> Iterator[str]:
    """Ids of eleven characters, as YouTube's."""
    random = np.random.default_rng(seed)
    for start in range(0, count, step):
        letters = _LETTERS[random.integers(0, 64, (min(step, count - start), 11))]
        yield from (row.decode() for row in letters.view("S11").ravel().tolist())


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def _build(path: Path, count: int) -> None:
    start = time.process_time()
    size = build_id_set(made_ids(count, 1), path)
    print(
        f"build: {size:,} ids, {time.process_time() - start:.1f} CPU s, peak {_peak_mb():.0f} MB, file {path.stat().st_size / 1e6:.0f} MB"
    )


def _look_up(path: Path, count: int) -> None:
    ids = IdSet(path)
    present = list(made_ids(200_000, 1)) if count > 200_000 else list(made_ids(count, 1))
    absent = list(made_ids(len(present), 2))
    before_mb = _peak_mb()
    for name, sample in (("in the set", present), ("not in it", absent)):
        order = np.random.default_rng(3).permutation(len(sample)).tolist()
        asked = [sample[index] for index in order]
        for text in asked:
            text in ids  # noqa: B015 - the file is brought into the page cache
        start = time.process_time()
        found = sum(1 for text in asked if text in ids)
        each = (time.process_time() - start) / len(asked) * 1e6
        print(f"look-up, {name}: {each:.2f} µs, {found:,} of {len(asked):,} found")
    print(f"memory of the reader: peak {_peak_mb():.0f} MB, of which {before_mb:.0f} MB are Python and the sample")
    wrong = sum(1 for text in made_ids(count, 1) if text not in ids)
    print(f"exactness: {wrong} of {count:,} ids missing")


def main() -> None:
    """Builds in one process and looks up in another, so that each peak is its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ids", type=int, default=10_000_000)
    parser.add_argument("--part", choices=("build", "look-up"))
    parser.add_argument("--file", type=Path)
    options = parser.parse_args()
    if options.part == "build":
        return _build(options.file, options.ids)
    if options.part == "look-up":
        return _look_up(options.file, options.ids)
    with tempfile.TemporaryDirectory() as folder:
        for part in ("build", "look-up"):
            command = [sys.executable, __file__, "--ids", str(options.ids), "--part", part, "--file", os.path.join(folder, "ids")]
            subprocess.run(command, check=True)
    return None


if __name__ == "__main__":
    main()
