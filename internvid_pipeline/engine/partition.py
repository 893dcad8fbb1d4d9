"""The one thing that all engines run: a stage over a partition, from reading its inputs to the manifest."""

import dataclasses
import datetime
import logging
import platform
import re
import shutil
import socket
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from internvid_pipeline import __version__
from internvid_pipeline.engine import metrics
from internvid_pipeline.engine.host import Host
from internvid_pipeline.engine.leaving import committing
from internvid_pipeline.engine.logs import where
from internvid_pipeline.engine.measures import languages, video_seconds
from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.engine.publish import check_current, take_back
from internvid_pipeline.engine.read_items import read_items
from internvid_pipeline.errors import ContractError
from internvid_pipeline.records import DropRecord, FailureRecord, MediaRef
from internvid_pipeline.stage import Drop, Emit, Fail, Item, Outcome, PartDrop, Stage
from internvid_pipeline.storage import Manifest, MediaTarWriter, Root, StoredFile, layout, read_manifest, store_file, write_table

_log = logging.getLogger(__name__)
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,}")  # of objects in memory: they would make the tables of two equal runs differ


@dataclasses.dataclass
class _Results:
    """Outcomes sorted into tables."""

    rows: list[Any] = dataclasses.field(default_factory=list)
    drops: list[DropRecord] = dataclasses.field(default_factory=list)
    failures: list[FailureRecord] = dataclasses.field(default_factory=list)
    emitted: int = 0


def run_partition(root: Root, plan: StagePlan, partition: int, host: Host) -> Manifest:
    """Runs a stage over a partition and commits the result; a partition that is done is not touched. Returns its manifest.

    Raises FileNotFoundError where an upstream partition is not done, StorageError, SetupError, ContractError.
    """
    if root.exists(layout.manifest(plan.folder, partition)):
        return read_manifest(root, plan.folder, partition)
    started_at, start = _now(), time.monotonic()
    stage = plan.build()
    items = read_items(root, plan, stage, partition)
    metrics.begun(plan, len(items))
    try:
        results = _sorted_out(stage, items, host.run(items))
        check_current(root, plan)
        with committing(), root.staging() as staging:
            files = _store(root, plan, stage, partition, results, host.scratch, staging)
            manifest = _manifest(plan, partition, items, results, files, started_at, time.monotonic() - start)
            is_first = root.put_bytes_if_absent(layout.manifest(plan.folder, partition), manifest.to_json())
    finally:
        metrics.begun(plan, 0)
        _empty(host.scratch)
    if not is_first:
        return read_manifest(root, plan.folder, partition)  # a twin was first: its result stands
    take_back(root, plan, manifest)
    metrics.committed(plan, manifest)
    _log_done(manifest, results)
    return manifest


def _log_done(manifest: Manifest, results: _Results) -> None:
    for failure in results.failures:
        about = where(manifest.stage, manifest.partition, failure.item_id, error_class=failure.error_class, attempts=failure.attempts)
        _log.warning("%s: %s", failure.error_class, failure.message, extra=about)
    counts = {name: getattr(manifest, name) for name in ("inputs", "emitted", "dropped", "failed", "rows", "wall_s", "video_s")}
    _log.info("partition done", extra=where(manifest.stage, manifest.partition, **counts))


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _empty(scratch: Path) -> None:
    """Deletes a partition's files but not the worker's log."""
    for entry in scratch.iterdir():
        if not entry.name.startswith("."):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink(missing_ok=True)


def _sorted_out(stage: Stage[Any, Any, Any], items: Sequence[Item[Any]], outcomes: Sequence[Outcome[Any]]) -> _Results:
    results = _Results()
    for item, outcome in zip(items, outcomes, strict=True):
        item_id = item.record.item_id
        if isinstance(outcome, Emit):
            results.emitted += 1
            results.rows.extend(outcome.records)
            results.drops.extend(_part_drops(stage.name, item_id, outcome.dropped_parts))
        elif isinstance(outcome, Drop):
            results.drops.append(
                DropRecord(stage=stage.name, item_id=item_id, part_of=None, reason=str(outcome.reason), message=outcome.message)
            )
            results.drops.extend(_part_drops(stage.name, item_id, outcome.dropped_parts))
        else:
            results.failures.append(_failure(stage.name, item_id, outcome))
    return results


def _part_drops(stage: str, item_id: str, parts: Sequence[PartDrop]) -> list[DropRecord]:
    return [DropRecord(stage=stage, item_id=part.item_id, part_of=item_id, reason=str(part.reason), message=part.message) for part in parts]


def _failure(stage: str, item_id: str, fail: Fail) -> FailureRecord:
    message, detail = (_ADDRESS.sub("0x…", text) for text in (fail.message, fail.detail))
    return FailureRecord(stage=stage, item_id=item_id, error_class=fail.error_class, message=message, detail=detail, attempts=fail.attempts)


