"""New versions of what one partition's manifests name, without some videos."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from internvid_pipeline.engine import StagePlan
from internvid_pipeline.engine.gather import group_of
from internvid_pipeline.records import MediaRef, SampleRecord, from_table, to_table
from internvid_pipeline.removal.shards import rebuilt_shards
from internvid_pipeline.removal.targets import Targets
from internvid_pipeline.storage import Manifest, Root, StoredFile, layout, read_arrow, read_manifest, store_file, write_arrow
from internvid_pipeline.storage.tar_parts import without_members

NAMES = ("video_id", "clip_id", "uri", "source_uri", "item_id", "part_of")


@dataclass
class Changes:
    """What the removal prepares. manifests: new ones by path. superseded: files that go. moved: where media lies now, by (uri, offset).
    rows: taken out, by stage. shards: that have a new version or are gone."""

    root: Root
    targets: Targets
    dry_run: bool
    manifests: dict[str, bytes] = field(default_factory=dict)
    superseded: list[str] = field(default_factory=list)
    moved: dict[tuple[str, int], tuple[str, int]] = field(default_factory=dict)
    rows: Counter[str] = field(default_factory=Counter)
    shards: set[str] = field(default_factory=set)

    def with_samples(self, plans: Sequence[StagePlan]) -> set[int]:
        """Partitions that were given clips of theirs, by stages that deal a group's rows out anew."""
        found: set[int] = set()
        for plan in plans:
            for partition in sorted(self.targets.partitions) if plan.gather_partitions else ():
                try:
                    group = group_of(self.root, plan, partition)
                    path = f"{layout.groups_folder(plan.folder)}/{layout.group_name(group[0], group[-1])}.parquet"
                    table = read_arrow(self.root, path)
                except FileNotFoundError:
                    continue  # it has not come so far
                found |= set(table.filter(self.targets.mask(table, ("clip_id",)))["partition"].to_pylist())
        return found


@dataclass
class _Edit:
    """One stage's partition under way. files: of the new manifest."""

    manifest: Manifest
    files: list[StoredFile]
    removed: pa.Table
    kept: pa.Table

    def put(self, kind: str, new: StoredFile | None, changes: Changes) -> None:
        """Puts a file in the place of the one of that kind."""
        changes.superseded += [file.path for file in self.files if file.kind == kind]
        self.files = [file for file in self.files if file.kind != kind] + ([new] if new is not None else [])


def remove_from_partition(changes: Changes, plans: Sequence[StagePlan], partition: int, folder: Path) -> None:
    """Prepares the new manifests of a partition, stage by stage in the plan's order: rows behind point at media before them."""
    for plan in plans:
        try:
            manifest = read_manifest(changes.root, plan.folder, partition)
        except FileNotFoundError:
            continue
        _edit_stage(changes, plan, manifest, folder)


def _edit_stage(changes: Changes, plan: StagePlan, manifest: Manifest, folder: Path) -> None:
    root, targets, writes = changes.root, changes.targets, plan.build().writes
    path = manifest.path_of("rows")
    if path is None:
        return
    table = read_arrow(root, path)
    mask = targets.mask(table, NAMES)
    edit = _Edit(manifest, list(manifest.files), table.filter(mask), table.filter(pc.invert(mask)))
    changes.rows[plan.name] += edit.removed.num_rows
    if writes is SampleRecord:
        changes.shards |= {ref["uri"] for ref in edit.removed["media"].to_pylist()}
    if changes.dry_run:
        return
    records: list[Any] = from_table(edit.kept, writes)
    if writes is SampleRecord and edit.removed.num_rows:
        records = rebuilt_shards(root, edit.files, from_table(edit.removed, writes), records, folder, changes.superseded)
    else:
        _rebuild_media(changes, edit, from_table(edit.removed, writes), folder)
        records = [_mapped(record, changes.moved) for record in records]
    if edit.removed.num_rows or to_table(records, writes) != edit.kept:
        edit.put(
            "rows", _stored(changes, to_table(records, writes), layout.rows_table(plan.folder, manifest.partition), "rows", folder), changes
        )
    losses = {kind: _without(changes, edit, plan, kind, folder) for kind in ("drops", "failures")}
    if edit.files != list(manifest.files):
        new = _manifest(edit, plan, losses["drops"], losses["failures"])
        changes.manifests[layout.manifest(plan.folder, manifest.partition)] = new.to_json()


