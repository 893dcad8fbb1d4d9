"""One process in which a stage works, and the line to it. It is ended when it is late, holds too much memory, or fills the disk."""

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.engine.reduce import Reduced
from internvid_pipeline.engine.workers.faults import held_mb, worker_fault
from internvid_pipeline.engine.workers.leaving import is_leaving
from internvid_pipeline.engine.workers.scratch_guard import ScratchGuard
from internvid_pipeline.errors import StorageError
from internvid_pipeline.stage import Stage
from internvid_pipeline.storage import Root, scratch_base

_POLL_S = 0.2
_SETUP_DEADLINE_S = 3600.0  # loading a large model from a slow disk; a stage's own items have their own deadlines
_LAST_WORDS_CHARS = 2000


class Death(Exception):
    """The worker is gone. is_certain: we ended it ourselves for what the item did."""

    def __init__(self, error_class: str, message: str, is_certain: bool) -> None:
        super().__init__(message)
        self.error_class, self.message, self.is_certain = error_class, message, is_certain


class WorkerProcess:
    """Started at first use, and again after each death. given: what it is set up with. `child` says which messages there are."""

    def __init__(
        self, plan: StagePlan, stage: Stage[Any, Any, Any], given: tuple[Root, Path, Reduced], scratch_guard: ScratchGuard | None
    ) -> None:
        self.plan, self.stage, self._given, self._scratch_guard = plan, stage, given, scratch_guard
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._memory_checked_at = 0.0

    @property
    def _scratch(self) -> Path:
        return self._given[1]

    @property
    def _log(self) -> Path:
        return self._scratch / ".worker.log"

    def start(self) -> None:
        """Sees to it that there is a process that is set up. Raises Death, StorageError, SetupError."""
        if self._connection is not None and self._process is not None and self._process.poll() is None:
            return
        self.end()
        if is_leaving():
            raise StorageError(f"stage {self.plan.name}: this worker was told to leave (SIGTERM)")
        prepare_node(self.plan, self.stage)
        self._connect()
        self.send("setup", self.plan, *self._given)
        deadline = time.monotonic() + _SETUP_DEADLINE_S
        while self.receive(deadline, _SETUP_DEADLINE_S) is None:
            pass

    def _connect(self) -> None:
        ours, theirs = socket.socketpair()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "internvid_pipeline.engine.workers.child", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        theirs.close()
        self._connection = Connection(ours.detach())

    def send(self, *message: Any) -> None:
        """Raises Death."""
        assert self._connection is not None
        try:
            self._connection.send(message)
        except (BrokenPipeError, ConnectionResetError):
            raise self._dead() from None

    def tell(self, *message: Any) -> None:
        """As `send`, if there is anybody to hear it: who is gone is found out when it is next given work."""
        if self._connection is not None:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._connection.send(message)

    def receive(self, deadline: float, limit_s: float) -> tuple[Any, ...] | None:
        """The next message, None where there is none yet. Raises Death for a dead, hanging or overgrown worker, and what the worker
        says is the machine's or the stage's fault."""
        assert self._connection is not None
        try:
            message: tuple[Any, ...] | None = self._connection.recv() if self._connection.poll(_POLL_S) else None
        except (EOFError, ConnectionResetError):
            raise self._dead() from None
        if message is not None and message[0] == "error":
            self.end()
            raise worker_fault(self.plan.name, *message[1:])
        self._check_memory()
        self._check_scratch()
        if message is None and time.monotonic() > deadline:
            self.end(signal.SIGABRT)
            raise Death("DeadlineExceeded", f"no result within {limit_s:.0f} s; the worker was ended (placement deadline_factor)", True)
        return message

    def _check_memory(self) -> None:
        if time.monotonic() - self._memory_checked_at < _POLL_S:
            return
        self._memory_checked_at = time.monotonic()
        assert self._process is not None
        bound_mb = self.plan.resources.memory_mb
        if held_mb(self._process.pid) > bound_mb:
            self.end()
            raise Death("MemoryLimit", f"the worker held more than its bound of {bound_mb} MB and was ended (placement memory_mb)", True)

    def _check_scratch(self) -> None:
        """The partition's fault, not the item's: its earlier items fill the folder as well."""
        if self._scratch_guard is not None and self._scratch_guard.is_over(self._scratch):
            self.end()
            raise StorageError(
                f"stage {self.plan.name}: scratch files in {scratch_base()} grew past the bound of this machine; "
                "raise placement.scratch_mb, lower max_workers or source.partition_videos, or move TMPDIR to a larger disk"
            )

    def _dead(self) -> Death:
        """What became of a worker that closed its end."""
        code = self._process.wait(timeout=10) if self._process is not None else 0
        self.end()
        if code < 0:
            return Death("WorkerDied", f"the worker was killed by {signal.Signals(-code).name} while on this item", False)
        return Death("WorkerDied", f"the worker exited with status {code} while on this item", False)

    def last_words(self) -> str:
        """The end of what the process printed."""
        try:
            return self._log.read_bytes()[-_LAST_WORDS_CHARS:].decode(errors="replace")
        except OSError:
            return ""

    def end(self, first: signal.Signals = signal.SIGKILL) -> None:
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

    def stop(self) -> None:
        """Ends it in order, so that the stage's own end is called; at most ten seconds."""
        if self._connection is not None and self._process is not None:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                self._connection.send(("stop",))
                self._process.wait(timeout=10)
        self.end()

    def kill(self) -> None:
        """At once, from another thread."""
        process = self._process
        if process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)


def prepare_node(plan: StagePlan, stage: Stage[Any, Any, Any]) -> None:
    """One worker of a node at a time: without the lock, eight would fetch the same weights at once."""
    scratch_base().mkdir(parents=True, exist_ok=True)
    with open(scratch_base() / f"prepare-{plan.name}.lock", "w") as lock:  # one file a stage, or they would pile up
        fcntl.flock(lock, fcntl.LOCK_EX)
        stage.prepare_node()
