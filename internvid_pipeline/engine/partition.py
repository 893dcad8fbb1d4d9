"""The one thing that all engines run: a stage over a partition, from reading its inputs to the manifest."""

import dataclasses
import datetime
import logging
import platform
import shutil
import socket
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from internvid_pipeline import __version__
from internvid_pipeline.engine import metrics
from internvid_pipeline.engine.logs import where
from internvid_pipeline.engine.measures import languages, video_seconds
from internvid_pipeline.engine.parts import DEFAULT_RULES, DeferralRules, Kept, done_inputs, is_whole, put_off, read_kept, utc_now
from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.engine.publish import check_current, take_back
from internvid_pipeline.engine.read_items import read_items
from internvid_pipeline.engine.results import InputResult, Results, input_names, sorted_out
from internvid_pipeline.engine.stored_media import media_of, pack, publish, with_stored_media
from internvid_pipeline.engine.workers.host import Host
from internvid_pipeline.engine.workers.leaving import committing
from internvid_pipeline.errors import ContractError
from internvid_pipeline.records import DropReason, DropRecord, FailureRecord, SourceRecord
from internvid_pipeline.stage import Drop, Emit, Item, Outcome, Stage
from internvid_pipeline.storage import (
    DeferredInput,
    Manifest,
    PartManifest,
    Root,
    StoredFile,
    Tombstones,
    layout,
    read_manifest,
    read_tombstones,
    store_file,
    write_table,
)

_log = logging.getLogger(__name__)
_REMOVED_BY = ("video_id", "candidate_id", "url")


def run_partition(root: Root, plan: StagePlan, partition: int, host: Host, rules: DeferralRules = DEFAULT_RULES) -> Manifest:
    """Runs a stage over a partition and commits the result; a partition that is done is not touched. Returns its manifest, or, where
    inputs are deferred, the last part's (a `PartManifest`): what is done of it is kept, and the partition is to be run again.

    Raises FileNotFoundError where an upstream partition is not done, StorageError, SetupError, ContractError.
    """
    if root.exists(layout.manifest(plan.folder, partition)):
        return read_manifest(root, plan.folder, partition)
    started = Started()
    stage = plan.build()
    items = read_items(root, plan, stage, partition)
    inputs = dict(zip(input_names(items), items, strict=True))
    kept = read_kept(root, plan.folder, partition)
    todo = _due(plan, stage, inputs, kept)
    if not todo and kept.deferred:
        return kept.parts[-1]
    metrics.begun(plan, len(todo))
    try:
        results, deferred = sorted_out(stage.name, todo, _not_removed(root, stage, host.run(list(todo.values()))) if todo else [])
        item_ids = {name: item.record.item_id for name, item in inputs.items()}
        failures, again = put_off(stage.name, item_ids, deferred, kept, rules)
        results |= failures
        if again and is_whole(plan, stage):
            results = {}
        check_current(root, plan)
        with committing():
            manifest, is_ours = _Commit(root, plan, stage, partition, inputs, host.scratch, started).commit(results, again, kept)
        committed = [item_ids[name] for name in results] if isinstance(manifest, PartManifest) else list(item_ids.values())
    finally:
        metrics.begun(plan, 0)
        _empty(host.scratch)
    host.committed(committed)
    if is_ours and not isinstance(manifest, PartManifest):
        take_back(root, plan, manifest)
        metrics.committed(plan, manifest)
    if is_ours:
        _log_end(manifest, results)
    return manifest


def _due(plan: StagePlan, stage: Stage[Any, Any, Any], inputs: Mapping[str, Item[Any]], kept: Kept) -> dict[str, Item[Any]]:
    """Inputs that are open and may be tried now, by name."""
    waiting = {one.item_id for one in kept.waiting(utc_now())}
    if waiting and is_whole(plan, stage):
        return {}
    return {name: item for name, item in inputs.items() if name not in kept.done and name not in waiting}


def _log_end(manifest: Manifest, results: Mapping[str, InputResult]) -> None:
    for failure in Results.of(results.values()).failures:
        about = where(manifest.stage, manifest.partition, failure.item_id, error_class=failure.error_class, attempts=failure.attempts)
        _log.warning("%s: %s", failure.error_class, failure.message, extra=about)
    counts = {name: getattr(manifest, name) for name in ("inputs", "emitted", "dropped", "failed", "rows", "wall_s", "video_s")}
    if isinstance(manifest, PartManifest):
        _log.info("partition put off", extra=where(manifest.stage, manifest.partition, **counts, deferred=len(manifest.deferred)))
    else:
        _log.info("partition done", extra=where(manifest.stage, manifest.partition, **counts))


def _empty(scratch: Path) -> None:
    """Deletes a partition's files but not the worker's log."""
    for entry in scratch.iterdir():
        if not entry.name.startswith("."):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink(missing_ok=True)


def _not_removed(root: Root, stage: Stage[Any, Any, Any], outcomes: Sequence[Outcome[Any]]) -> Sequence[Outcome[Any]]:
    """A video that was taken out of the data set does not come back under another address or name."""
    removed = read_tombstones(root) if stage.reads is SourceRecord else None
    if not removed:
        return outcomes
    return [_without_removed(outcome, removed) if isinstance(outcome, Emit) else outcome for outcome in outcomes]


def _without_removed(outcome: Emit[Any], removed: Tombstones) -> Outcome[Any]:
    """What is left of it."""
    kept = tuple(row for row in outcome.records if not removed.covers(*(getattr(row, name, "") for name in _REMOVED_BY)))
    gone = Drop(DropReason.REMOVED, "was taken out of this data set (internvid remove)")
    return dataclasses.replace(outcome, records=kept) if kept else gone


