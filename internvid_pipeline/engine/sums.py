"""Sums over very many manifests, by several processes where it is worth it: `python -m internvid_pipeline.engine.sums ROOT`."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from internvid_pipeline.engine.report import StageStatus, sum_manifests
from internvid_pipeline.errors import InternvidError, StorageError
from internvid_pipeline.storage import Root, layout
from internvid_pipeline.storage.inventory import read_many


def sum_partitions(root: Root, folder: str, partitions: Sequence[int]) -> tuple[StageStatus, set[int]]:
    """Sums over partitions of a stage, and those of them whose manifests were there. Raises StorageError."""
    status = StageStatus("", "", 0)
    numbers = {layout.manifest(folder, partition): partition for partition in partitions}
    return status, {numbers[path] for path in sum_manifests(status, read_many(root, list(numbers)), root.uri)}


def summed_by_processes(root: Root, wanted: Mapping[str, Sequence[int]], processes: int) -> dict[str, list[tuple[StageStatus, set[int]]]]:
    """As `sum_partitions`, for several stages by their folders, each shared among all processes. They are processes of their own and not
    forks of this one, which may hold threads. Raises StorageError."""
    command = [sys.executable, "-m", "internvid_pipeline.engine.sums", str(root.folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
        for _ in range(processes)
    ]
    for number, process in enumerate(started):
        share = {folder: to_ranges(_share(partitions, number, processes)) for folder, partitions in wanted.items()}
        assert process.stdin is not None
        process.stdin.write(json.dumps(share).encode())
        process.stdin.close()
        process.stdin = None  # communicate() would flush it
    answers = [process.communicate() for process in started]
    found: dict[str, list[tuple[StageStatus, set[int]]]] = {}
    for process, (output, errors) in zip(started, answers, strict=True):
        if process.returncode:
            words = errors.decode(errors="replace").strip().splitlines()
            raise StorageError(words[-1].removeprefix("internvid: ") if words else f"a reader of {root.uri} ended")
        for folder, (sums, there) in json.loads(output).items():
            found.setdefault(folder, []).append((status_of(sums), from_ranges(there)))
    return found


def _share(partitions: Sequence[int], number: int, processes: int) -> Sequence[int]:
    size = -(-len(partitions) // processes)
    return partitions[number * size : (number + 1) * size]


def status_of(sums: dict[str, Any]) -> StageStatus:
    """A status that was stored as plain data."""
    return StageStatus(**{**sums, "recent": {int(number): values for number, values in sums["recent"].items()}})


def to_ranges(numbers: Iterable[int]) -> list[list[int]]:
    """Numbers as ascending [first, last] pairs."""
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ranges


def from_ranges(ranges: Sequence[Sequence[int]]) -> set[int]:
    """The numbers of `to_ranges`. Raises ValueError, TypeError for what is none."""
    return {number for first, last in ranges for number in range(first, last + 1)}


def _main() -> None:
    """One of those processes: partitions by folder on standard input, their sums on standard output."""
    root = Root(sys.argv[1])
    found: dict[str, Any] = {}
    try:
        for folder, ranges in json.load(sys.stdin).items():
            status, there = sum_partitions(root, folder, sorted(from_ranges(ranges)))
            found[folder] = asdict(status), to_ranges(there)
    except InternvidError as error:
        sys.exit(f"internvid: {error}")
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    _main()
