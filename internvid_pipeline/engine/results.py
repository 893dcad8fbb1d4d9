"""What a stage said of its inputs, as rows of tables: input by input, so that results of several attempts can be put together."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from internvid_pipeline.records import DropRecord, FailureRecord
from internvid_pipeline.stage import Defer, Drop, Emit, Fail, Item, Outcome, PartDrop
from internvid_pipeline.storage import without_credentials

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,}")  # of objects in memory: they would make the tables of two equal runs differ


@dataclass(frozen=True, slots=True)
class InputResult:
    """Rows that one input gave: `rows` where it was emitted, one failure where it failed, else a drop of the whole of it."""

    rows: Sequence[Any] = ()
    drops: Sequence[DropRecord] = ()
    failures: Sequence[FailureRecord] = ()


@dataclass
class Results:
    """Tables of many inputs, in their order."""

    rows: list[Any] = field(default_factory=list)
    drops: list[DropRecord] = field(default_factory=list)
    failures: list[FailureRecord] = field(default_factory=list)
    emitted: int = 0

    @classmethod
    def of(cls, results: Iterable[InputResult]) -> "Results":
        """The results of the inputs one after the other."""
        found = cls()
        for one in results:
            found.rows.extend(one.rows)
            found.drops.extend(one.drops)
            found.failures.extend(one.failures)
            found.emitted += bool(one.rows)
        return found

    @property
    def dropped(self) -> list[DropRecord]:
        """Drops of whole inputs."""
        return [drop for drop in self.drops if drop.part_of is None]


def input_names(items: Sequence[Item[Any]]) -> list[str]:
    """A name for each input that no other of the partition has: its id, and a number behind it where that is there already. Names stand in
    the manifests of parts, ids only in tables: of a signed address the signature is left out."""
    counts: dict[str, int] = {}
    names = []
    for item in items:
        item_id = without_credentials(item.record.item_id)
        counts[item_id] = counts.get(item_id, 0) + 1
        names.append(item_id if counts[item_id] == 1 else f"{item_id}#{counts[item_id]}")
    return names


def sorted_out(
    stage: str, items: Mapping[str, Item[Any]], outcomes: Sequence[Outcome[Any]]
) -> tuple[dict[str, InputResult], dict[str, Defer]]:
    """Results of the inputs that have one, and the deferrals of the others, by the inputs' names. outcomes: in the order of `items`."""
    results: dict[str, InputResult] = {}
    deferred: dict[str, Defer] = {}
    for (name, item), outcome in zip(items.items(), outcomes, strict=True):
        item_id = item.record.item_id
        if isinstance(outcome, Emit):
            results[name] = InputResult(outcome.records, _part_drops(stage, item_id, outcome.dropped_parts))
        elif isinstance(outcome, Drop):
            drop = DropRecord(stage=stage, item_id=item_id, part_of=None, reason=str(outcome.reason), message=outcome.message)
            results[name] = InputResult(drops=[drop, *_part_drops(stage, item_id, outcome.dropped_parts)])
        elif isinstance(outcome, Fail):
            results[name] = failed(stage, item_id, outcome)
        else:
            deferred[name] = Defer(outcome.error_class, _lasting(outcome.message), outcome.retry_after_s, outcome.is_attempt)
    return results, deferred


def failed(stage: str, item_id: str, fail: Fail) -> InputResult:
    """The result of an input that failed."""
    message, detail = _lasting(fail.message), _lasting(fail.detail)
    row = FailureRecord(stage=stage, item_id=item_id, error_class=fail.error_class, message=message, detail=detail, attempts=fail.attempts)
    return InputResult(failures=[row])


def _lasting(text: str) -> str:
    return _ADDRESS.sub("0x…", text)


def _part_drops(stage: str, item_id: str, parts: Sequence[PartDrop]) -> list[DropRecord]:
    return [DropRecord(stage=stage, item_id=part.item_id, part_of=item_id, reason=str(part.reason), message=part.message) for part in parts]
