"""Barriers: a stage that must look at the whole set first (percentiles, draws, duplicates) reduces it to a few numbers and files."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.records import MediaRef, schema_of
from internvid_pipeline.stage import Stage
from internvid_pipeline.storage import Root, StoredFile, layout, owned_scratch, read_arrow, read_manifest, store_file


@dataclass(frozen=True)
class Reduced:
    """numbers, files: what the stage's `reduce` returned and wrote."""

    numbers: Mapping[str, float] = field(default_factory=dict)
    files: Mapping[str, MediaRef] = field(default_factory=dict)


class PlanTables:
    """See `stage.SetTables`."""

    def __init__(self, root: Root, plan: StagePlan, stage: Stage[Any, Any, Any], partitions: Sequence[int]) -> None:
        self._root, self.partitions = root, partitions
        self._folders: dict[type, tuple[str | None, ...]] = {**plan.joins, stage.reads: (plan.reads,)}

    def table(self, partition: int, record_type: type, columns: Sequence[str] | None = None) -> pa.Table:
        schema = schema_of(record_type)
        empty = (schema if columns is None else pa.schema([schema.field(name) for name in columns])).empty_table()
        found = [self._rows(folder, partition, columns) for folder in self._folders.get(record_type, ())]
        return pa.concat_tables([empty, *(table for table in found if table is not None)])

    def _rows(self, folder: str | None, partition: int, columns: Sequence[str] | None) -> pa.Table | None:
        path = layout.sources_table(partition) if folder is None else read_manifest(self._root, folder, partition).path_of("rows")
        return read_arrow(self._root, path, columns) if path else None


def reduced_of(root: Root, plan: StagePlan, partitions: Sequence[int]) -> Reduced:
    """The result of the stage's `reduce`, computed if it is not stored yet; the first result stored is the one that stands. Empty for
    a stage that needs none. Raises FileNotFoundError where an upstream partition is not done."""
    if not plan.needs_reduce:
        return Reduced()
    path = layout.reduced_file(plan.folder)
    if not root.exists(path):
        stage = plan.build()
        with owned_scratch() as folder:
            numbers = stage.reduce(PlanTables(root, plan, stage, partitions), folder)
            files = {file.name: _stored(root, plan, file) for file in sorted(folder.iterdir()) if not file.name.startswith(".")}
        content = {"numbers": numbers, "files": {name: asdict(file) for name, file in files.items()}}
        root.put_bytes_if_absent(path, json.dumps(content, sort_keys=True).encode())
    stored = json.loads(root.read_bytes(path))
    files = {name: StoredFile(**file) for name, file in stored["files"].items()}
    refs = {name: MediaRef(uri=file.path, size_bytes=file.size_bytes, sha256=file.sha256) for name, file in files.items()}
    return Reduced(stored["numbers"], refs)


def _stored(root: Root, plan: StagePlan, file: Path) -> StoredFile:
    return store_file(root, file, f"{layout.reduced_folder(plan.folder)}/{file.name}", "reduced")
