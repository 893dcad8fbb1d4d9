"""Where things lie below the root. README.md draws it; no other module builds these names."""

import re
from collections.abc import Iterable

SOURCES = "sources"
APPENDS = "sources/appends"
EXCLUDED = "sources/excluded.parquet"  # inputs that source.exclude_ids left out in the last run: a view
COLLECTED = "collect"  # the data set of what queries and channels show
DATASET_FILE = "dataset.yaml"
SHARDS = "shards"
REMOVED = "removed"
EXPORT_LOG = "export_log"  # which exports were made: never data
GENERATIONS = "generations"  # who owns what: never data, and nothing is lost without it while nobody runs
MARKS = "marks"  # what people said of clips in `internvid browse`; no result is made from it
STAGING = ".tmp"  # never data
_MANIFEST_ENDING = ".manifest.json"
_PART_MARK = ".part-"
_SOURCES_TABLE = re.compile(r"([0-9]{5,})\.parquet")
_PART_MANIFEST = re.compile(r"([0-9]{5,})\.part-([0-9]+)\.manifest\.json")


def partition_name(partition: int, part: int | None = None) -> str:
    """Five digits, more from partition 100,000 on; of one part of what is done of it: `00042.part-0`."""
    return f"{partition:05d}" if part is None else f"{partition:05d}{_PART_MARK}{part}"


def sources_table(partition: int) -> str:
    """The partition's input rows."""
    return f"{SOURCES}/{partition_name(partition)}.parquet"


def append_entry(number: int) -> str:
    """Entry of the log of appends: the input rows of up to some hundred partitions with their numbers."""
    return f"{APPENDS}/{number:05d}.parquet"


def stage_folder(stage: str, fingerprint: str) -> str:
    """Everything a stage made under one fingerprint."""
    return f"{stage}/{fingerprint}"


def rows_table(folder: str, partition: int, part: int | None = None) -> str:
    """Rows that the stage emitted."""
    return f"{folder}/{partition_name(partition, part)}.parquet"


def drops_table(folder: str, partition: int, part: int | None = None) -> str:
    """Items that the stage dropped; absent where there are none."""
    return f"{folder}/{partition_name(partition, part)}.drops.parquet"


def failures_table(folder: str, partition: int, part: int | None = None) -> str:
    """Items that failed in the stage; absent where there are none."""
    return f"{folder}/{partition_name(partition, part)}.failures.parquet"


def media_tar(folder: str, partition: int, part: int | None = None) -> str:
    """Media that the rows point at; absent where there is none."""
    return f"{folder}/{partition_name(partition, part)}.tar"


def manifest(folder: str, partition: int, part: int | None = None) -> str:
    """Written last; the partition is done when it exists. Of a part: what is in it stays as it is."""
    return f"{folder}/{partition_name(partition, part)}.manifest.json"


def fingerprint_file(folder: str) -> str:
    """What the fingerprint was made from, so that `plan` can name the field that changed."""
    return f"{folder}/fingerprint.json"


def reduced_file(folder: str) -> str:
    """Result of the stage's `reduce`."""
    return f"{folder}/reduced.json"


def reduced_folder(folder: str) -> str:
    """Files that the stage's `reduce` wrote."""
    return f"{folder}/reduced"


def groups_folder(folder: str) -> str:
    """Groups of partitions whose rows are dealt out among them: `00000-00063.json` names one, `00000-00063.parquet` says who gets what."""
    return f"{folder}/groups"


def group_name(first: int, last: int) -> str:
    """A group of partitions `first` to `last`."""
    return f"{partition_name(first)}-{partition_name(last)}"


def shard_index(publish_folder: str) -> str:
    """All shards of a selection in the form of WebDataset's `wids`: a view."""
    return f"{publish_folder}/index.json"


def summary_file(folder: str) -> str:
    """Sums over many manifests: a view that spares reading them one by one, never data."""
    return f"{folder}/summary.json"


def partitions_in(names: Iterable[str]) -> set[int]:
    """Partition numbers of the manifests among file names."""
    # Not by a pattern: among two million names that would take half of the time that `internvid status` needs.
    stems = (name[: -len(_MANIFEST_ENDING)] for name in names if name.endswith(_MANIFEST_ENDING))
    return {int(stem) for stem in stems if len(stem) >= 5 and stem.isdecimal() and stem.isascii()}


def parts_in(names: Iterable[str]) -> dict[int, int]:
    """The highest part of each partition that has any, among file names."""
    found: dict[int, int] = {}
    for name in names:
        if _PART_MARK in name and (match := _PART_MANIFEST.fullmatch(name)):
            partition, part = int(match[1]), int(match[2])
            found[partition] = max(part, found.get(partition, 0))
    return found


def sources_in(names: list[str]) -> set[int]:
    """Partition numbers of the sources tables among file names."""
    return {int(match[1]) for name in names if (match := _SOURCES_TABLE.fullmatch(name))}


def run_generations(folder: str) -> str:
    """Which run owns a stage's folder: one numbered file after the other, the highest is the owner. Not data."""
    return f"{GENERATIONS}/runs/{folder}"


def publish_generations(publish_dir: str) -> str:
    """Which fingerprint owns a folder that is published in; as above."""
    return f"{GENERATIONS}/{publish_dir}"


def generation_file(generations: str, number: int) -> str:
    """One of them: it names the owner."""
    return f"{generations}/{number:05d}.json"


def generation_ready(generations: str, number: int) -> str:
    """Exists when what the former owner had published has been cleared away."""
    return f"{generations}/{number:05d}.ready"


def marks_folder(annotator: str) -> str:
    """Marks of one person: a table for each time that the browser was started, so that each has one writer."""
    return f"{MARKS}/{annotator}"


def withdrawal(folder: str, partition: int) -> str:
    """A former manifest whose published files are being deleted."""
    return f"{folder}/{partition_name(partition)}.withdrawn.json"
