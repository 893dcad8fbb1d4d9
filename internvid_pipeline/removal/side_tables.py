"""What names clips outside of their own partition's tables: what barriers found out, who was given which clip, and doubles."""

import json
from collections.abc import Sequence
from dataclasses import asdict

import pyarrow as pa
import pyarrow.compute as pc

from internvid_pipeline.engine import StagePlan
from internvid_pipeline.records import DuplicateRecord
from internvid_pipeline.removal.targets import Targets
from internvid_pipeline.storage import (
    RemovalJournal,
    Root,
    done_partitions,
    layout,
    manifest_from_json,
    owned_scratch,
    parquet_bytes,
    read_arrow,
    read_manifest,
    store_file,
    write_arrow,
)

_NAMES = ("clip_id", "video_id", "item_id", "uri")
_POINTERS = ("duplicate_of", "duplicate_group")
_GONE = "removed"


def clean_side_tables(root: Root, plans: Sequence[StagePlan], targets: Targets, journal: RemovalJournal) -> None:
    """Adds to the journal the new versions of `reduced/` and `groups/`, and of doubles' rows in any partition. Raises StorageError."""
    for plan in plans:
        _clean_groups(root, plan, targets, journal)
        _clean_reduced(root, plan.folder, targets, journal)
        if plan.build().writes is DuplicateRecord:
            _clean_pointers(root, plan, targets, journal)


def _clean_groups(root: Root, plan: StagePlan, targets: Targets, journal: RemovalJournal) -> None:
    folder = layout.groups_folder(plan.folder)
    for name in root.list_names(folder):
        if name.endswith(".parquet"):
            table = read_arrow(root, f"{folder}/{name}")
            clean = cleaned(table, targets)
            if clean is not None:
                journal.replace[f"{folder}/{name}"] = parquet_bytes(clean)


def _clean_reduced(root: Root, folder: str, targets: Targets, journal: RemovalJournal) -> None:
    path = layout.reduced_file(folder)
    if not root.exists(path):
        return
    content = json.loads(root.read_bytes(path))
    for name, file in content["files"].items():
        if not name.endswith(".parquet"):
            continue
        clean = cleaned(read_arrow(root, file["path"]), targets)
        if clean is not None:
            with owned_scratch() as scratch:
                write_arrow(clean, scratch / "table.parquet")
                stored = store_file(root, scratch / "table.parquet", f"{layout.reduced_folder(folder)}/{name}", "reduced")
            journal.delete.append(file["path"])
            content["files"][name] = asdict(stored)
            journal.replace[path] = json.dumps(content, sort_keys=True).encode()


def _clean_pointers(root: Root, plan: StagePlan, targets: Targets, journal: RemovalJournal) -> None:
    for partition in sorted(done_partitions(root, plan.folder)):
        path = layout.manifest(plan.folder, partition)
        manifest = (
            manifest_from_json(journal.replace[path], path) if path in journal.replace else read_manifest(root, plan.folder, partition)
        )
        rows = next((file for file in manifest.files if file.kind == "rows"), None)
        clean = cleaned(read_arrow(root, rows.path), targets) if rows is not None else None
        if rows is None or clean is None:
            continue
        with owned_scratch() as scratch:
            write_arrow(clean, scratch / "table.parquet")
            stored = store_file(root, scratch / "table.parquet", layout.rows_table(plan.folder, partition), "rows")
        journal.delete.append(rows.path)
        data = asdict(manifest)
        data["files"] = [asdict(stored if file is rows else file) for file in manifest.files]
        journal.replace[path] = json.dumps(data, indent=1, ensure_ascii=False).encode()


def cleaned(table: pa.Table, targets: Targets) -> pa.Table | None:
    """The table without rows of theirs, and without their names where other rows point at them; None where there is nothing to do."""
    mask = targets.mask(table, _NAMES)
    clean = table.filter(pc.invert(mask)) if pc.any(mask).as_py() else table
    for name in _POINTERS:
        if name in clean.column_names:
            values = clean[name].to_pylist()
            if any(targets.owns(value) for value in values):
                column = pa.array([_GONE if targets.owns(value) else value for value in values], clean.schema.field(name).type)
                clean = clean.set_column(clean.schema.get_field_index(name), clean.schema.field(name), column)
    return None if clean is table else clean
