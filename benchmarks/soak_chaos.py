"""The chaos run at length: must end with every item accounted for once and every byte as in an undisturbed run.

    python benchmarks/soak_chaos.py [--seed 1] [--partitions 200] [--workers 20] [--node-kills 6] [--drivers 6]

A Ray cluster of three nodes on this machine, moto's S3 behind a proxy that fails 5 % of the requests, two drivers started at once; then
workers, whole nodes and drivers are killed at random moments, and drivers started anew until one ends. Prints what happened; ends with
status 1 where anything is lost, doubled or different, or a tenth or more of the work was done twice."""

import argparse
import os
import secrets
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.cluster.chaos import Chaos, Plan


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=20261121)
    parser.add_argument("--partitions", type=int, default=200)
    parser.add_argument("--items", type=int, default=4)
    parser.add_argument("--work-s", type=float, default=0.1)
    parser.add_argument("--cpus", type=float, default=2.0)
    parser.add_argument("--workers", type=int, default=20)
    parser.add_argument("--node-kills", type=int, default=6)
    parser.add_argument("--drivers", type=int, default=6)
    parser.add_argument("--deadline-s", type=float, default=3000)
    arguments = parser.parse_args()
    kills = {"worker": arguments.workers, "node": arguments.node_kills, "driver": arguments.drivers}
    plan = Plan(
        seed=arguments.seed,
        partitions=arguments.partitions,
        items=arguments.items,
        work_s=arguments.work_s,
        node_cpus=arguments.cpus,
        kills=kills,
        deadline_s=arguments.deadline_s,
    )
    print(plan, flush=True)
    with tempfile.TemporaryDirectory(prefix="iv-", dir="/tmp") as folder:
        token = Path(folder, "token")
        token.write_text(secrets.token_hex(32))
        os.environ["RAY_AUTH_TOKEN_PATH"] = str(token)
        with Chaos(plan, Path(folder)) as chaos:
            try:
                result = chaos.run()
            finally:
                Path("/tmp/internvid-chaos-drivers.log").write_text(chaos.words())
    print(f"wall {result.wall_s:.0f} s, drivers started {result.starts}, of which stopped for a later one {result.lost_races}")
    print(f"kills {sum(result.kills.values())}: {dict(result.kills)}")
    print(f"store: {dict(result.faults)}")
    print(f"items x stages {result.total}, worked on again {result.repeated} ({100 * result.repeated / result.total:.1f} %)")
    print(f"not accounted for once: {result.unaccounted or 'none'}; objects that differ: {result.differing or 'none'}")
    if result.unaccounted or not result.is_equal or result.repeated >= result.total / 10:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
