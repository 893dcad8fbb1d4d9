"""One segment of a plan as a Ray Data pipeline, and when to stop waiting for it."""

import logging
import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from internvid_pipeline.config import PlacementConfig
from internvid_pipeline.engine import logs
from internvid_pipeline.engine.attempt import PartitionError, SegmentResult, should_give_up
from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.engine.ray import execution
from internvid_pipeline.engine.ray.ledger import RayLedger
from internvid_pipeline.engine.ray.nodes import nodes_for
from internvid_pipeline.engine.reduce import Reduced
from internvid_pipeline.engine.workers.runner import StageRunner, as_error, as_row
from internvid_pipeline.errors import SetupError
from internvid_pipeline.storage import Root

_MOST_WORKERS = 10_000
_LOOK_S = 5.0
_END_S = 10.0
_INIT_DEATHS = 100  # a pool's new worker may be killed before it is there, as often as nodes are lost
_END = object()


def run_segment(
    root: Root,
    plans: Sequence[StagePlan],
    todo: Mapping[str, Sequence[int]],
    reduced: Mapping[str, Reduced],
    placement: PlacementConfig,
    seconds: Mapping[int, float],
    run: str,
) -> SegmentResult:
    """Runs the stages of a segment as one Ray Data plan over the partitions that any of them has to do, the longest first, so that none
    of them is left for the end. Raises SetupError where Ray itself fails."""
    import ray.data

    partitions = {partition for plan in plans for partition in todo[plan.name]}
    rows = [as_row(partition, None) for partition in sorted(partitions, key=lambda number: (-seconds.get(number, 0.0), number))]
    context = ray.data.DataContext.get_current()
    _settings(context)
    ledger, log = RayLedger(), logs.settings()
    plans = [replace(plan, nodes=nodes_for(plan)) for plan in plans]
    data = ray.data.from_items(rows, override_num_blocks=len(rows))
    for plan in plans:
        own, made = frozenset(todo[plan.name]), reduced.get(plan.name, Reduced())
        data = _with_stage(data, plan, placement, len(own), (root, plan, made, placement, own, run, ledger, log))
    found: queue.SimpleQueue[Any] = queue.SimpleQueue()
    is_over = threading.Event()
    consumer = threading.Thread(target=_consume, args=(data, found, is_over), daemon=True, name="plan")
    consumer.start()
    try:
        return _collect(found, ledger, placement.stalled_s)
    finally:
        is_over.set()
        execution.end()
        consumer.join(_END_S)
        context.custom_execution_callback_classes.remove(execution.Execution)  # what else this process does with Ray Data is not ours


def _settings(context: Any) -> None:
    context.execution_no_progress_timeout_s = -1  # a partition may take hours; items have deadlines of their own
    context.max_consecutive_actor_init_deaths = _INIT_DEATHS
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # An actor holds one partition at a time, so a pool is fully used at 1.0; Ray's own mark of 1.75 would never let it grow.
    context.autoscaling_config.actor_pool_util_upscaling_threshold = 1.0
    context.custom_execution_callback_classes.append(execution.Execution)
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # progress is read from the manifests; errors are raised


def _consume(data: Any, found: "queue.SimpleQueue[Any]", is_over: threading.Event) -> None:
    """Runs the plan; puts each partition's error or None, at last the plan's end or what ended it. In a thread of its own: who waits in
    Ray cannot look whether anything still happens. is_over: nobody waits for more; leaving the rows ends the plan."""
    try:
        for row in _rows(data):
            found.put(as_error(row))
            if is_over.is_set():
                return
        found.put(_END)
    except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits for it
        found.put(error)


def _rows(data: Any) -> Iterator[dict[str, Any]]:
    """As `iter_rows`, which for each row sends all that it knows of the plan to an actor for statistics: a fifth of the driver's time."""
    import ray

    for bundle in data.iter_internal_ref_bundles():
        for block in ray.get([entry.ref for entry in bundle.blocks]):
            yield from block.to_pylist()


def _collect(found: "queue.SimpleQueue[Any]", ledger: RayLedger, stalled_s: float) -> SegmentResult:
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
