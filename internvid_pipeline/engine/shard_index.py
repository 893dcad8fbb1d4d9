"""`shards/<selection>/index.json`: all shards with their counts, sizes and hashes, in the form that WebDataset's `wids` reads. A view of
the manifests: whoever finishes a run writes it anew, and deleting it costs nothing."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.engine.sums import to_ranges
from internvid_pipeline.storage import Manifest, Root, done_partitions, layout, manifest_from_json
from internvid_pipeline.storage.inventory import read_many

_OFFSET_BYTES = 8
Shard = dict[str, Any]  # url, nsamples, filesize, sha256


def write_shard_index(root: Root, plan: StagePlan) -> None:
    """Writes the indexes of a stage that publishes shards, unless they are of the very partitions that are done."""
    if plan.publish_dir is None:
        return
    done = sorted(done_partitions(root, plan.folder))
    of = f"{plan.fingerprint} {to_ranges(done)}"
    folders = [f"{plan.publish_dir}/{name}" for name in root.list_names(plan.publish_dir)]
    if not done or all(_is_of(root, folder, of) for folder in folders):
        return
    shards: dict[str, list[Shard]] = {}
    for manifest in _manifests(root, plan, done):
        for folder, shard in shards_of(manifest):
            shards.setdefault(folder, []).append(shard)
    for folder, found in shards.items():
        root.replace_bytes(layout.shard_index(folder), index_bytes(folder.rsplit("/", 1)[-1], found, of=of))


def index_bytes(name: str, shards: Sequence[Shard], **more: str) -> bytes:
    """The index of these shards; their addresses are relative to it. name: of the selection."""
    found = sorted(shards, key=lambda shard: str(shard["url"]))
    return json.dumps({"__kind__": "wids-shard-index-v1", "wids_version": 1, "name": name, **more, "shardlist": found}, indent=1).encode()


def _is_of(root: Root, folder: str, of: str) -> bool:
    try:
        return bool(json.loads(root.read_bytes(layout.shard_index(folder))).get("of") == of)
    except (FileNotFoundError, ValueError, AttributeError):
        return False


def _manifests(root: Root, plan: StagePlan, partitions: list[int]) -> Iterator[Manifest]:
    for path, data in read_many(root, [layout.manifest(plan.folder, partition) for partition in partitions]):
        if data is not None:
            yield manifest_from_json(data, f"{path} in {root.uri}")


def shards_of(manifest: Manifest) -> Iterator[tuple[str, Shard]]:
    """Folder and entry of each shard that has an index: the offset of each sample, and the end."""
    files = {file.path: file for file in manifest.files if file.kind == "published"}
    for path, file in files.items():
        index = files.get(f"{path}.idx")
        if index is not None:
            folder, _, name = path.rpartition("/")
            nsamples = index.size_bytes // _OFFSET_BYTES - 1
            yield folder, {"url": name, "nsamples": nsamples, "filesize": file.size_bytes, "sha256": file.sha256}
