"""New versions of what one manifest names, of a partition or of a part of one, without some videos."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from internvid_pipeline.engine import StagePlan
from internvid_pipeline.records import (
    CandidateRecord,
    DropReason,
    DropRecord,
    FailureRecord,
    MediaRef,
    SampleRecord,
    from_table,
    schema_of,
    to_table,
)
from internvid_pipeline.removal.shards import rebuilt_shards
from internvid_pipeline.removal.targets import Targets
from internvid_pipeline.storage import Manifest, PartManifest, Root, StoredFile, layout, read_arrow, store_file, write_arrow
from internvid_pipeline.storage.tar_parts import without_members

_KINDS = ("rows", "drops", "failures")


@dataclass
class Changes:
    """What a removal prepares. manifests: new ones by path. superseded: files that go. live: files that manifests of the partitions looked
    at name, and these manifests. moved: where media lies now, by (uri, offset). rows: taken out, by stage. shards: that have a new version
    or are gone."""

    root: Root
    targets: Targets
    dry_run: bool
    manifests: dict[str, bytes] = field(default_factory=dict)
    superseded: list[str] = field(default_factory=list)
    live: set[str] = field(default_factory=set)
    moved: dict[tuple[str, int], tuple[str, int]] = field(default_factory=dict)
    rows: Counter[str] = field(default_factory=Counter)
    shards: set[str] = field(default_factory=set)


def edit_manifest(changes: Changes, plan: StagePlan, manifest: Manifest, folder: Path) -> None:
    """Prepares the new version of a manifest and of its files. folder: scratch. Raises StorageError."""
    edit = Edit(changes, plan, manifest, folder)
    path = layout.manifest(plan.folder, manifest.partition, edit.part)
    changes.live.add(path)
    edit.count()
    if not changes.dry_run:
        edit.store()
        if (new := edit.new_manifest()) != manifest:
            changes.manifests[path] = new.to_json()
    changes.live |= {file.path for file in edit.files}


class Edit:
    """One manifest under way. files: of the new one. tables, masks: by kind, as they are, and which of their rows go."""

    def __init__(self, changes: Changes, plan: StagePlan, manifest: Manifest, folder: Path) -> None:
        self.changes, self.plan, self.manifest, self.folder = changes, plan, manifest, folder
        self.part = manifest.part if isinstance(manifest, PartManifest) else None
        self.writes: type[Any] = plan.build().writes
        self.files = list(manifest.files)
        types: dict[str, type] = dict(zip(_KINDS, (self.writes, DropRecord, FailureRecord), strict=True))
        paths = {kind: manifest.path_of(kind) for kind in _KINDS}
        self.tables = {kind: read_arrow(changes.root, path) if path else _none(types[kind]) for kind, path in paths.items()}
        self.masks = {kind: changes.targets.mask(table) for kind, table in self.tables.items()}
        self.kept = {kind: table.filter(pc.invert(self.masks[kind])) for kind, table in self.tables.items()}

    @property
    def removed(self) -> pa.Table:
        """Rows that go."""
        return self.tables["rows"].filter(self.masks["rows"])

    def count(self) -> None:
        """Adds what goes to the changes."""
        self.changes.rows[self.plan.name] += self.removed.num_rows
        if self.writes is SampleRecord:
            self.changes.shards |= {ref["uri"] for ref in self.removed["media"].to_pylist()}

    def store(self) -> None:
        """Stores the new files, and notes the old ones as superseded."""
        changes, rows = self.changes, self.kept["rows"]
        records: list[Any] = from_table(rows, self.writes)
        removed: list[Any] = from_table(self.removed, self.writes)
        if self.writes is SampleRecord and removed:
            records = rebuilt_shards(changes.root, self.files, removed, records, self.folder, changes.superseded)
        else:
            self._rebuild_media(removed)
            records = [_mapped(record, changes.moved) for record in records]
        if emptied := self._emptied():
            self.kept["drops"] = pa.concat_tables([self.kept["drops"], to_table(emptied, DropRecord)])
        names = {"rows": layout.rows_table, "drops": layout.drops_table, "failures": layout.failures_table}
        for kind in _KINDS:
            new = to_table(records, self.writes) if kind == "rows" else self.kept[kind]
            if new == self.tables[kind]:
                continue
            path = names[kind](self.plan.folder, self.manifest.partition, self.part)
            self._put(kind, self._stored(new, path, kind) if new.num_rows or kind == "rows" else None)

    def _put(self, kind: str, new: StoredFile | None) -> None:
        """Puts a table in the place of the one of that kind."""
        self.changes.superseded += [file.path for file in self.files if file.kind == kind]
        self.files = [file for file in self.files if file.kind != kind] + ([new] if new is not None else [])

    def _rebuild_media(self, removed: Sequence[Any]) -> None:
        """The tars without the members that removed rows point at; a partition that was done in parts has several."""
        changes = self.changes
        refs = [ref for row in removed for ref in _refs(row) if ref.offset_bytes is not None]
        for place, file in enumerate(self.files):
            offsets = {ref.offset_bytes for ref in refs if ref.uri == file.path}
            if file.kind != "media" or not offsets:
                continue
            local = changes.root.local_file(MediaRef(uri=file.path), self.folder)
            staged = self.folder / "media.tar"
            moved = without_members(local, staged, {offset for offset in offsets if offset is not None})
            if local.parent == self.folder:
                local.unlink()
            changes.superseded.append(file.path)
            if moved:
                new = store_file(changes.root, staged, _plain_name(file.path), "media")
                self.files[place] = new
                changes.moved |= {(file.path, old): (new.path, offset) for old, offset in moved.items()}
            staged.unlink(missing_ok=True)
        self.files = [file for file in self.files if file.path not in changes.superseded]

    def _emptied(self) -> list[DropRecord]:
        """Drops of queries and channels that showed nothing else."""
        drops: list[DropRecord] = []
        if self.writes is CandidateRecord:
            left = set(self.kept["rows"]["query"].to_pylist())
            empty = set(self.removed["query"].to_pylist()) - left
            sources = read_arrow(self.changes.root, layout.sources_table(self.manifest.partition), ("uri", "queries")).to_pylist()
            for row in sources if empty else ():
                if (row["queries"][0] if row["queries"] else row["uri"]) in empty and not self.changes.targets.owns(row["uri"]):
                    drops.append(_showed_nothing_else(self.plan.name, row["uri"]))
        return drops

    def _stored(self, table: pa.Table, path: str, kind: str) -> StoredFile:
        staged = self.folder / f"{kind}.parquet"
        write_arrow(table, staged)
        stored = store_file(self.changes.root, staged, path, kind)
        staged.unlink(missing_ok=True)
        return stored

    def new_manifest(self) -> Manifest:
        """The manifest of what is left."""
        old, kept = self.manifest, self.kept
        whole = kept["drops"].filter(pc.is_null(kept["drops"]["part_of"]))
        reasons, classes = Counter(whole["reason"].to_pylist()), Counter(kept["failures"]["error_class"].to_pylist())
        emitted = old.emitted - self._num_emitted()
        counts: dict[str, Any] = {
            "inputs": emitted + whole.num_rows + classes.total(),
            "emitted": emitted,
            "dropped": whole.num_rows,
            "failed": classes.total(),
            "rows": kept["rows"].num_rows,
            "dropped_parts": kept["drops"].num_rows - whole.num_rows,
            "drops_by_reason": dict(sorted(reasons.items())),
            "failures_by_class": dict(sorted(classes.items())),
            "files": tuple(self.files),
        }
        if isinstance(old, PartManifest):
            owns = self.changes.targets.owns
            counts["done"] = tuple(one for one in old.done if not owns(one.item_id))
            counts["deferred"] = tuple(one for one in old.deferred if not owns(one.item_id))
        return dataclasses.replace(old, **counts)

    def _num_emitted(self) -> int:
        """How many inputs of the stage gave nothing but rows that go."""
        removed = self.removed
        if self.writes is CandidateRecord:
            return len(set(removed["query"].to_pylist()) - set(self.kept["rows"]["query"].to_pylist()))
        fields = [one.name for one in dataclasses.fields(self.plan.build().reads)]
        names: tuple[str, ...] = ("clip_id", "selection")
        key = [name for name in names if name in fields and name in removed.column_names] or ["video_id"]
        return len(set(zip(*(removed[name].to_pylist() for name in key), strict=True)))


def _none(record_type: type) -> pa.Table:
    return schema_of(record_type).empty_table()


def _showed_nothing_else(stage: str, uri: str) -> DropRecord:
    message = "what it showed was taken out of this data set (internvid remove)"
    return DropRecord(stage=stage, item_id=uri, part_of=None, reason=DropReason.REMOVED, message=message)


def _plain_name(path: str) -> str:
    """Of a file that was stored beside its name, that name: `00042.0123456789ab.tar` is a version of `00042.tar`."""
    head, _, name = path.rpartition("/")
    parts = name.split(".")
    return f"{head}/{'.'.join([parts[0], *(part for part in parts[1:] if len(part) != 12)])}"


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
