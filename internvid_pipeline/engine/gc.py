"""Finding and deleting what no config needs any more: old fingerprints, files that no manifest names, leftovers of killed processes.

What stays, whatever its age: everything that a manifest of a kept config names, whatever rows of kept tables point at, and files of
partitions that are not done yet, since the next run takes them over as they are. So a run at work loses nothing: it never writes under an
old fingerprint of its own config, and what it has stored without a manifest belongs to a partition that is not done. Ages are reckoned
on the store's own clock. Old results go only when the kept ones of that stage are complete.
"""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa

from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.engine.rates import points_at_media
from internvid_pipeline.errors import StorageError, UsageError
from internvid_pipeline.storage import Manifest, PartManifest, Root, layout, manifest_from_json, read_arrow, read_parts
from internvid_pipeline.storage.inventory import (
    FoundFile,
    abort_upload,
    list_files,
    list_folders,
    list_state,
    read_many,
    remove_folder,
    staging_leftovers,
    store_now,
    unfinished_uploads,
)
from internvid_pipeline.units import duration_text

_FINGERPRINT = re.compile(r"[0-9a-f]{12}")
_OF_PARTITION = re.compile(r"([0-9]{5,})\.(?!manifest\.json$|withdrawn\.json$).+")
_SHARD = re.compile(r"([0-9]{5,})-[0-9]{5}(?:\.[0-9a-f]{12})?\.tar(?:\.idx)?")
_DELETERS = 16


@dataclass(frozen=True)
class Garbage:
    """Something to delete. kind: `old` (a fingerprint's whole folder), `orphan`, `staging`, `scratch` or `upload`.
    place: path below the root, or a local folder. why: in words."""

    kind: str
    place: str
    files: tuple[FoundFile, ...]
    why: str
    upload_id: str = ""

    @property
    def size_bytes(self) -> int:
        """Bytes that are freed."""
        return sum(file.size_bytes for file in self.files)


@dataclass
class GarbageReport:
    """What would go, and what was looked at and stays, with the reason. newest_s: age of the newest file of a kept stage."""

    garbage: list[Garbage] = field(default_factory=list)
    kept: list[tuple[str, str]] = field(default_factory=list)
    newest_s: float | None = None
    description: bytes = b""

    @property
    def size_bytes(self) -> int:
        """Bytes of everything that would go."""
        return sum(found.size_bytes for found in self.garbage)

    @property
    def num_files(self) -> int:
        """Files that would go."""
        return sum(len(found.files) for found in self.garbage)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        garbage = [
            {"kind": one.kind, "place": one.place, "files": len(one.files), "size_bytes": one.size_bytes, "why": one.why}
            for one in self.garbage
        ]
        kept = [{"place": place, "why": why} for place, why in self.kept]
        return {"garbage": garbage, "kept": kept, "files": self.num_files, "size_bytes": self.size_bytes}


def find_garbage(
    root: Root, plans: Sequence[StagePlan], partitions: Sequence[int], grace_s: float, unreplaced: bool = False
) -> GarbageReport:
    """What could be deleted. plans: of all configs to keep. grace_s: nothing younger is touched. unreplaced: old results go also where
    the kept results of that stage are not complete. Reads only, but for a probe of the store's clock. Raises StorageError."""
    report = GarbageReport(description=_description(root))
    try:
        now = store_now(root)
    except StorageError:  # read-only: looking is allowed
        now = time.time()
    now = time.time() if now is None else now
    by_folder = {plan.folder: plan for plan in plans}
    states = {folder: list_state(root, folder) for folder in by_folder}
    done = {folder: state[0] for folder, state in states.items()}
    complete = {plan.name for plan in plans if set(partitions) <= done[plan.folder]}
    old = _old_folders(root, by_folder, complete, now - grace_s, unreplaced, report)
    needed = _pointed_at(root, by_folder.values(), states, [garbage.place for garbage in old]) if old else set()
    for garbage in old:
        if garbage.place in needed:
            report.kept.append((garbage.place, "rows of kept tables point into it"))
        else:
            report.garbage.append(garbage)
    _orphans(root, by_folder, done, now, grace_s, report)
    for kind, place, files in staging_leftovers(root, now - grace_s):
        report.garbage.append(Garbage(kind, place, tuple(files), "left by a process that has ended"))
    for path, upload_id in unfinished_uploads(root, now - grace_s):
        report.garbage.append(Garbage("upload", path, (), "an upload in parts that never ended; its parts are paid for", upload_id))
    return report


def _description(root: Root) -> bytes:
    try:
        return root.read_bytes(layout.DATASET_FILE)
    except FileNotFoundError:
        return b""


def _old_folders(
    root: Root, kept: Mapping[str, StagePlan], complete: set[str], before_s: float, unreplaced: bool, report: GarbageReport
) -> list[Garbage]:
    kept_names = {plan.name for plan in kept.values()}
    found = []
    for name in list_folders(root, ""):
        for fingerprint in list_folders(root, name) if not name.startswith(".") else ():
            folder = layout.stage_folder(name, fingerprint)
            if folder in kept or not _FINGERPRINT.fullmatch(fingerprint) or not root.exists(layout.fingerprint_file(folder)):
                continue  # not written by us: data of somebody else, whatever its name looks like
            files = tuple(_walk(root, folder))
            ages = [file.modified_s for file in files]
            if any(age is None or age > before_s for age in ages):
                report.kept.append((folder, "something in it is younger than the grace time"))
            elif name in kept_names and name not in complete and not unreplaced:
                report.kept.append((folder, f"the kept config's own results of {name} are not complete yet"))
            else:
                why = "no kept config leads to it" if name in kept_names else "its stage is in no kept config"
                found.append(Garbage("old", folder, files, why))
    return found


