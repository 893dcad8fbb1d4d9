"""Where things lie below the root. README.md draws it; no other module builds these names."""

import re

SOURCES = "sources"
DATASET_FILE = "dataset.yaml"
SHARDS = "shards"
STAGING = ".tmp"  # never data
_MANIFEST = re.compile(r"([0-9]{5,})\.manifest\.json")
_SOURCES_TABLE = re.compile(r"([0-9]{5,})\.parquet")


def partition_name(partition: int) -> str:
    """Five digits, more from partition 100,000 on."""
    return f"{partition:05d}"


def sources_table(partition: int) -> str:
    """The partition's input rows."""
    return f"{SOURCES}/{partition_name(partition)}.parquet"


def stage_folder(stage: str, fingerprint: str) -> str:
    """Everything a stage made under one fingerprint."""
    return f"{stage}/{fingerprint}"


def rows_table(folder: str, partition: int) -> str:
    """Rows that the stage emitted."""
    return f"{folder}/{partition_name(partition)}.parquet"


def drops_table(folder: str, partition: int) -> str:
    """Items that the stage dropped; absent where there are none."""
    return f"{folder}/{partition_name(partition)}.drops.parquet"


def failures_table(folder: str, partition: int) -> str:
    """Items that failed in the stage; absent where there are none."""
    return f"{folder}/{partition_name(partition)}.failures.parquet"


def media_tar(folder: str, partition: int) -> str:
    """Media that the rows point at; absent where there is none."""
    return f"{folder}/{partition_name(partition)}.tar"


def manifest(folder: str, partition: int) -> str:
    """Written last; the partition is done when it exists."""
    return f"{folder}/{partition_name(partition)}.manifest.json"


def fingerprint_file(folder: str) -> str:
    """What the fingerprint was made from, so that `plan` can name the field that changed."""
    return f"{folder}/fingerprint.json"


def reduced_file(folder: str) -> str:
    """Result of the stage's `reduce`."""
    return f"{folder}/reduced.json"


def partitions_in(names: list[str]) -> set[int]:
    """Partition numbers of the manifests among file names."""
    return {int(match[1]) for name in names if (match := _MANIFEST.fullmatch(name))}


def sources_in(names: list[str]) -> set[int]:
    """Partition numbers of the sources tables among file names."""
    return {int(match[1]) for name in names if (match := _SOURCES_TABLE.fullmatch(name))}


def withdrawal(folder: str, partition: int) -> str:
    """A former manifest whose published files are being deleted."""
    return f"{folder}/{partition_name(partition)}.withdrawn.json"
