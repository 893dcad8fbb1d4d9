"""Which files a repository holds, and where: the same names on every run, never more than some thousand in a folder."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from internvid_pipeline.engine import StagePlan
from internvid_pipeline.engine.shard_index import Shard, index_bytes, shards_of
from internvid_pipeline.errors import StorageError, UsageError
from internvid_pipeline.records import MediaRef, SampleRecord
from internvid_pipeline.storage import Root, done_partitions, file_sha256, layout, read_manifest, replaced_file
from internvid_pipeline.storage.inventory import read_many

CARD = "README.md"
DATA_FOLDER = "data"
_SHARD = re.compile(r"(\d+)-.*\.tar(?:\.idx)?")
_SHARDS_PER_FOLDER = 1000  # the Hub advises fewer than 10,000 files in a folder


@dataclass(frozen=True)
class HubFile:
    """path: in the repository. ref: in the data set's root; or staged: a local file made for the upload. git_hash: git's own name of a
    small file's content, by which the Hub knows those that are no large files."""

    path: str
    size_bytes: int
    sha256: str
    ref: MediaRef | None = None
    staged: Path | None = None
    git_hash: str = ""


def shard_files(
    root: Root, plans: Sequence[StagePlan], partitions: Sequence[int], selections: Sequence[str], staging: Path
) -> Iterator[HubFile]:
    """The shards of some selections, from the manifests: no shard is hashed again. Beside each lie its offsets (`.tar.idx`), above them,
    for `wids`, an index of all, which is staged. Raises UsageError where they are not complete."""
    writer = next((plan for plan in plans if plan.build().writes is SampleRecord), None)
    if writer is None:
        raise UsageError("the config has no stage that writes shards; add write_shards, or export --metadata-only")
    missing = set(partitions) - done_partitions(root, writer.folder)
    if missing:
        raise UsageError(f"{writer.name} is not done in {len(missing)} of {len(partitions)} partitions; run the config to its end first")
    shards: dict[str, list[Shard]] = {name: [] for name in selections}
    offsets: list[HubFile] = []
    for partition in partitions:
        manifest = read_manifest(root, writer.folder, partition)
        for place, shard in shards_of(manifest):
            if (selection := place.rpartition("/")[2]) in shards:
                path = shard_path(selection, str(shard["url"])).removeprefix(f"{DATA_FOLDER}/{selection}/")
                shards[selection].append({**shard, "url": path})
        for file in manifest.files:
            folder, _, rest = file.path.partition("/")
            selection, _, name = rest.partition("/")
            if file.kind == "published" and folder == layout.SHARDS and selection in selections:
                ref = MediaRef(uri=file.path, size_bytes=file.size_bytes, sha256=file.sha256)
                found = HubFile(shard_path(selection, name), file.size_bytes, file.sha256, ref=ref)
                if name.endswith(".tar"):
                    yield found
                elif name.endswith(".tar.idx"):
                    offsets.append(found)
    yield from _with_git_hashes(root, offsets)
    for selection, entries in shards.items():
        if entries:
            yield _index(selection, entries, staging)


def _with_git_hashes(root: Root, files: Sequence[HubFile]) -> Iterator[HubFile]:
    contents = read_many(root, [file.ref.uri for file in files if file.ref is not None])
    for file, (path, data) in zip(files, contents, strict=True):
        if data is None:
            raise StorageError(f"{path} is missing in {root.uri}; internvid validate tells more")
        yield replace(file, git_hash=git_hash(data))


def _index(selection: str, shards: Sequence[Shard], staging: Path) -> HubFile:
    path = staging / f"index-{selection}.json"
    data = index_bytes(selection, shards)
    with replaced_file(path) as file:
        file.write(data)
    return HubFile(index_path(selection), len(data), file_sha256(path), staged=path, git_hash=git_hash(data))


def git_hash(data: bytes) -> str:
    """Git's name of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def index_path(selection: str) -> str:
    """`data/<selection>/index.json`: what `wids` opens."""
    return f"{DATA_FOLDER}/{selection}/index.json"


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
    return path == CARD or (path.startswith(f"{DATA_FOLDER}/") and path.endswith((".tar", ".tar.idx", ".parquet", "/index.json")))
