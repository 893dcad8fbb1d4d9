"""Partitions that are not done because their sites ask for patience: what is done of them is kept in parts, what is open waits.

A part is what one attempt finished (`storage.manifest`). Whoever attempts the partition next reads the parts, works only on what is open
and due, and writes the next part, or, when nothing is open any more, the partition itself: its tables hold the rows of all parts in the
order of the inputs, and its manifest names the parts' media where they lie. Two at once lose nothing: the one whose number is taken
reads again and keeps of its own what nobody else had.
"""

import datetime
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from internvid_pipeline.config import PlacementConfig
from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.engine.results import InputResult, failed
from internvid_pipeline.errors import StorageError
from internvid_pipeline.records import DropRecord, FailureRecord
from internvid_pipeline.stage import Defer, Fail, Stage
from internvid_pipeline.storage import DeferredInput, DoneInput, PartManifest, Root, StoredFile, layout, read_parts, read_table

_LONGEST_OWN_WAIT_S = 3600.0
_LONGEST_WAIT_S = 86_400.0  # a stranger's server must not put an input off for years


@dataclass(frozen=True, slots=True)
class DeferralRules:
    """See `placement.max_deferrals` and `placement.deferral_s`."""

    most: int = 5
    wait_s: float = 60.0

    @classmethod
    def of(cls, placement: PlacementConfig) -> "DeferralRules":
        """Those of a config."""
        return cls(placement.max_deferrals, placement.deferral_s)


DEFAULT_RULES = DeferralRules()


def utc_now() -> datetime.datetime:
    """The time on this machine's clock. It decides when something is tried again, never what comes out."""
    return datetime.datetime.now(datetime.UTC)


def is_due(deferred: DeferredInput, now: datetime.datetime) -> bool:
    """True where the input may be tried again."""
    return datetime.datetime.fromisoformat(deferred.not_before) <= now


def is_whole(plan: StagePlan, stage: Stage[Any, Any, Any]) -> bool:
    """True where a partition's outcomes belong together: nothing is kept of an attempt that could not finish all of them."""
    return stage.whole_partition or plan.publish_dir is not None


@dataclass
class Kept:
    """The state of a partition, from its parts in their order. done: the part that each input belongs to."""

    parts: list[PartManifest] = field(default_factory=list)
    done: dict[str, int] = field(default_factory=dict)
    deferred: dict[str, DeferredInput] = field(default_factory=dict)

    def media(self, names: Sequence[str]) -> list[StoredFile]:
        """Media of the parts that any of these inputs belongs to."""
        numbers = sorted({self.done[name] for name in names if name in self.done})
        return [file for number in numbers for file in self.parts[number].files if file.kind == "media"]

    def results(self, root: Root, record_type: type) -> dict[str, InputResult]:
        """What the inputs gave that are done, read from the parts' tables. Raises StorageError."""
        found: dict[str, InputResult] = {}
        for number, part in enumerate(self.parts):
            for name, result in _results(root, part, record_type).items():
                if self.done.get(name) == number:
                    found[name] = result
        return found

    def waiting(self, now: datetime.datetime) -> list[DeferredInput]:
        """Inputs that must not be tried yet."""
        return [one for one in self.deferred.values() if not is_due(one, now)]


def read_kept(root: Root, folder: str, partition: int) -> Kept:
    """The state of a partition that is not done. Raises StorageError."""
    kept = Kept(read_parts(root, folder, partition))
    for number, part in enumerate(kept.parts):
        for one in part.done:
            kept.done.setdefault(one.item_id, number)
    for part in kept.parts:
        kept.deferred = {one.item_id: one for one in part.deferred if one.item_id not in kept.done}
    return kept


