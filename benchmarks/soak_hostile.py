"""Many mutants of small videos, and files cut short at every tenth, through the real stages: `python benchmarks/soak_hostile.py`.

Seventeen kinds of container and codec; the same mutants on every run. Ends with status 1 where anything is wrong: an input that is not
accounted for exactly once, a clip that does not decode to exactly its stated frames, a run that stops.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the makers of the files belong to the tests

from tests.media.hostile import Seeds, write_bombs, write_hostile
from tests.media.hostile_mutants import KINDS, write_cut_short, write_kind, write_mutants
from tests.media.hostile_run import Account, run_hostile


def main() -> int:
    """Prints a table as it stands in benchmarks/README.md."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--per-kind", type=int, default=60)
    chosen = options.parse_args()
    status = 0
    print("| files | inputs | clips of | dropped | failed | clips | frames decoded | workers that died | wrong | wall s | CPU s |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|", flush=True)
    with tempfile.TemporaryDirectory(prefix="soak-hostile-") as folder:
        seeds = Path(folder, "seeds")
        seeds.mkdir()
        kinds = [write_kind(kind, seeds) for kind in KINDS]
        groups = {
            "mutants": lambda place: write_mutants(place, kinds, chosen.per_kind),
            "cut short at every tenth": lambda place: write_cut_short(place, kinds),
            "lying headers": lambda place: write_hostile(place, Seeds(Path(folder, "header-seeds"))),
            "pictures of 67 million pixels": write_bombs,
        }
        for number, (name, write) in enumerate(groups.items()):
            place = Path(folder, str(number))
            place.mkdir()
            inputs = len(write(place))
            account, wall_s, cpu_s = _timed(place, Path(folder, f"root-{number}"))
            print("|", " | ".join(map(str, _row(name, inputs, account, wall_s, cpu_s))), "|", flush=True)
            if account.wrong or len(account.outcomes) != inputs:
                status = 1
                print("\n".join(account.wrong), file=sys.stderr)
    return status


def _timed(source: Path, root: Path) -> tuple[Account, float, float]:
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    account = run_hostile(source, root)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return account, time.monotonic() - start, cpu_s


def _row(name: str, inputs: int, account: Account, wall_s: float, cpu_s: float) -> tuple[object, ...]:
    died = Counter(reason.split(":")[0] for _, reason in account.outcomes.values())
    deaths = ", ".join(f"{died[kind]} {kind}" for kind in ("WorkerDied", "DeadlineExceeded", "MemoryLimit") if died[kind]) or "0"
    counts = account.counts
    results = (counts["clips"], counts["dropped"], counts["failed"], account.num_clips, account.num_frames)
    return name, inputs, *results, deaths, len(account.wrong), f"{wall_s:.0f}", f"{cpu_s:.0f}"


if __name__ == "__main__":
    sys.exit(main())
