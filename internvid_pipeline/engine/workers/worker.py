"""What runs inside a worker: loading ahead in threads, batches, and one outcome per item whatever `process` raises."""

import re
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.engine.reduce import Reduced
from internvid_pipeline.errors import ContractError, Deferred, InternvidError, TransientError, is_machine_fault
from internvid_pipeline.stage import Defer, Drop, Emit, Fail, Item, Outcome, Stage, WorkerContext
from internvid_pipeline.storage import Root, redacted

TRANSIENT_ATTEMPTS = 3
_BACKOFF_S = 0.5
_DETAIL_CHARS = 2000
_FOLDERS = re.compile(r'(?<=File ")[^"\n]*/(?=[^"/\n]+/[^"/\n]+")')  # where the code lies differs between machines, tables must not

Begin = Callable[[int], None]
Finish = Callable[[int, Outcome[Any]], None]


def failure(error: BaseException, attempts: int = 1) -> Fail:
    """An exception as an outcome: class, one line, and the end of the traceback."""
    detail = "" if isinstance(error, InternvidError) else _FOLDERS.sub("…/", "".join(traceback.format_exception(error)))[-_DETAIL_CHARS:]
    return Fail(type(error).__name__, _line(error), redacted(_encodable(detail)), attempts)


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return redacted(_encodable(lines[0][:500] if lines else type(error).__name__))


def _sound(outcome: Outcome[Any]) -> Outcome[Any]:
    """The outcome, if all its text can stand in a table; half a surrogate pair, as models and careless exporters leave it, cannot. In a
    row it fails the item, in a message it is replaced."""
    if not isinstance(outcome, Emit):
        if isinstance(outcome, Fail):
            return replace(outcome, message=_encodable(outcome.message), detail=_encodable(outcome.detail))
        if isinstance(outcome, Defer):
            return replace(outcome, message=_encodable(outcome.message))
        parts = tuple(replace(part, message=_encodable(part.message)) for part in outcome.dropped_parts)
        return replace(outcome, message=_encodable(outcome.message), dropped_parts=parts)
    for row in outcome.records:
        text = _unencodable(row)
        if text is not None:
            return Fail("InvalidText", f"{type(row).__name__}: text is not UTF-8 (half a surrogate pair): {_encodable(text)[:80]!r}")
    return outcome


def _encodable(text: str) -> str:
    return text if text.isascii() else text.encode(errors="replace").decode()


def _unencodable(value: Any) -> str | None:
    """The first text in a record that cannot be written, None where there is none."""
    if isinstance(value, str):
        return None if value.isascii() or _encodable(value) == value else value
    parts: Iterable[Any] = ()
    if isinstance(value, tuple):
        parts = value
    elif is_dataclass(value):
        parts = (getattr(value, field.name) for field in fields(value))
    return next((text for part in parts if (text := _unencodable(part)) is not None), None)


def worker_context(plan: StagePlan, root: Root, scratch: Path, reduced: Reduced) -> WorkerContext:
    """What the stage's worker is given."""
    return WorkerContext(
        root=root, scratch=scratch, resources=plan.resources, reduced=reduced.numbers, reduced_files=reduced.files, nodes=plan.nodes
    )


class StageWorker:
    """A stage set up in this process. `run` reports through callbacks, so that whoever watches knows which items are under way."""

    def __init__(self, stage: Stage[Any, Any, Any], context: WorkerContext) -> None:
        self.stage = stage
        self.resources = context.resources
        self._loaders = ThreadPoolExecutor(max_workers=self.resources.load_threads, thread_name_prefix="load")
        stage.setup(context)

    def close(self) -> None:
        """Ends the stage and its loading threads."""
        self._loaders.shutdown(cancel_futures=True)
        self.stage.teardown()

    def run(self, items: Sequence[tuple[int, Item[Any]]], begin: Begin, finish: Finish) -> None:
        """Gives every item to the stage; `begin(i)` before it is touched, `finish(i, outcome)` once. Raises what is the machine's fault,
        and ContractError."""
        size = len(items) if self.stage.whole_partition else self.resources.batch_size
        # A GPU must find its next batch loaded when it has done this one.
        ahead = size + max(self.resources.load_threads, size if self.resources.gpus else 0)
        loads: dict[int, Future[Any]] = {}
        for start in range(0, len(items), max(size, 1)):
            for index, item in items[start : start + ahead]:
                if index not in loads:
                    begin(index)
                    loads[index] = self._loaders.submit(self._load, item)
            loaded = []
            for index, item in items[start : start + size]:
                outcome = loads.pop(index).result()
                if isinstance(outcome, Fail | Defer):
                    finish(index, outcome)
                else:
                    loaded.append((index, replace(item, payload=outcome)))
            self._process(loaded, finish)

    def _load(self, item: Item[Any]) -> Any:
        return self._attempted(lambda: self.stage.load_item(item))

    def _process(self, batch: Sequence[tuple[int, Item[Any]]], finish: Finish) -> None:
        if not batch:
            return
        outcomes = self._attempted(lambda: self._checked([item for _, item in batch]))
        if not isinstance(outcomes, Fail | Defer):
            for (index, _), outcome in zip(batch, outcomes, strict=True):
                finish(index, outcome)
        elif len(batch) == 1 or self.stage.whole_partition:
            for index, _ in batch:
                finish(index, outcomes)
        else:  # one item spoiled the batch: the others are innocent
            for one in batch:
                self._process([one], finish)

    def _checked(self, items: list[Item[Any]]) -> list[Outcome[Any]]:
        outcomes = self.stage.process(items)
        if len(outcomes) != len(items):
            raise ContractError(
                f"stage {self.stage.name}: process returned {len(outcomes)} outcomes for {len(items)} items; it must return one each"
            )
        for outcome in outcomes:
            if not isinstance(outcome, (Emit, Drop, Fail, Defer)):
                raise ContractError(
                    f"stage {self.stage.name}: process returned a {type(outcome).__name__}; it must return Emit, Drop, Fail or Defer"
                )
            if isinstance(outcome, Emit) and not (outcome.records and all(isinstance(row, self.stage.writes) for row in outcome.records)):
                raise ContractError(
                    f"stage {self.stage.name}: an Emit must hold one or more {self.stage.writes.__name__} rows, not {outcome.records!r:.80}"
                )
        return [_sound(outcome) for outcome in outcomes]

    def _attempted(self, call: Callable[[], Any]) -> Any:
        """The call's result, a Fail, or a Defer. Faults that may pass are tried again; the machine's own are raised."""
        for attempt in range(1, TRANSIENT_ATTEMPTS + 1):
            try:
                return call()
            except Deferred as error:  # trying again at once is what its site does not want
                return Defer(type(error).__name__, _line(error), error.retry_after_s, error.was_tried)
            except TransientError as error:
                if attempt == TRANSIENT_ATTEMPTS:
                    return failure(error, attempt)
                time.sleep(_BACKOFF_S * 2**attempt)
            except Exception as error:  # the one door: whatever a stage raises becomes the item's outcome
                if is_machine_fault(error):
                    raise
                return failure(error)
        raise AssertionError("unreachable: the loop returns")