def _results(root: Root, part: PartManifest, record_type: type) -> dict[str, InputResult]:
    tables: dict[str, list[Any]] = {}
    for kind, rows_type in (("rows", record_type), ("drops", DropRecord), ("failures", FailureRecord)):
        path = part.path_of(kind)
        tables[kind] = read_table(root, path, rows_type) if path is not None else []
        if len(tables[kind]) != sum(getattr(one, kind) for one in part.done):
            where = f"{path or kind} of {layout.manifest(f'{part.stage}/{part.fingerprint}', part.partition, part.part)} in {root.uri}"
            raise StorageError(f"{where} does not hold the rows that the manifest tells; delete that manifest to compute its inputs again")
    places: Counter[str] = Counter()
    found = {}
    for one in part.done:
        own: dict[str, Sequence[Any]] = {}
        for kind, rows in tables.items():
            count = getattr(one, kind)
            own[kind] = rows[places[kind] : places[kind] + count]
            places[kind] += count
        found[one.item_id] = InputResult(own["rows"], own["drops"], own["failures"])
    return found


def done_inputs(results: Mapping[str, InputResult]) -> tuple[DoneInput, ...]:
    """What a part's manifest says of the inputs that it answers for."""
    return tuple(DoneInput(name, len(one.rows), len(one.drops), len(one.failures)) for name, one in results.items())


def put_off(
    stage: str, item_ids: Mapping[str, str], deferred: Mapping[str, Defer], kept: Kept, rules: DeferralRules
) -> tuple[dict[str, InputResult], dict[str, DeferredInput]]:
    """Failures of the inputs that were put off once too often, and for the others when they are tried again. item_ids: by name."""
    failures: dict[str, InputResult] = {}
    again: dict[str, DeferredInput] = {}
    for name, defer in deferred.items():
        before = kept.deferred[name].attempts if name in kept.deferred else 0
        attempts = before + defer.is_attempt
        if attempts >= rules.most:
            failures[name] = failed(stage, item_ids[name], Fail(defer.error_class, defer.message, attempts=attempts))
            continue
        wait_s = defer.retry_after_s
        if wait_s is None:
            wait_s = min(rules.wait_s * 2 ** max(0, attempts - 1), max(_LONGEST_OWN_WAIT_S, rules.wait_s))
        moment = utc_now() + datetime.timedelta(seconds=min(max(0.0, wait_s), _LONGEST_WAIT_S))
        again[name] = DeferredInput(name, defer.error_class, defer.message, attempts, moment.isoformat(timespec="milliseconds"))
    return failures, again


def release(root: Root, plan: StagePlan, partition: int, classes: Collection[str] = ()) -> int:
    """Makes a partition's deferred inputs (with `classes`: those put off for one of these errors) due now, their attempts counted anew: by
    a part that finishes nothing and says so. Returns how many; a worker that is at work on them meanwhile is not disturbed. Raises
    StorageError."""
    while True:
        kept = read_kept(root, plan.folder, partition)
        chosen = [name for name, one in kept.deferred.items() if not classes or one.error_class in classes]
        if not chosen:
            return 0
        now = utc_now().isoformat(timespec="milliseconds")
        released = {name: replace(kept.deferred[name], attempts=0, not_before=now) for name in chosen}
        part = _empty_part(kept, tuple({**kept.deferred, **released}.values()), now)
        if root.put_bytes_if_absent(layout.manifest(plan.folder, partition, part.part), part.to_json()):
            return len(chosen)


def _empty_part(kept: Kept, deferred: tuple[DeferredInput, ...], now: str) -> PartManifest:
    """The next part, in which nothing is done."""
    last = kept.parts[-1]
    return PartManifest(
        stage=last.stage,
        fingerprint=last.fingerprint,
        partition=last.partition,
        inputs=0,
        emitted=0,
        dropped=0,
        failed=0,
        rows=0,
        dropped_parts=0,
        drops_by_reason={},
        failures_by_class={},
        files=(),
        started_at=now,
        finished_at=now,
        wall_s=0.0,
        host=last.host,
        versions=last.versions,
        part=len(kept.parts),
        deferred=deferred,
    )
