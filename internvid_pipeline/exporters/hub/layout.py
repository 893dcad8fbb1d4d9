"""Which files a repository holds, and where: the same names on every run, never more than some thousand in a folder."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from internvid_pipeline.engine import StagePlan
from internvid_pipeline.errors import UsageError
from internvid_pipeline.records import MediaRef, SampleRecord
from internvid_pipeline.storage import Root, done_partitions, layout, read_manifest

CARD = "README.md"
DATA_FOLDER = "data"
_SHARD = re.compile(r"(\d+)-.*\.tar")
_SHARDS_PER_FOLDER = 1000  # the Hub advises fewer than 10,000 files in a folder


@dataclass(frozen=True)
class HubFile:
    """path: in the repository. ref: in the data set's root; or staged: a local file made for the upload."""

    path: str
    size_bytes: int
    sha256: str
    ref: MediaRef | None = None
    staged: Path | None = None


def shard_files(root: Root, plans: Sequence[StagePlan], partitions: Sequence[int], selections: Sequence[str]) -> Iterator[HubFile]:
    """The shards of some selections, from the manifests: nothing is hashed again. Raises UsageError where they are not complete."""
    writer = next((plan for plan in plans if plan.build().writes is SampleRecord), None)
    if writer is None:
        raise UsageError("the config has no stage that writes shards; add write_shards, or export --metadata-only")
    missing = set(partitions) - done_partitions(root, writer.folder)
    if missing:
        raise UsageError(f"{writer.name} is not done in {len(missing)} of {len(partitions)} partitions; run the config to its end first")
    for partition in partitions:
        for file in read_manifest(root, writer.folder, partition).files:
            folder, _, rest = file.path.partition("/")
            selection, _, name = rest.partition("/")
            if file.kind == "published" and folder == layout.SHARDS and selection in selections and name.endswith(".tar"):
                ref = MediaRef(uri=file.path, size_bytes=file.size_bytes, sha256=file.sha256)
                yield HubFile(shard_path(selection, name), file.size_bytes, file.sha256, ref=ref)


def shard_path(selection: str, name: str) -> str:
    """`data/<selection>/042/42017-00000.tar`: by thousands of partitions."""
    match = _SHARD.fullmatch(name)
    group = int(match[1]) // _SHARDS_PER_FOLDER if match else 0
    return f"{DATA_FOLDER}/{selection}/{group:03d}/{name}"


def shard_pattern(selection: str) -> str:
    """What the card gives to readers."""
    return f"{DATA_FOLDER}/{selection}/*/*.tar"


def table_path(selection: str, number: int) -> str:
    """`data/<selection>/00003.parquet`: some hundred partitions each."""
    return f"{DATA_FOLDER}/{selection}/{number:05d}.parquet"


def table_pattern(selection: str) -> str:
    """What the card gives to readers."""
    return f"{DATA_FOLDER}/{selection}/*.parquet"


def is_managed(path: str) -> bool:
    """True for files that an export may replace or delete; what else lies in a repository is its owner's."""
    return path == CARD or (path.startswith(f"{DATA_FOLDER}/") and path.endswith((".tar", ".parquet")))