@dataclasses.dataclass
class Started:
    """When an attempt began: UTC for people, and this machine's steady clock."""

    at: str = dataclasses.field(default_factory=lambda: _now())
    monotonic_s: float = dataclasses.field(default_factory=time.monotonic)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


@dataclasses.dataclass
class _Commit:
    """From the results of an attempt to files and a manifest, of the partition or of a part of it."""

    root: Root
    plan: StagePlan
    stage: Stage[Any, Any, Any]
    partition: int
    inputs: Mapping[str, Item[Any]]
    scratch: Path
    started: Started

    def commit(self, results: Mapping[str, InputResult], again: Mapping[str, DeferredInput], kept: Kept) -> tuple[Manifest, bool]:
        """Stores what this attempt finished (`results`, `again`: what it put off). kept: the state that it began with. Returns the
        manifest that stands in the end, and whether it is ours. A part that a twin has stored meanwhile stands."""
        while True:
            own = {name: result for name, result in results.items() if name not in kept.done}
            still = {name for name in self.inputs if name not in kept.done and name not in own}
            if still:
                # What was not tried now stands as it stood; for stages whose outcomes belong together that may be nothing.
                deferred = [found for name in self.inputs if name in still and (found := again.get(name) or kept.deferred.get(name))]
                manifest: Manifest = self._part(len(kept.parts), own, deferred)
                path = layout.manifest(self.plan.folder, self.partition, len(kept.parts))
            else:
                manifest = self._whole(kept, own)
                path = layout.manifest(self.plan.folder, self.partition)
            if self.root.put_bytes_if_absent(path, manifest.to_json()):
                return manifest, True
            if self.root.exists(layout.manifest(self.plan.folder, self.partition)):
                return read_manifest(self.root, self.plan.folder, self.partition), False  # a twin was first: its result stands
            kept = read_kept(self.root, self.plan.folder, self.partition)

    def _part(self, part: int, own: Mapping[str, InputResult], deferred: Sequence[DeferredInput]) -> PartManifest:
        own = {name: own[name] for name in self.inputs if name in own}
        results = Results.of(own.values())
        files = self._store(results, part) if own else []
        fields = self._fields(results, [self.inputs[name] for name in own], files, [])
        return PartManifest(**fields, part=part, done=done_inputs(own), deferred=tuple(deferred))

    def _whole(self, kept: Kept, own: Mapping[str, InputResult]) -> Manifest:
        found = {**kept.results(self.root, self.stage.writes), **own}
        results = Results.of(found[name] for name in self.inputs)
        files = [*kept.media(list(self.inputs)), *self._store(results, None)]
        return Manifest(**self._fields(results, list(self.inputs.values()), files, kept.parts))

    def _store(self, results: Results, part: int | None) -> list[StoredFile]:
        """Stores media first, since rows point at it, then the tables."""
        plan, place = self.plan, (self.plan.folder, self.partition, part)
        media = media_of(results.rows)
        with self.root.staging() as staging:
            if plan.publish_dir is not None:
                stored, refs = publish(self.root, plan.publish_dir, media, self.scratch)
            else:
                stored, refs = pack(self.root, layout.media_tar(*place), media, staging)
            rows = [with_stored_media(row, refs) for row in results.rows]
            tables: list[tuple[str, str, Sequence[Any], type]] = [("rows", layout.rows_table(*place), rows, self.stage.writes)]
            if results.drops:
                tables.append(("drops", layout.drops_table(*place), results.drops, DropRecord))
            if results.failures:
                tables.append(("failures", layout.failures_table(*place), results.failures, FailureRecord))
            for kind, path, records, record_type in tables:
                staged = staging / f"{kind}.parquet"
                write_table(records, record_type, staged)
                stored.append(store_file(self.root, staged, path, kind))
        return stored

    def _fields(
        self, results: Results, items: Sequence[Item[Any]], files: Sequence[StoredFile], earlier: Sequence[PartManifest]
    ) -> dict[str, Any]:
        """Fields of a manifest over these items. earlier: attempts whose work is in it too."""
        whole = results.dropped
        if results.emitted + len(whole) + len(results.failures) != len(items):
            raise ContractError(
                f"stage {self.plan.name}, partition {self.partition}: {len(items)} inputs but {results.emitted} emitted, {len(whole)} "
                f"dropped, {len(results.failures)} failed"
            )
        return {
            "stage": self.plan.name,
            "fingerprint": self.plan.fingerprint,
            "partition": self.partition,
            "inputs": len(items),
            "emitted": results.emitted,
            "dropped": len(whole),
            "failed": len(results.failures),
            "rows": len(results.rows),
            "dropped_parts": len(results.drops) - len(whole),
            "drops_by_reason": dict(sorted(Counter(drop.reason for drop in whole).items())),
            "failures_by_class": dict(sorted(Counter(failure.error_class for failure in results.failures).items())),
            "files": tuple(files),
            "started_at": min([self.started.at, *(part.started_at for part in earlier)]),
            "finished_at": _now(),
            "wall_s": round(time.monotonic() - self.started.monotonic_s + sum(part.wall_s for part in earlier), 3),
            "host": socket.gethostname(),
            "versions": {"internvid": __version__, "python": platform.python_version()},
            "video_s": video_seconds(items, results.rows),
            "resources": {"cpus": self.plan.resources.cpus, "gpus": self.plan.resources.gpus},
            "rows_by_language": languages(results.rows),
        }