def _walk(root: Root, folder: str) -> Iterator[FoundFile]:
    yield from list_files(root, folder)
    for name in list_folders(root, folder):
        yield from _walk(root, f"{folder}/{name}")


def _pointed_at(root: Root, plans: Any, states: Mapping[str, tuple[set[int], dict[int, int]]], folders: Sequence[str]) -> set[str]:
    """Those of the folders that media references in kept tables lead into, the tables of parts included."""
    needed: set[str] = set()
    for plan in plans:
        if not points_at_media(plan.build().writes):
            continue
        done, parts = states[plan.folder]
        manifests = [*_manifests(root, plan.folder, done), *_parts(root, plan.folder, parts)]
        for manifest in manifests:
            path = manifest.path_of("rows")
            if path is not None:
                uris = {uri for column in read_arrow(root, path).columns for uri in _uris(column)}
                needed |= {folder for folder in folders if any(uri.startswith(f"{folder}/") for uri in uris)}
    return needed


def _uris(column: Any) -> Iterator[str]:
    """Values of the fields named `uri` in a column, at any depth."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_struct(array.type):
        for index in range(array.type.num_fields):
            inner = array.field(index)
            if array.type.field(index).name == "uri":
                yield from (uri for uri in inner.unique().to_pylist() if uri)
            else:
                yield from _uris(inner)
    elif pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        yield from _uris(array.flatten())


def _manifests(root: Root, folder: str, partitions: set[int]) -> Iterator[Manifest]:
    paths = [layout.manifest(folder, partition) for partition in sorted(partitions)]
    for path, data in read_many(root, paths):
        if data is not None:
            yield manifest_from_json(data, f"{path} in {root.uri}")


def _parts(root: Root, folder: str, last: Mapping[int, int]) -> Iterator[PartManifest]:
    """Parts of partitions that are not done."""
    for partition in sorted(last):
        yield from read_parts(root, folder, partition)


def _orphans(
    root: Root, kept: Mapping[str, StagePlan], done: Mapping[str, set[int]], now: float, grace_s: float, report: GarbageReport
) -> None:
    """Files of done partitions that no manifest names: of workers that came second or died, and what is left of parts when the whole is
    there. Those of partitions that are not done are left to the run that will finish them."""
    published: dict[str, set[int]] = {}
    named_there: set[str] = set()
    for folder, plan in kept.items():
        named = {file.path for manifest in _manifests(root, folder, done[folder]) for file in manifest.files}
        files = list(list_files(root, folder))
        times = [file.modified_s for file in files if file.modified_s is not None]
        if times:
            age_s = now - max(times)
            report.newest_s = age_s if report.newest_s is None else min(report.newest_s, age_s)
        report.garbage += _unnamed(files, _OF_PARTITION, named, done[folder], now - grace_s)
        if plan.publish_dir is not None:
            common = published.get(plan.publish_dir, done[folder])
            published[plan.publish_dir] = common & done[folder]
            named_there |= named
    for folder, partitions in published.items():
        report.garbage += _unnamed(_walk(root, folder), _SHARD, named_there, partitions, now - grace_s)


def _unnamed(files: Any, pattern: re.Pattern[str], named: set[str], done: set[int], before_s: float) -> Iterator[Garbage]:
    for file in files:
        match = pattern.fullmatch(PurePosixPath(file.path).name)
        if match and int(match[1]) in done and file.path not in named and file.modified_s is not None and file.modified_s <= before_s:
            yield Garbage("orphan", file.path, (file,), "no manifest names it, and its partition is done")


def delete_garbage(root: Root, report: GarbageReport, idle_s: float = 0.0) -> int:
    """Deletes what the report names. Returns bytes freed. An old folder's manifests go first and its `fingerprint.json` last: whenever
    this is cut short, no manifest is left whose files are gone, and the next call goes on. Raises UsageError where a run has begun
    with another config since, or something was written within the last `idle_s` seconds; StorageError."""
    if _description(root) != report.description:
        raise UsageError(f"{root.uri}/{layout.DATASET_FILE} has changed since it was looked at: another run has begun; look again")
    if report.newest_s is not None and report.newest_s < idle_s:
        raise UsageError(
            f"something was written in {root.uri} {duration_text(max(0.0, report.newest_s))} ago: a run seems to be at work; wait until "
            f"nothing was written for {duration_text(idle_s)}, or set --idle-minutes 0"
        )
    freed = 0
    for garbage in report.garbage:
        if garbage.kind == "old":
            _delete_old(root, garbage)
        elif garbage.kind == "orphan":
            root.delete(garbage.place)
        elif garbage.kind == "upload":
            abort_upload(root, garbage.place, garbage.upload_id)
        else:
            remove_folder(root, garbage.kind, garbage.place, garbage.files)
        freed += garbage.size_bytes
    return freed


def _delete_old(root: Root, garbage: Garbage) -> None:
    last = layout.fingerprint_file(garbage.place)
    paths = [file.path for file in garbage.files if file.path != last]
    first = [path for path in paths if path.endswith((".manifest.json", "/summary.json"))]
    with ThreadPoolExecutor(_DELETERS) as pool:
        for group in (first, sorted(set(paths) - set(first))):
            list(pool.map(root.delete, group))
    root.delete(last)
    remove_folder(root, "old", garbage.place, ())