def _store(
    root: Root, plan: StagePlan, stage: Stage[Any, Any, Any], partition: int, results: _Results, scratch: Path, staging: Path
) -> list[StoredFile]:
    """Stores media first, since rows point at it, then the tables."""
    media = _unique(path for row in results.rows for path in _scratch_files(row))
    if plan.publish_dir is not None:
        stored, refs = _publish(root, plan.publish_dir, media, scratch)
    else:
        stored, refs = _pack(root, layout.media_tar(plan.folder, partition), media, staging)
    results.rows = [_with_stored_media(row, refs) for row in results.rows]
    tables: list[tuple[str, str, Sequence[Any], type]] = [("rows", layout.rows_table(plan.folder, partition), results.rows, stage.writes)]
    if results.drops:
        tables.append(("drops", layout.drops_table(plan.folder, partition), results.drops, DropRecord))
    if results.failures:
        tables.append(("failures", layout.failures_table(plan.folder, partition), results.failures, FailureRecord))
    for kind, path, rows, record_type in tables:
        staged = staging / f"{kind}.parquet"
        write_table(rows, record_type, staged)
        stored.append(store_file(root, staged, path, kind))
    return stored


def _unique(paths: Any) -> list[Path]:
    """Each path once, in the order of first appearance: the order of the rows, which is the same on every run."""
    return list(dict.fromkeys(paths))


def _pack(root: Root, tar_path: str, files: Sequence[Path], staging: Path) -> tuple[list[StoredFile], dict[Path, MediaRef]]:
    if not files:
        return [], {}
    staged = staging / "media.tar"
    with MediaTarWriter(staged) as tar:
        for file in files:
            tar.add(file)
    stored = store_file(root, staged, tar_path, "media")
    return [stored], tar.refs(stored.path)


def _publish(root: Root, folder: str, files: Sequence[Path], scratch: Path) -> tuple[list[StoredFile], dict[Path, MediaRef]]:
    stored, refs = [], {}
    for file in files:
        one = store_file(root, file, f"{folder}/{file.relative_to(scratch).as_posix()}", "published")
        stored.append(one)
        refs[file] = MediaRef(uri=one.path, size_bytes=one.size_bytes, sha256=one.sha256)
    return stored, refs


def _scratch_files(value: Any) -> list[Path]:
    """Scratch files that a record points at, nested records included."""
    if isinstance(value, MediaRef):
        return [value.scratch_path] if value.scratch_path is not None else []
    if isinstance(value, tuple):
        return [path for part in value for path in _scratch_files(part)]
    if dataclasses.is_dataclass(value):
        return [path for field in dataclasses.fields(value) for path in _scratch_files(getattr(value, field.name))]
    return []


def _with_stored_media(value: Any, refs: Mapping[Path, MediaRef]) -> Any:
    """The same record, pointing at stored files. A reference to a part of a scratch file keeps its range."""
    if isinstance(value, MediaRef):
        if value.scratch_path is None:
            return value
        return _part_of(refs[value.scratch_path], value)
    if isinstance(value, tuple):
        return tuple(_with_stored_media(part, refs) for part in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type) and _scratch_files(value):
        return dataclasses.replace(
            value, **{field.name: _with_stored_media(getattr(value, field.name), refs) for field in dataclasses.fields(value)}
        )
    return value


def _part_of(stored: MediaRef, part: MediaRef) -> MediaRef:
    """A range of a scratch file, in the stored file: behind the tar's header and the files before it, if it was packed. The hash of a
    part is not known."""
    if part.offset_bytes is None and part.size_bytes in (None, stored.size_bytes):
        return stored
    offset, held = part.offset_bytes or 0, stored.size_bytes or 0
    size = held - offset if part.size_bytes is None else part.size_bytes
    if offset < 0 or size < 0 or offset + size > held:
        raise ContractError(f"a row points at bytes {offset} to {offset + size} of a scratch file of {held} bytes")
    return MediaRef(uri=stored.uri, offset_bytes=(stored.offset_bytes or 0) + offset, size_bytes=size)


def _manifest(
    plan: StagePlan,
    partition: int,
    items: Sequence[Item[Any]],
    results: _Results,
    files: Sequence[StoredFile],
    started_at: str,
    wall_s: float,
) -> Manifest:
    num_inputs = len(items)
    whole = [drop for drop in results.drops if drop.part_of is None]
    if results.emitted + len(whole) + len(results.failures) != num_inputs:
        raise ContractError(
            f"stage {plan.name}, partition {partition}: {num_inputs} inputs but {results.emitted} emitted, {len(whole)} dropped, "
            f"{len(results.failures)} failed"
        )
    return Manifest(
        stage=plan.name,
        fingerprint=plan.fingerprint,
        partition=partition,
        inputs=num_inputs,
        emitted=results.emitted,
        dropped=len(whole),
        failed=len(results.failures),
        rows=len(results.rows),
        dropped_parts=len(results.drops) - len(whole),
        drops_by_reason=dict(sorted(Counter(drop.reason for drop in whole).items())),
        failures_by_class=dict(sorted(Counter(failure.error_class for failure in results.failures).items())),
        files=tuple(files),
        started_at=started_at,
        finished_at=_now(),
        wall_s=round(wall_s, 3),
        host=socket.gethostname(),
        versions={"internvid": __version__, "python": platform.python_version()},
        video_s=video_seconds(items, results.rows),
        resources={"cpus": plan.resources.cpus, "gpus": plan.resources.gpus},
        rows_by_language=languages(results.rows),
    )
