"""The engine on Ray: a Ray Data plan whose rows are partition numbers and whose operators are stages. The only module that imports ray.

Nothing of Ray's own retries, checkpoints or error limits is relied on: a worker looks whether its partition is committed, else computes
and commits, and passes the number on with what went wrong, if anything did. A dead worker is replaced by Ray and its partition run
again, which finds committed work done.
"""

import atexit
import contextlib
import logging
import os
import secrets
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from internvid_pipeline.engine.attempt import ErrorKind, PartitionError, SegmentResult, attempt_partition, should_give_up
from internvid_pipeline.engine.host import Host, open_host
from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.errors import SetupError
from internvid_pipeline.storage import Root

_COLUMNS = ("partition", "stage", "message", "kind")
_LOCAL_STORE_BYTES = 100 * 2**20  # rows are numbers; the object store never holds media


class StageRunner:
    """The actor of one stage: one watched worker, kept over all partitions that Ray gives it."""

    def __init__(
        self, root: Root, plan: StagePlan, reduced: Mapping[str, float], isolate: bool, attempts: int, todo: frozenset[int]
    ) -> None:
        self.root, self.plan, self.reduced, self.isolate, self.attempts, self.todo = root, plan, reduced, isolate, attempts, todo
        self._host: Host | None = None
        atexit.register(self.close)

    def host(self) -> Host:
        """The worker, started at first use."""
        if self._host is None:
            self._host = open_host(self.plan, self.root, self.reduced, self.isolate)
        return self._host

    def close(self) -> None:
        """Ends the worker with the actor."""
        if self._host is not None:
            self._host.close()
            self._host = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Rows {partition, stage, message, kind}; a row with a message has failed in an earlier stage and is passed on."""
        rows = [dict(zip(_COLUMNS, values, strict=True)) for values in zip(*(batch[name] for name in _COLUMNS), strict=True)]
        done = [_row(int(row["partition"]), _error(row) or self._run(int(row["partition"]))) for row in rows]
        return {name: [row[name] for row in done] for name in _COLUMNS}

    def _run(self, partition: int) -> PartitionError | None:
        if partition not in self.todo:
            return None
        return attempt_partition(self.root, self.plan, partition, self.host, self.attempts)


def _row(partition: int, error: PartitionError | None) -> dict[str, Any]:
    """A partition and what went wrong with it, as it travels through Ray."""
    if error is None:
        return {"partition": partition, "stage": "", "message": "", "kind": ""}
    return {"partition": partition, "stage": error.stage, "message": error.message, "kind": str(error.kind)}


def _error(row: Mapping[str, Any]) -> PartitionError | None:
    if not row["message"]:
        return None
    return PartitionError(str(row["stage"]), int(row["partition"]), str(row["message"]), ErrorKind(str(row["kind"])))


def start(address: str) -> None:
    """Connects to Ray: an embedded one (`local`), the cluster of this job (`auto`) or host:port. Raises SetupError."""
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")  # under `uv run` Ray would rebuild the environment in every worker
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what goes wrong is raised or in Ray's own log files
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise SetupError("Ray is not installed: `pip install 'internvid-pipeline[ray]'`, or run with --engine inline") from error
    if ray.is_initialized():
        return
    options: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": "ERROR"}
    if address == "local":
        if not os.environ.get("RAY_AUTH_TOKEN_PATH"):
            # Ray would write a token into the home folder, which may be read-only; an embedded one needs none that outlives it.
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        environment = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        options |= {"include_dashboard": False, "object_store_memory": _LOCAL_STORE_BYTES, "runtime_env": {"env_vars": environment}}
    try:
        with _silent_stderr(), _kept_sigterm():
            ray.init(**options)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise SetupError(f"cannot start Ray at {address!r}: {str(error).splitlines()[0]}; check placement.ray_address") from error


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """Ray's C++ half announces its log level on stderr, past Python; errors are raised all the same."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextlib.contextmanager
def _kept_sigterm() -> Iterator[None]:
    """Ray puts a handler of its own on SIGTERM that ends the process on the spot; ours stops the run in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


def machine_resources() -> tuple[float, float]:
    """CPUs and GPUs of the cluster."""
    import ray

    found = ray.cluster_resources()
    return found.get("CPU", 0.0), found.get("GPU", 0.0)


def stop() -> None:
    """Disconnects; an embedded Ray ends with all its workers."""
    import ray

    ray.shutdown()


def run_segment(
    root: Root,
    plans: Sequence[StagePlan],
    todo: Mapping[str, Sequence[int]],
    reduced: Mapping[str, Mapping[str, float]],
    isolate: bool,
    attempts: int,
) -> SegmentResult:
    """Runs the stages of a segment as one Ray Data plan over the partitions that any of them has to do. Raises SetupError where Ray
    itself fails."""
    import ray
    import ray.data

    partitions = sorted({partition for plan in plans for partition in todo[plan.name]})
    result = SegmentResult()
    context = ray.data.DataContext.get_current()
    context.execution_no_progress_timeout_s = -1  # a partition may take hours; items have deadlines of their own
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # An actor holds one partition at a time, so a pool is fully used at 1.0; Ray's own mark of 1.75 would never let it grow.
    context.autoscaling_config.actor_pool_util_upscaling_threshold = 1.0
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # progress is read from the manifests
    rows = [_row(partition, None) for partition in partitions]
    data = ray.data.from_items(rows, override_num_blocks=len(rows))
    for plan in plans:
        data = _with_stage(data, root, plan, frozenset(todo[plan.name]), reduced.get(plan.name, {}), isolate, attempts)
    recent: list[PartitionError | None] = []
    try:
        for row in data.iter_rows():
            recent.append(_error(row))
            result.gave_up = should_give_up(recent)
            if result.gave_up:
                break
    except (ray.exceptions.RayError, ConnectionError) as error:
        raise SetupError(f"Ray failed: {str(error).strip().splitlines()[-1]}; start again to go on where it stopped") from error
    result.errors = [error for error in recent if error is not None]
    return result


def _with_stage(
    data: Any, root: Root, plan: StagePlan, todo: frozenset[int], reduced: Mapping[str, float], isolate: bool, attempts: int
) -> Any:
    import ray.data

    cpus, gpus = machine_resources()
    room = min(cpus // plan.resources.cpus, gpus // plan.resources.gpus if plan.resources.gpus else float("inf"))
    # A worker is two processes that take a second to start: by default no more of them than cores, however small their share of one.
    most = max(1, int(min(room, plan.workers or cpus, len(todo) or 1)))
    return data.map_batches(
        StageRunner,
        fn_constructor_args=(root, plan, dict(reduced), isolate, attempts, todo),
        batch_size=1,
        num_cpus=plan.resources.cpus,
        num_gpus=plan.resources.gpus or None,
        # One partition per actor at a time: partitions are long and unequal, a queue at a slow actor would wait while others idle.
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=most, max_tasks_in_flight_per_actor=1),
    )
