"""The one who watches a worker: runs it in a process that may die, and finds out which item killed it.

A worker that segfaults, hangs past its deadline or grows past its memory bound takes only the items with it that were under way.
Those are tried again one at a time: the one that kills the worker again, alone, is the guilty one and becomes a Fail.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

import psutil

from internvid_pipeline.config import PlacementConfig
from internvid_pipeline.engine.leaving import is_leaving
from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.engine.reduce import Reduced
from internvid_pipeline.engine.scratch_guard import ScratchGuard
from internvid_pipeline.engine.worker import StageWorker, worker_context
from internvid_pipeline.engine.worker_fault import resident_bytes, worker_fault
from internvid_pipeline.errors import SetupError, StorageError
from internvid_pipeline.stage import Fail, Item, Outcome, Stage
from internvid_pipeline.storage import Root, owned_folder, scratch_base, scratch_bound_bytes

_POLL_S = 0.2
_SETUP_DEADLINE_S = 3600.0  # loading a large model from a slow disk; a stage's own items have their own deadlines
_LONE_DEATHS = 2  # a signal from outside (kill, the kernel's memory killer) may hit an innocent once
_IDLE_DEATHS = 3
_LAST_WORDS_CHARS = 2000


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


class _Death(Exception):
    """The worker is gone. is_certain: we ended it ourselves for what the item did."""

    def __init__(self, error_class: str, message: str, is_certain: bool) -> None:
        super().__init__(message)
        self.error_class, self.message, self.is_certain = error_class, message, is_certain


class DirectHost:
    """The stage in this very process: for a debugger. Nothing ends a stage that hangs, and a crash is a crash."""

    def __init__(self, plan: StagePlan, root: Root, reduced: Reduced) -> None:
        self.scratch = owned_folder(scratch_base())
        stage = plan.build()
        _prepare_node(plan, stage)
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


class ProcessHost:
    """The stage in a child process, watched. scratch_bytes: most bytes of scratch files on this machine, over all its workers."""

    def __init__(self, plan: StagePlan, root: Root, reduced: Reduced, scratch_bytes: int | None = None) -> None:
        self._scratch_guard = ScratchGuard(scratch_bytes) if scratch_bytes is not None else None
        self.plan, self.root, self.reduced = plan, root, reduced
        self.stage = plan.build()
        self.scratch = owned_folder(scratch_base())
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._idle_deaths = 0
        self._memory_checked_at = 0.0

    @property
    def _log(self) -> Path:
        return self.scratch / ".worker.log"

    def run(self, items: Sequence[Item[Any]]) -> list[Outcome[Any]]:
        outcomes: dict[int, Outcome[Any]] = {}
        pending = dict(enumerate(items))
        if self._scratch_guard is not None:
            self._scratch_guard.wait_for_room()
        while pending:
            begun: set[int] = set()
            try:
                self._round(pending, begun, outcomes)
            except _Death as death:
                suspects = [index for index in sorted(begun) if index not in outcomes]
                self._judge(suspects, items, outcomes, death)
            pending = {index: item for index, item in pending.items() if index not in outcomes}
        return [outcomes[index] for index in range(len(items))]

    def _judge(self, suspects: Sequence[int], items: Sequence[Item[Any]], outcomes: dict[int, Outcome[Any]], death: _Death) -> None:
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

    def _try_alone(self, index: int, item: Item[Any], outcomes: dict[int, Outcome[Any]], first: _Death | None) -> None:
        deaths = [first] if first else []
        while index not in outcomes:
            if deaths and (deaths[-1].is_certain or len(deaths) >= _LONE_DEATHS):
                last = deaths[-1]
                outcomes[index] = Fail(last.error_class, last.message, self._last_words(), len(deaths))
                return
            try:
                self._round({index: item}, set(), outcomes)
            except _Death as death:
                deaths.append(death)

    def _round(self, pending: Mapping[int, Item[Any]], begun: set[int], outcomes: dict[int, Outcome[Any]]) -> None:
        """Gives the items to the worker and takes in what it says until it is done. Raises _Death."""
        connection = self._alive()
        deadlines = {index: self.stage.deadline_s(item.record) * self.plan.deadline_factor for index, item in pending.items()}
        self._send(connection, ("run", list(pending.items())))
        last = time.monotonic()
        while True:
            under_way = [index for index in begun if index not in outcomes]
            limit_s = sum(deadlines[index] for index in under_way) or max(deadlines.values())
            message = self._receive(connection, last + limit_s, limit_s)
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

    def _send(self, connection: Connection, message: tuple[Any, ...]) -> None:
        try:
            connection.send(message)
        except (BrokenPipeError, ConnectionResetError):
            raise self._dead() from None

    def _receive(self, connection: Connection, deadline: float, limit_s: float) -> tuple[Any, ...] | None:
        """The next message, None where there is none yet. Raises _Death for a dead, hanging or overgrown worker, and what the worker
        says is the machine's or the stage's fault."""
        try:
            message: tuple[Any, ...] | None = connection.recv() if connection.poll(_POLL_S) else None
        except (EOFError, ConnectionResetError):
            raise self._dead() from None
        if message is not None and message[0] == "error":
            self._end()
            raise worker_fault(self.plan.name, *message[1:])
        self._check_memory()
        self._check_scratch()
        if message is None and time.monotonic() > deadline:
            self._end(signal.SIGABRT)
            raise _Death("DeadlineExceeded", f"no result within {limit_s:.0f} s; the worker was ended (placement deadline_factor)", True)
        return message

    def _check_memory(self) -> None:
        if time.monotonic() - self._memory_checked_at < _POLL_S:
            return
        self._memory_checked_at = time.monotonic()
        held_mb, bound_mb = self._memory_mb(), self.plan.resources.memory_mb
        if held_mb > bound_mb:
            self._end()
            raise _Death("MemoryLimit", f"the worker held more than its bound of {bound_mb} MB and was ended (placement memory_mb)", True)

    def _check_scratch(self) -> None:
        """The partition's fault, not the item's: its earlier items fill the folder as well."""
        if self._scratch_guard is not None and self._scratch_guard.is_over(self.scratch):
            self._end()
            raise StorageError(
                f"stage {self.plan.name}: scratch files in {scratch_base()} grew past the bound of this machine; "
                "raise placement.scratch_mb, lower max_workers or source.partition_videos, or move TMPDIR to a larger disk"
            )

    def _memory_mb(self) -> float:
        assert self._process is not None
        try:
            process = psutil.Process(self._process.pid)
            family = [process, *process.children(recursive=True)]
            return sum(resident_bytes(member) for member in family) / 1e6
        except psutil.Error:
            return 0.0

    def _alive(self) -> Connection:
        """The connection to a worker that is set up, started anew where there is none."""
        if self._connection is None or self._process is None or self._process.poll() is not None:
            self._end()
            self._start()
        assert self._connection is not None
        return self._connection

    def _start(self) -> None:
        if is_leaving():
            raise StorageError(f"stage {self.plan.name}: this worker was told to leave (SIGTERM)")
        _prepare_node(self.plan, self.stage)
        ours, theirs = socket.socketpair()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "internvid_pipeline.engine.child", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        theirs.close()
        self._connection = Connection(ours.detach())
        self._send(self._connection, ("setup", self.plan, self.root, self.scratch, self.reduced))
        deadline = time.monotonic() + _SETUP_DEADLINE_S
        while self._receive(self._connection, deadline, _SETUP_DEADLINE_S) is None:
            pass

    def _dead(self) -> _Death:
        """What became of a worker that closed its end."""
        code = self._process.wait(timeout=10) if self._process is not None else 0
        self._end()
        if code < 0:
            return _Death("WorkerDied", f"the worker was killed by {signal.Signals(-code).name} while on this item", False)
        return _Death("WorkerDied", f"the worker exited with status {code} while on this item", False)

    def _last_words(self) -> str:
        try:
            return self._log.read_bytes()[-_LAST_WORDS_CHARS:].decode(errors="replace")
        except OSError:
            return ""

    def _end(self, first: signal.Signals = signal.SIGKILL) -> None:
        """Ends the worker and its children. SIGABRT first makes Python print where it hung."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                if first != signal.SIGKILL:
                    self._process.send_signal(first)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        self._process.wait(timeout=2)
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._connection is not None:
            self._connection.close()
        self._process = self._connection = None

    def abandon(self) -> None:
        process = self._process
        if process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)

    def committed(self, item_ids: Collection[str]) -> None:
        if self._connection is not None:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # found out when it is next given work
                self._connection.send(("committed", frozenset(item_ids)))

    def close(self) -> None:
        if self._connection is not None and self._process is not None:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                self._connection.send(("stop",))
                self._process.wait(timeout=10)
        self._end()
        shutil.rmtree(self.scratch, ignore_errors=True)


def _prepare_node(plan: StagePlan, stage: Stage[Any, Any, Any]) -> None:
    """One worker of a node at a time: without the lock, eight would fetch the same weights at once."""
    scratch_base().mkdir(parents=True, exist_ok=True)
    with open(scratch_base() / f"prepare-{plan.name}-{plan.fingerprint}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stage.prepare_node()


def open_host(plan: StagePlan, root: Root, reduced: Reduced, placement: PlacementConfig) -> Host:
    """A host for a stage: in a process that may die, or (placement.isolate False) in this one."""
    if not placement.isolate:
        return DirectHost(plan, root, reduced)
    return ProcessHost(plan, root, reduced, scratch_bound_bytes(placement.scratch_mb))
