"""The engine on Ray: a Ray Data plan whose rows are partition numbers and whose operators are stages. The only module that imports ray.

Nothing of Ray's own retries, checkpoints or error limits is relied on: a worker looks whether its partition is committed, else computes
and commits, and passes the number on with what went wrong, if anything did. A dead worker is replaced by Ray and its partition run
again, which finds committed work done.
"""

import contextlib
import logging
import os
import queue
import secrets
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from internvid_pipeline.config import PlacementConfig
from internvid_pipeline.engine.attempt import PartitionError, SegmentResult, should_give_up
from internvid_pipeline.engine.ledger import Ledger
from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.engine.reduce import Reduced
from internvid_pipeline.engine.runner import StageRunner, as_error, as_row
from internvid_pipeline.engine.segments import Node, cut_segments
from internvid_pipeline.errors import SetupError
from internvid_pipeline.storage import Root

_MOST_WORKERS = 10_000
_LEDGER_S = 10.0
_LOOK_S = 5.0
_INIT_DEATHS = 100  # a pool's new worker may be killed before it is there, as often as nodes are lost
_END = object()
_LOCAL_STORE_BYTES = 100 * 2**20  # rows are numbers; the object store never holds media


class _RayLedger:
    """A `ledger.Ledger` in an actor on the driver's node. What cannot be counted is let through: counting is no reason to stop."""

    def __init__(self) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        # It holds its counts for as long as the driver lives; one that is killed starts from nothing.
        self.actor: Any = ray.remote(num_cpus=0, max_restarts=-1, scheduling_strategy=here)(Ledger).remote()

    def _ask(self, method: str, *arguments: Any) -> Any:
        import ray

        try:
            return ray.get(getattr(self.actor, method).remote(*arguments), timeout=_LEDGER_S)
        except ray.exceptions.RayError:
            return None

    def begin(self, stage: str, partition: int) -> int:
        return int(self._ask("begin", stage, partition) or 0)

    def end(self, stage: str, partition: int, is_last: bool = False) -> None:
        if is_last:
            self._ask("end", stage, partition)
        else:
            self.actor.end.remote(stage, partition)

    def beat(self) -> None:
        self.actor.beat.remote()

    def idle_s(self) -> float:
        """Seconds since any worker gave a sign of life; 0 where the ledger does not answer."""
        return float(self._ask("idle_s") or 0.0)


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
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise SetupError(f"cannot start Ray at {address!r}: {reason}; check placement.ray_address") from error


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


def machines(plans: Sequence[StagePlan], wait_s: float) -> list[dict[str, float]]:
    """Resources of each node that is alive. Where one worker of some stage fits on none of them, an autoscaling cluster is asked for
    what is missing and waited for."""
    deadline = time.monotonic() + wait_s
    while True:
        found = [dict(node["Resources"]) for node in _nodes()]
        try:
            cut_segments(plans, found)
            return found
        except SetupError:
            if time.monotonic() >= deadline:
                return found  # who cuts the plan says what is missing
        _request([plan.needs for plan in plans])
        time.sleep(1.0)


def _request(bundles: Sequence[Mapping[str, float]]) -> None:
    """Tells the autoscaler what has to fit; without one nothing happens."""
    from ray.autoscaler.sdk import request_resources

    request_resources(bundles=[{name: amount for name, amount in bundle.items() if amount} for bundle in bundles])


def stop() -> None:
    """Disconnects; an embedded Ray ends with all its workers."""
    import ray

    ray.shutdown()


def run_segment(
    root: Root,
    plans: Sequence[StagePlan],
    todo: Mapping[str, Sequence[int]],
    reduced: Mapping[str, Reduced],
    placement: PlacementConfig,
    sizes: Mapping[int, int],
    run: str,
) -> SegmentResult:
    """Runs the stages of a segment as one Ray Data plan over the partitions that any of them has to do, the largest first, so that none
    of them is left for the end. Raises SetupError where Ray itself fails."""
    import ray.data

    partitions = {partition for plan in plans for partition in todo[plan.name]}
    rows = [as_row(partition, None) for partition in sorted(partitions, key=lambda number: (-sizes.get(number, 0), number))]
    _settings(ray.data.DataContext.get_current())
    ledger = _RayLedger()
    plans = [replace(plan, nodes=_nodes_for(plan)) for plan in plans]
    data = ray.data.from_items(rows, override_num_blocks=len(rows))
    for plan in plans:
        own = frozenset(todo[plan.name])
        data = _with_stage(data, plan, placement, len(own), (root, plan, reduced.get(plan.name, Reduced()), placement, own, run, ledger))
    found: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_consume, args=(data, found), daemon=True, name="plan").start()
    return _collect(found, ledger, placement.stalled_s)


