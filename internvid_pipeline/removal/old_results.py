"""Results of other configs: what of them holds the videos is deleted, and computed anew without them if somebody goes back."""

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath

from internvid_pipeline.engine import StagePlan
from internvid_pipeline.removal.targets import Targets
from internvid_pipeline.storage import Root, done_partitions, layout, manifest_from_json, read_manifest
from internvid_pipeline.storage.inventory import list_files, list_folders

_FINGERPRINT = re.compile(r"[0-9a-f]{12}")
_NUMBER = re.compile(r"(\d{5,})\b")
_NAMING = (".manifest.json", ".withdrawn.json")
_GROUP = re.compile(r"(\d{5,})-(\d{5,})\.json")


def discard_old_results(root: Root, plans: Sequence[StagePlan], targets: Targets) -> Iterator[str]:
    """Files below fingerprints that the plans do not lead to, of partitions that hold the videos or were given clips of theirs, and what
    was found out about the whole set there, and what they have published. Manifests come first, so that none is left whose files are
    gone."""
    current = {plan.folder for plan in plans}
    published = functools.lru_cache(lambda: _published_now(root, plans))
    for stage in list_folders(root, ""):
        for fingerprint in list_folders(root, stage) if not stage.startswith(".") else ():
            folder = layout.stage_folder(stage, fingerprint)
            if _FINGERPRINT.fullmatch(fingerprint) and folder not in current and root.exists(layout.fingerprint_file(folder)):
                yield from _of_folder(root, folder, targets, published)


def _published_now(root: Root, plans: Sequence[StagePlan]) -> frozenset[str]:
    """What the plans' own stages have published."""
    folders = [plan.folder for plan in plans if plan.publish_dir is not None]
    manifests = [read_manifest(root, folder, partition) for folder in folders for partition in done_partitions(root, folder)]
    return frozenset(file.path for manifest in manifests for file in manifest.files if file.kind == "published")


def _of_folder(root: Root, folder: str, targets: Targets, published: Callable[[], frozenset[str]]) -> Iterator[str]:
    partitions, groups = set(targets.partitions), layout.groups_folder(folder)
    for name in root.list_names(groups):
        match = _GROUP.fullmatch(name)
        group = range(int(match[1]), int(match[2]) + 1) if match else range(0)
        if not targets.partitions.isdisjoint(group):
            partitions |= set(group)
            yield f"{groups}/{layout.group_name(group[0], group[-1])}.parquet"
    yield layout.summary_file(folder)
    yield layout.reduced_file(folder)
    yield from (file.path for file in list_files(root, layout.reduced_folder(folder)))
    own = [file.path for file in list_files(root, folder) if _number(file.path) in partitions]
    yield from sorted(own, key=lambda path: not path.endswith(".manifest.json"))
    for path in own:
        if path.endswith(_NAMING):
            files = [file.path for file in manifest_from_json(root.read_bytes(path), path).files if file.kind == "published"]
            yield from sorted(set(files) - published()) if files else ()


def _number(path: str) -> int | None:
    match = _NUMBER.match(PurePosixPath(path).name)
    return int(match[1]) if match else None
