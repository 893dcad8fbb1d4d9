"""One partition without some videos: its manifests, those of its parts, and files that no manifest names."""

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PurePosixPath

from internvid_pipeline.engine import StagePlan
from internvid_pipeline.engine.gather import group_of
from internvid_pipeline.records import CandidateRecord
from internvid_pipeline.removal.edit import Changes, edit_manifest
from internvid_pipeline.storage import Manifest, layout, read_arrow, read_manifest, read_parts
from internvid_pipeline.storage.inventory import list_files, list_folders

_NUMBER = re.compile(r"(\d{5,})[.-]")


def with_samples(changes: Changes, plans: Sequence[StagePlan]) -> set[int]:
    """Partitions that were given clips of theirs, by stages that deal a group's rows out anew."""
    found: set[int] = set()
    for plan in plans:
        for partition in sorted(changes.targets.partitions) if plan.gather_partitions else ():
            try:
                group = group_of(changes.root, plan, partition)
                path = f"{layout.groups_folder(plan.folder)}/{layout.group_name(group[0], group[-1])}.parquet"
                table = read_arrow(changes.root, path)
            except FileNotFoundError:
                continue  # it has not come so far
            found |= set(table.filter(changes.targets.mask(table, ("clip_id",)))["partition"].to_pylist())
    return found


def remove_from_partition(changes: Changes, plans: Sequence[StagePlan], partition: int, folder: Path) -> None:
    """Prepares the new manifests of a partition, stage by stage in the plan's order: rows behind point at media before them. Of one that
    is not done, those of its parts; where these hold what queries showed, they are given up, and the queries asked again.
    folder: scratch."""
    for plan in plans:
        manifests: Sequence[Manifest]
        try:
            manifests = [read_manifest(changes.root, plan.folder, partition)]
        except FileNotFoundError:
            manifests = read_parts(changes.root, plan.folder, partition) if plan.build().writes is not CandidateRecord else ()
        for manifest in manifests:
            edit_manifest(changes, plan, manifest, folder)


def unnamed_files(changes: Changes, plans: Sequence[StagePlan], partitions: Collection[int]) -> Iterator[str]:
    """Files of partitions that were looked at which none of their manifests names: of killed workers, and parts of what is done since.
    Manifests come first."""
    for plan in plans:
        folders = [plan.folder]
        if plan.publish_dir is not None:
            folders += [f"{plan.publish_dir}/{name}" for name in list_folders(changes.root, plan.publish_dir)]
        found = [file.path for folder in folders for file in list_files(changes.root, folder)]
        own = [path for path in found if _number(path) in partitions and path not in changes.live]
        own = [path for path in own if not path.endswith(".withdrawn.json") and path not in changes.superseded]
        yield from sorted(own, key=lambda path: not path.endswith(".manifest.json"))


def _number(path: str) -> int | None:
    match = _NUMBER.match(PurePosixPath(path).name)
    return int(match[1]) if match else None