def _nodes_for(plan: StagePlan) -> int:
    """Machines on which a worker of the stage has room, as the cluster is now."""
    nodes = [Node.of(node["Resources"]) for node in _nodes()]
    return max(1, sum(node.take(plan.needs) for node in nodes))


def _nodes() -> list[dict[str, Any]]:
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def _settings(context: Any) -> None:
    context.execution_no_progress_timeout_s = -1  # a partition may take hours; items have deadlines of their own
    context.max_consecutive_actor_init_deaths = _INIT_DEATHS
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # An actor holds one partition at a time, so a pool is fully used at 1.0; Ray's own mark of 1.75 would never let it grow.
    context.autoscaling_config.actor_pool_util_upscaling_threshold = 1.0
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # progress is read from the manifests; errors are raised


def _consume(data: Any, found: "queue.SimpleQueue[Any]") -> None:
    """Runs the plan; puts each partition's error or None, at last the plan's end or what ended it. In a thread of its own: who waits in
    Ray cannot look whether anything still happens."""
    try:
        for row in data.iter_rows():
            found.put(as_error(row))
        found.put(_END)
    except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits for it
        found.put(error)


def _collect(found: "queue.SimpleQueue[Any]", ledger: _RayLedger, stalled_s: float) -> SegmentResult:
    """Waits for the end of the plan, for a reason to give up, or until no worker has given a sign of life for `stalled_s`."""
    import ray

    recent: list[PartitionError | None] = []
    result = SegmentResult()
    while not (result.gave_up or result.stalled):
        try:
            one = found.get(timeout=min(_LOOK_S, stalled_s))
        except queue.Empty:
            result.stalled = ledger.idle_s() > stalled_s
            continue
        if one is _END:
            break
        if isinstance(one, ray.exceptions.RayError | ConnectionError):
            lines = str(one).strip().splitlines() or [type(one).__name__]
            raise SetupError(f"Ray failed: {lines[-1]}; start again to go on where it stopped") from one
        if isinstance(one, BaseException):
            raise one
        recent.append(one)
        result.gave_up = should_give_up(recent)
    result.errors = [error for error in recent if error is not None]
    return result


def _with_stage(data: Any, plan: StagePlan, placement: PlacementConfig, num_todo: int, arguments: tuple[Any, ...]) -> Any:
    import ray.data

    most = max(1, min(_most_workers(plan, placement), num_todo or 1))
    return data.map_batches(
        StageRunner,
        fn_constructor_args=arguments,
        batch_size=1,
        num_cpus=plan.resources.cpus,
        num_gpus=plan.resources.gpus or None,
        **({"resources": dict(plan.custom)} if plan.custom else {}),
        # One partition per actor at a time: partitions are long and unequal, a queue at a slow actor would wait while others idle.
        compute=ray.data.ActorPoolStrategy(min_size=min(plan.min_workers, most), max_size=most, max_tasks_in_flight_per_actor=1),
    )


def _most_workers(plan: StagePlan, placement: PlacementConfig) -> int:
    """How far the pool of a stage may grow. On a cluster, which may grow too, only by what was asked for: Ray adds workers while there
    is room. On one machine by its room, and unless asked otherwise by its cores: a worker is two processes that take a second to start,
    however small their share of a core."""
    import ray

    if placement.ray_address != "local":
        return plan.max_workers or _MOST_WORKERS
    there = ray.cluster_resources()
    room = min(there.get(name, 0.0) // amount for name, amount in plan.needs.items() if amount)
    return int(min(room, plan.max_workers or there.get("CPU", 1.0)))
