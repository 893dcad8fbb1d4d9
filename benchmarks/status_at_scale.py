"""How long `internvid status` takes over very many manifests.

    python benchmarks/status_at_scale.py [--partitions 100000] [--folder DIR]

Makes a root of six stages that do nothing, with a manifest, a table and a tar for each partition and stage (all tables are one file
under many names, so that the listing is as long as a real one), then asks for its status as a user does, in a process of its own: with
the summaries that a run keeps, with a tenth of each stage not summed up yet, and with no summary at all. Prints wall seconds and CPU
seconds of the process tree.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from internvid_pipeline.config import config_from, to_yaml
from internvid_pipeline.engine import StagePlan, build_plan
from internvid_pipeline.engine.status import summary_bytes
from internvid_pipeline.engine.sums import sum_partitions
from internvid_pipeline.registry import resolved
from internvid_pipeline.storage import Root, layout

_LINKS = 30_000  # names of one file; ext4 allows 65,000
STAGES = ("First", "Second", "Third", "Fourth", "Fifth", "Sixth")


def manifest_text(plan: StagePlan, partition: int) -> str:
    """A manifest as long as a real one."""
    name = layout.partition_name(partition)
    hour, minute = divmod(partition // 60, 60)
    at = f"2026-11-{1 + hour // 24 % 28:02d}T{hour % 24:02d}:{minute:02d}:{partition % 60:02d}+00:00"
    files = [
        {"kind": kind, "path": f"{plan.folder}/{name}.{ending}", "size_bytes": 100_000 + partition, "sha256": "0" * 64}
        for kind, ending in (("media", "tar"), ("rows", "parquet"))
    ]
    counts = {"inputs": 32, "emitted": 30, "dropped": 1, "failed": 1, "rows": 990, "dropped_parts": 12}
    losses = {"drops_by_reason": {"too_short": 1}, "failures_by_class": {"DamagedMedia": 1}}
    times = {"started_at": at, "finished_at": at, "wall_s": 61.5, "host": "node-17"}
    more = {"versions": {"internvid": "0.1", "python": "3.11"}, "video_s": 11264.5, "resources": {"cpus": 1.0, "gpus": 0.0}}
    data = {
        "stage": plan.name,
        "fingerprint": plan.fingerprint,
        "partition": partition,
        **counts,
        **losses,
        "files": files,
        **times,
        **more,
    }
    return json.dumps({**data, "schema_version": 1}, indent=1)


def make_root(folder: Path, num_partitions: int) -> list[StagePlan]:
    """A root in which everything is done."""
    config = config_from(
        {
            "name": "scale",
            "root": str(folder),
            "source": {"path": str(folder)},
            "stages": {f"benchmarks.trivial_stages:{name}": {} for name in STAGES},
        }
    )
    plans = build_plan(config, num_partitions)
    folder.mkdir(parents=True)
    (folder / layout.DATASET_FILE).write_text(to_yaml(resolved(config)))
    stub = folder / ".stub"
    stub.mkdir()
    for directory, endings in ((layout.SOURCES, ("parquet",)), *((plan.folder, ("parquet", "tar")) for plan in plans)):
        (folder / directory).mkdir(parents=True)
        for ending in endings:
            for partition in range(num_partitions):
                original = stub / f"{directory.replace('/', '-')}.{ending}-{partition // _LINKS}"
                if partition % _LINKS == 0:
                    original.write_bytes(b"PAR1")
                os.link(original, folder / directory / f"{layout.partition_name(partition)}.{ending}")
    for plan in plans:
        for partition in range(num_partitions):
            with open(folder / layout.manifest(plan.folder, partition), "w") as file:
                file.write(manifest_text(plan, partition))
    return plans


def write_summaries(root: Root, plans: list[StagePlan], count: int) -> None:
    """Summaries over the first `count` partitions, as the driver of a run would have left them; 0: none."""
    for plan in plans:
        root.delete(layout.summary_file(plan.folder))
        if count:
            status, covered = sum_partitions(root, plan.folder, range(count))
            root.replace_bytes(layout.summary_file(plan.folder), summary_bytes(status, covered))


def ask(folder: Path) -> tuple[float, float]:
    """Wall and CPU seconds of one `internvid status --json`."""
    repository = str(Path(__file__).resolve().parents[1])
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-m", "internvid_pipeline.cli.main", "status", str(folder), "--json"]
    done = subprocess.run(command, capture_output=True, check=True, cwd=repository, env={**os.environ, "PYTHONPATH": repository})
    wall_s, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    stages = json.loads(done.stdout)["stages"]
    assert all(stage["inputs"] == 32 * stage["partitions"] for stage in stages), stages
    return wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--partitions", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="where to make the root; default: the system's temporary folder")
    arguments = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="status-", dir=arguments.folder))
    try:
        start = time.monotonic()
        plans = make_root(base / "root", arguments.partitions)
        print(f"made {arguments.partitions} partitions x {len(plans)} stages in {time.monotonic() - start:.0f} s", file=sys.stderr)
        root = Root(str(base / "root"))
        print(f"| {arguments.partitions} partitions x {len(plans)} stages | wall s | CPU s |\n|---|--:|--:|")
        for words, count in (("all summed up", 1.0), ("a tenth of each stage not yet", 0.9), ("no summaries", 0.0)):
            write_summaries(root, plans, int(arguments.partitions * count))
            wall_s, cpu_s = ask(base / "root")
            print(f"| {words} | {wall_s:.1f} | {cpu_s:.1f} |", flush=True)
    finally:
        shutil.rmtree(base)


if __name__ == "__main__":
    main()
