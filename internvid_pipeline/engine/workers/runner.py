"""The actor of one stage: it keeps one watched worker over all its partitions, counts with the ledger, and leaves in order."""

import atexit
import threading
from collections.abc import Mapping
from typing import Any, Protocol

from internvid_pipeline.config import PlacementConfig
from internvid_pipeline.engine import logs
from internvid_pipeline.engine.attempt import ErrorKind, PartitionError, attempt_partition
from internvid_pipeline.engine.ownership import Ownership
from internvid_pipeline.engine.parts import DeferralRules
from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.engine.reduce import Reduced
from internvid_pipeline.engine.workers.host import Host, open_host
from internvid_pipeline.engine.workers.leaving import is_leaving, leave_on_sigterm
from internvid_pipeline.storage import Root, remove_orphans, scratch_base

COLUMNS = ("partition", "stage", "message", "kind")
_BEAT_S = 5.0


class LedgerClient(Protocol):
    """A `ledger.Ledger` that lives elsewhere. No method raises: where the ledger cannot be reached, work goes on uncounted."""

    def begin(self, stage: str, partition: int) -> int:
        """How many workers died on this unit before."""

    def end(self, stage: str, partition: int, is_last: bool = False) -> None:
        """The unit is over. is_last: this process ends next; wait until it is noted."""

    def beat(self) -> None:
        """This worker is at work."""


class StageRunner:
    """Rows {partition, stage, message, kind} in and out; a row with a message has failed, or was put off, in an earlier stage and is
    passed on."""

    def __init__(
        self,
        root: Root,
        plan: StagePlan,
        reduced: Reduced,
        placement: PlacementConfig,
        todo: frozenset[int],
        run: str,
        ledger: LedgerClient,
        log: Mapping[str, str],
    ) -> None:
        self.ownership = Ownership(root, plan, run)
        self.root, self.plan, self.reduced, self.placement, self.todo, self.ledger = root, plan, reduced, placement, todo, ledger
        self._host: Host | None = None
        self._partition: int | None = None  # under way
        logs.set_up_worker(log)
        remove_orphans(scratch_base())  # of workers that were killed on this node
        atexit.register(self.close)
        leave_on_sigterm(self.abandon)
        threading.Thread(target=self._beat, daemon=True, name="beat").start()

    def host(self) -> Host:
        """The worker, started at first use."""
        if self._host is None:
            self._host = open_host(self.plan, self.root, self.reduced, self.placement)
        return self._host

    def close(self) -> None:
        """Ends the worker with the actor."""
        if self._host is not None:
            self._host.close()
            self._host = None

    def abandon(self) -> None:
        """Told to leave: ends the worker and deletes its files at once, and says that nobody died of this partition."""
        if self._host is not None:
            self._host.abandon()
        if self._partition is not None:
            self.ledger.end(self.plan.name, self._partition, is_last=True)
        self.root.abandon_staging()

    def _beat(self) -> None:
        waiting = threading.Event()
        while not waiting.wait(_BEAT_S):
            if self._partition is not None:
                self.ledger.beat()

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        rows = [dict(zip(COLUMNS, values, strict=True)) for values in zip(*(batch[name] for name in COLUMNS), strict=True)]
        done = [as_row(int(row["partition"]), as_error(row) or self._run(int(row["partition"]))) for row in rows]
        return {name: [row[name] for row in done] for name in COLUMNS}

    def _run(self, partition: int) -> PartitionError | None:
        if partition not in self.todo:
            return None
        name = self.plan.name
        deaths = self.ledger.begin(name, partition)
        self._partition = partition
        try:
            if deaths >= self.placement.partition_deaths:
                message = (
                    f"{deaths} workers in a row were ended from outside while at it (memory killer, lost nodes); see the nodes' logs, "
                    "give the stage more memory or fewer workers (placement.partition_deaths)"
                )
                return PartitionError(name, partition, message, ErrorKind.MACHINE)
            attempts, rules = self.placement.partition_attempts, DeferralRules.of(self.placement)
            error = attempt_partition(self.root, self.plan, partition, self.host, attempts, self.ownership, rules)
            if error is not None and is_leaving():
                threading.Event().wait()  # the error is our own doing; this process is about to end
            return error
        finally:
            self._partition = None
            self.ledger.end(name, partition)


def as_row(partition: int, error: PartitionError | None) -> dict[str, Any]:
    """A partition and what went wrong with it, as it travels through Ray."""
    if error is None:
        return {"partition": partition, "stage": "", "message": "", "kind": ""}
    return {"partition": partition, "stage": error.stage, "message": error.message, "kind": str(error.kind)}


def as_error(row: Mapping[str, Any]) -> PartitionError | None:
    """What `as_row` was given."""
    if not row["message"]:
        return None
    return PartitionError(str(row["stage"]), int(row["partition"]), str(row["message"]), ErrorKind(str(row["kind"])))
