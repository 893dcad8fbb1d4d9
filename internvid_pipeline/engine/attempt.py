"""A partition tried again when storage or the machine fails it; what the engines report of each."""

import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from internvid_pipeline.engine import metrics
from internvid_pipeline.engine.logs import where
from internvid_pipeline.engine.ownership import Ownership
from internvid_pipeline.engine.partition import run_partition
from internvid_pipeline.engine.parts import DEFAULT_RULES, DeferralRules
from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.engine.workers.host import Host
from internvid_pipeline.errors import InternvidError, StorageError
from internvid_pipeline.storage import PartManifest, Root

_log = logging.getLogger(__name__)
_BACKOFF_S = 1.0
_ERRORS_IN_A_ROW = 8  # a full disk fails every partition: going on would compute everything for nothing


class ErrorKind(StrEnum):
    """Whose fault it is that a partition could not be run."""

    MISSING = "missing"  # what it reads is not there
    MACHINE = "machine"  # storage or the machine failed; another try may succeed
    FATAL = "fatal"  # so will all others fail: missing weights, a bug in the stage
    DEFERRED = "deferred"  # nobody's: sites ask for patience; what is done of it is kept


@dataclass(frozen=True, slots=True)
class PartitionError:
    """A partition that could not be run."""

    stage: str
    partition: int
    message: str
    kind: ErrorKind

    def __str__(self) -> str:
        return f"stage {self.stage}, partition {self.partition}: {self.message}"


@dataclass
class SegmentResult:
    """What an engine did with a segment. errors: partitions that could not be run, those with deferred inputs among them. gave_up: it
    stopped before trying all. stalled: no worker could be placed any more."""

    errors: list[PartitionError] = field(default_factory=list)
    gave_up: bool = False
    stalled: bool = False


def should_give_up(recent: Sequence[PartitionError | None]) -> bool:
    """True where the rest would fare no better: a fatal error, or the machine failed the last eight partitions (None: one was done)."""
    last = recent[-_ERRORS_IN_A_ROW:]
    in_a_row = len(last) == _ERRORS_IN_A_ROW and all(error is not None and error.kind is ErrorKind.MACHINE for error in last)
    return in_a_row or any(error is not None and error.kind is ErrorKind.FATAL for error in last)


def attempt_partition(
    root: Root,
    plan: StagePlan,
    partition: int,
    host: Callable[[], Host],
    attempts: int,
    ownership: Ownership | None = None,
    rules: DeferralRules = DEFAULT_RULES,
) -> PartitionError | None:
    """Runs a stage over a partition, again with back-off where the machine fails it. None when the partition is done."""
    for attempt in range(1, attempts + 1):
        try:
            if ownership is not None:
                ownership.check()
            manifest = run_partition(root, plan, partition, host(), rules)
            return deferred_error(plan, manifest) if isinstance(manifest, PartManifest) else None
        except FileNotFoundError as error:
            return _not_run(plan, partition, f"what it reads is not there: {error}", ErrorKind.MISSING)
        except (StorageError, OSError) as error:
            if attempt == attempts:
                return _not_run(plan, partition, _words(error, root), ErrorKind.MACHINE)
            _log.warning("try %d of %d: %s", attempt, attempts, _words(error, root), extra=where(plan.name, partition))
        except InternvidError as error:
            return _not_run(plan, partition, str(error), ErrorKind.FATAL)
        time.sleep(random.uniform(0.5, 1.5) * _BACKOFF_S * 2**attempt)
    return None


def deferred_error(plan: StagePlan, part: PartManifest) -> PartitionError:
    """A partition of which inputs are deferred, as it is passed on: the stages behind cannot run over it yet."""
    metrics.not_run(plan, str(ErrorKind.DEFERRED))
    return PartitionError(plan.name, part.partition, f"{len(part.deferred)} of its inputs are deferred", ErrorKind.DEFERRED)


def _not_run(plan: StagePlan, partition: int, message: str, kind: ErrorKind) -> PartitionError:
    metrics.not_run(plan, str(kind))
    _log.error("%s", message, extra=where(plan.name, partition, kind=str(kind)))
    return PartitionError(plan.name, partition, message, kind)


def _words(error: StorageError | OSError, root: Root) -> str:
    return f"{error.strerror or error}: {error.filename or root.uri}" if isinstance(error, OSError) else str(error)