def _rebuild_media(changes: Changes, edit: _Edit, removed: Sequence[Any], folder: Path) -> None:
    """The partition's tar without the members that removed rows point at."""
    path = edit.manifest.path_of("media")
    offsets = {ref.offset_bytes for row in removed for ref in _refs(row) if ref.uri == path and ref.offset_bytes is not None}
    if path is None or not offsets:
        return
    local = changes.root.local_file(MediaRef(uri=path), folder)
    staged = folder / "media.tar"
    moved = without_members(local, staged, offsets)
    if local.parent == folder:
        local.unlink()
    new = store_file(changes.root, staged, _plain_name(path), "media") if moved else None
    staged.unlink(missing_ok=True)
    edit.put("media", new, changes)
    if new is not None:
        changes.moved |= {(path, old): (new.path, offset) for old, offset in moved.items()}


def _plain_name(path: str) -> str:
    """Of a file that was stored beside its name, that name: `00042.0123456789ab.tar` is a version of `00042.tar`."""
    head, _, name = path.rpartition("/")
    parts = name.split(".")
    return f"{head}/{'.'.join([parts[0], *(part for part in parts[1:] if len(part) != 12)])}"


def _without(changes: Changes, edit: _Edit, plan: StagePlan, kind: str, folder: Path) -> pa.Table | None:
    """The drops or failures that stay, stored if some do not; None where there are none."""
    path = edit.manifest.path_of(kind)
    if path is None:
        return None
    table = read_arrow(changes.root, path)
    kept = table.filter(pc.invert(changes.targets.mask(table, NAMES)))
    if kept.num_rows < table.num_rows:
        name = (layout.drops_table if kind == "drops" else layout.failures_table)(plan.folder, edit.manifest.partition)
        edit.put(kind, _stored(changes, kept, name, kind, folder) if kept.num_rows else None, changes)
    return kept


def _stored(changes: Changes, table: pa.Table, path: str, kind: str, folder: Path) -> StoredFile:
    staged = folder / f"{kind}.parquet"
    write_arrow(table, staged)
    stored = store_file(changes.root, staged, path, kind)
    staged.unlink(missing_ok=True)
    return stored


def _manifest(edit: _Edit, plan: StagePlan, drops: pa.Table | None, failures: pa.Table | None) -> Manifest:
    old = edit.manifest
    whole = drops.filter(pc.is_null(drops["part_of"])) if drops is not None else None
    reasons = Counter(whole["reason"].to_pylist()) if whole is not None else Counter[str]()
    classes = Counter(failures["error_class"].to_pylist()) if failures is not None else Counter[str]()
    emitted = old.emitted - _num_inputs(edit.removed, plan)
    num_drops, num_failures = sum(reasons.values()), sum(classes.values())
    return dataclasses.replace(
        old,
        inputs=emitted + num_drops + num_failures,
        emitted=emitted,
        dropped=num_drops,
        failed=num_failures,
        rows=edit.kept.num_rows,
        dropped_parts=(drops.num_rows if drops is not None else 0) - num_drops,
        drops_by_reason=dict(sorted(reasons.items())),
        failures_by_class=dict(sorted(classes.items())),
        files=tuple(edit.files),
    )


def _num_inputs(removed: pa.Table, plan: StagePlan) -> int:
    """How many inputs of the stage the removed rows were made from."""
    fields = [one.name for one in dataclasses.fields(plan.build().reads)]
    names: tuple[str, ...] = ("clip_id", "selection")
    key = [name for name in names if name in fields and name in removed.column_names] or ["video_id"]
    return len(set(zip(*(removed[name].to_pylist() for name in key), strict=True)))


def _refs(value: Any) -> list[MediaRef]:
    if isinstance(value, MediaRef):
        return [value]
    if isinstance(value, tuple):
        return [ref for part in value for ref in _refs(part)]
    if dataclasses.is_dataclass(value):
        return [ref for one in dataclasses.fields(value) for ref in _refs(getattr(value, one.name))]
    return []


def _mapped(value: Any, moved: dict[tuple[str, int], tuple[str, int]]) -> Any:
    """The same record, pointing where media lies now."""
    if isinstance(value, MediaRef):
        place = moved.get((value.uri, value.offset_bytes if value.offset_bytes is not None else -1))
        return value if place is None else dataclasses.replace(value, uri=place[0], offset_bytes=place[1])
    if isinstance(value, tuple):
        return tuple(_mapped(part, moved) for part in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type) and _refs(value):
        return dataclasses.replace(value, **{one.name: _mapped(getattr(value, one.name), moved) for one in dataclasses.fields(value)})
    return value
