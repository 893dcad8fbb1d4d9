"""What an engine asks for: a stage that is given items. In a process that is watched, or, for a debugger, in this one."""

import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Protocol

from internvid_pipeline.config import PlacementConfig
from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.engine.reduce import Reduced
from internvid_pipeline.engine.workers.process import prepare_node
from internvid_pipeline.engine.workers.watched import ProcessHost
from internvid_pipeline.engine.workers.worker import StageWorker, worker_context
from internvid_pipeline.stage import Item, Outcome
from internvid_pipeline.storage import Root, owned_folder, scratch_base, scratch_bound_bytes


class Host(Protocol):
    """Runs a stage over items. `scratch` is where its files are until the partition is committed."""

    scratch: Path

    def run(self, items: Sequence[Item[Any]]) -> list[Outcome[Any]]:
        """One outcome per item, in order. Raises StorageError, SetupError, ContractError."""

    def committed(self, item_ids: Collection[str]) -> None:
        """Tells the stage whose outcomes are stored. A worker that is gone need not know."""

    def close(self) -> None:
        """Ends the worker and deletes its scratch folder."""

    def abandon(self) -> None:
        """Ends the worker at once, from another thread."""


class DirectHost:
    """The stage in this very process: for a debugger. Nothing ends a stage that hangs, and a crash is a crash."""

    def __init__(self, plan: StagePlan, root: Root, reduced: Reduced) -> None:
        self.scratch = owned_folder(scratch_base())
        stage = plan.build()
        prepare_node(plan, stage)
        self._worker = StageWorker(stage, worker_context(plan, root, self.scratch, reduced))

    def run(self, items: Sequence[Item[Any]]) -> list[Outcome[Any]]:
        outcomes: dict[int, Outcome[Any]] = {}
        self._worker.run(list(enumerate(items)), lambda index: None, outcomes.__setitem__)
        return [outcomes[index] for index in range(len(items))]

    def committed(self, item_ids: Collection[str]) -> None:
        self._worker.stage.committed(item_ids)

    def close(self) -> None:
        self._worker.close()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def abandon(self) -> None:
        """This process is the worker: it ends with it."""


def open_host(plan: StagePlan, root: Root, reduced: Reduced, placement: PlacementConfig) -> Host:
    """A host for a stage: in a process that may die, or (placement.isolate False) in this one."""
    if not placement.isolate:
        return DirectHost(plan, root, reduced)
    return ProcessHost(plan, root, reduced, scratch_bound_bytes(placement.scratch_mb))
