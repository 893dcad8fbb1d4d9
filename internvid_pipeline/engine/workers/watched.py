"""The one who watches a worker: runs it in a process that may die, and finds out which item killed it.

A worker that segfaults, hangs past its deadline or grows past its memory bound takes only the items with it that were under way.
Those are tried again one at a time: the one that kills the worker again, alone, is the guilty one and becomes a Fail.
"""

import shutil
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.engine.reduce import Reduced
from internvid_pipeline.engine.workers.process import Death, WorkerProcess
from internvid_pipeline.engine.workers.scratch_guard import ScratchGuard
from internvid_pipeline.errors import SetupError
from internvid_pipeline.stage import Fail, Item, Outcome
from internvid_pipeline.storage import Root, owned_folder, scratch_base

_LONE_DEATHS = 2  # a signal from outside (kill, the kernel's memory killer) may hit an innocent once
_IDLE_DEATHS = 3


class ProcessHost:
    """The stage in a child process, watched. scratch_bytes: most bytes of scratch files on this machine, over all its workers."""

    def __init__(self, plan: StagePlan, root: Root, reduced: Reduced, scratch_bytes: int | None = None) -> None:
        self._scratch_guard = ScratchGuard(scratch_bytes) if scratch_bytes is not None else None
        self.plan = plan
        self.stage = plan.build()
        self.scratch = owned_folder(scratch_base())
        self._worker = WorkerProcess(plan, self.stage, (root, self.scratch, reduced), self._scratch_guard)
        self._idle_deaths = 0

    def run(self, items: Sequence[Item[Any]]) -> list[Outcome[Any]]:
        outcomes: dict[int, Outcome[Any]] = {}
        pending = dict(enumerate(items))
        if self._scratch_guard is not None:
            self._scratch_guard.wait_for_room()
        while pending:
            begun: set[int] = set()
            try:
                self._round(pending, begun, outcomes)
            except Death as death:
                suspects = [index for index in sorted(begun) if index not in outcomes]
                self._judge(suspects, items, outcomes, death)
            pending = {index: item for index, item in pending.items() if index not in outcomes}
        return [outcomes[index] for index in range(len(items))]

    def _judge(self, suspects: Sequence[int], items: Sequence[Item[Any]], outcomes: dict[int, Outcome[Any]], death: Death) -> None:
        """Finds the guilty among the items that were under way when the worker died."""
        if self.stage.whole_partition or not suspects:
            # Nothing to take apart: a partition that is one unit is tried again whole.
            self._idle_deaths += 1
            if self._idle_deaths >= _IDLE_DEATHS:
                raise SetupError(
                    f"stage {self.plan.name}: its worker died {self._idle_deaths} times without finishing an item: {death.message}"
                ) from death
            return
        alone = len(suspects) == 1
        for index in suspects:
            self._try_alone(index, items[index], outcomes, death if alone else None)

    def _try_alone(self, index: int, item: Item[Any], outcomes: dict[int, Outcome[Any]], first: Death | None) -> None:
        deaths = [first] if first else []
        while index not in outcomes:
            if deaths and (deaths[-1].is_certain or len(deaths) >= _LONE_DEATHS):
                last = deaths[-1]
                outcomes[index] = Fail(last.error_class, last.message, self._worker.last_words(), len(deaths))
                return
            try:
                self._round({index: item}, set(), outcomes)
            except Death as death:
                deaths.append(death)

    def _round(self, pending: Mapping[int, Item[Any]], begun: set[int], outcomes: dict[int, Outcome[Any]]) -> None:
        """Gives the items to the worker and takes in what it says until it is done. Raises Death."""
        self._worker.start()
        deadlines = {index: self.stage.deadline_s(item.record) * self.plan.deadline_factor for index, item in pending.items()}
        self._worker.send("run", list(pending.items()))
        last = time.monotonic()
        while True:
            under_way = [index for index in begun if index not in outcomes]
            limit_s = sum(deadlines[index] for index in under_way) or max(deadlines.values())
            message = self._worker.receive(last + limit_s, limit_s)
            if message is None:
                continue
            last = time.monotonic()
            if message[0] == "begin":
                begun.add(message[1])
            elif message[0] == "finish":
                outcomes[message[1]] = message[2]
                self._idle_deaths = 0
            elif message[0] == "done":
                return

    def committed(self, item_ids: Collection[str]) -> None:
        self._worker.tell("committed", frozenset(item_ids))

    def abandon(self) -> None:
        self._worker.kill()

    def close(self) -> None:
        self._worker.stop()
        shutil.rmtree(self.scratch, ignore_errors=True)
