"""A run from config to report: inputs become partitions, the plan is cut into segments, an engine runs them, manifests tell the rest."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType

from internvid_pipeline.config import DatasetConfig, to_yaml
from internvid_pipeline.engine import inline
from internvid_pipeline.engine.appends import SourceIndex
from internvid_pipeline.engine.attempt import ErrorKind, PartitionError, SegmentResult, deferred_error
from internvid_pipeline.engine.gather import open_groups, without_groups_of
from internvid_pipeline.engine.intake import Intake
from internvid_pipeline.engine.lengths import with_measured
from internvid_pipeline.engine.ownership import own_runs
from internvid_pipeline.engine.parts import is_due, is_whole, utc_now
from internvid_pipeline.engine.plan import StagePlan, build_plan, select_stages
from internvid_pipeline.engine.progress import Observer, watched
from internvid_pipeline.engine.publish import withdraw_superseded
from internvid_pipeline.engine.reduce import reduced_of
from internvid_pipeline.engine.report import StageStatus
from internvid_pipeline.engine.segments import cut_segments, segment_lines
from internvid_pipeline.engine.shard_index import write_shard_index
from internvid_pipeline.engine.status import StatusReader
from internvid_pipeline.errors import UsageError
from internvid_pipeline.registry import build_stages, resolved
from internvid_pipeline.storage import Root, check_root_uri, done_partitions, finish_removals, layout, read_part
from internvid_pipeline.storage.inventory import list_state

ENGINES = ("ray", "inline")
_PASSES = 2
_log = logging.getLogger(__name__)


@dataclass
class RunReport:
    """What a run did. new_partitions: partitions appended by it. errors: partitions that could not be run (the run can be resumed);
    those with deferred inputs are not among them. root: of the data set, or of that which collects its inputs where it got no further."""

    statuses: list[StageStatus]
    num_partitions: int
    new_partitions: int
    errors: list[PartitionError] = field(default_factory=list)
    root: str = ""

    @property
    def deferred(self) -> int:
        """Inputs that are to be tried again."""
        return sum(status.deferred for status in self.statuses)

    @property
    def is_complete(self) -> bool:
        """Every stage has done all its partitions."""
        return all(status.partitions_done == status.partitions for status in self.statuses)

    def exit_status(self, max_failed_ratio: float) -> int:
        """3 where partitions could not be run or inputs are deferred, 1 where a stage failed on too large a share of its inputs, else 0."""
        if self.errors or self.deferred:
            return 3
        return 1 if any(status.failed_ratio > max_failed_ratio for status in self.statuses) else 0


def open_root(config: DatasetConfig) -> Root:
    """The config's root. Raises UsageError."""
    return Root(check_root_uri(config.root))


def run_dataset(
    config: DatasetConfig,
    engine: str = "ray",
    until: str | None = None,
    only: str | None = None,
    observer: Observer | None = None,
    takes_inputs: bool = True,
) -> RunReport:
    """Runs what is missing of a data set. Everything that is done stays as it is; a run that is stopped anywhere is resumed by calling
    this again. takes_inputs False: new inputs of the source are left for another run. Raises UsageError, StorageError, SetupError."""
    if engine not in ENGINES:
        raise UsageError(f"no engine {engine!r}; choose one of {', '.join(ENGINES)}")
    root = open_root(config)
    build_stages(config)  # a wrong config is found before anything is written
    select_stages(build_plan(config, 0), until, only)
    intake = Intake(config, root) if takes_inputs else None
    collecting = intake.collecting if intake else None
    collected = None if collecting is None else run_dataset(collecting, engine, observer=observer)
    if collected is not None and not collected.is_complete:
        _log.warning("not all queries and channels could be asked: what they show is taken when they have been; run again")
        return collected
    root.check_writable()
    root.clean_staging()
    finish_removals(root)
    index = SourceIndex(root)
    fresh = intake.append(index) if intake else []
    partitions = index.read().partitions
    plans = build_plan(config, len(partitions))
    chosen = select_stages(plans, until, only)
    _write_description(root, config, plans)
    reader = StatusReader(root, chosen, partitions, writes_summaries=True)
    with watched(reader, observer):
        errors = _run_plan(root, config, chosen, index, engine)
    for plan in chosen:
        write_shard_index(root, plan)
    statuses = [*(collected.statuses if collected is not None else ()), *reader.read()]
    return RunReport(statuses, len(partitions), len(fresh), errors, config.root)


def _write_description(root: Root, config: DatasetConfig, plans: Sequence[StagePlan]) -> None:
    """The resolved config, and for each fingerprint what it was made from."""
    root.replace_bytes(layout.DATASET_FILE, to_yaml(resolved(config)).encode())
    for plan in plans:
        path = layout.fingerprint_file(plan.folder)
        if not root.exists(path):
            root.put_bytes_if_absent(path, json.dumps(plan.made_from, indent=1, ensure_ascii=False).encode())


def partitions_to_do(root: Root, plan: StagePlan, partitions: Sequence[int]) -> list[int]:
    """Partitions that the stage has not done."""
    done = done_partitions(root, plan.folder)
    return [partition for partition in partitions if partition not in done]


def _run_plan(root: Root, config: DatasetConfig, plans: Sequence[StagePlan], index: SourceIndex, engine: str) -> list[PartitionError]:
    """Runs the plan over all partitions, and once more over those with deferred inputs whose time has come by then: their site may be
    open again. Returns what could not be run; what is deferred is not among it."""
    errors: list[PartitionError] = []
    for plan in plans:
        open_groups(root, plan, index.ranges)
    run = _Run(root, config, plans, index, engine)
    for _ in range(_PASSES):
        result = run.run_pass(errors)
        errors += [error for error in result.errors if error.kind is not ErrorKind.DEFERRED]
        if result.gave_up or all(error.kind is not ErrorKind.DEFERRED for error in result.errors):
            break
    return errors


@dataclass
class _Run:
    """A run of a plan. name: which owns the stages until a later one does; empty until there is something to do."""

    root: Root
    config: DatasetConfig
    plans: Sequence[StagePlan]
    index: SourceIndex
    engine: str
    name: str = ""

    def run_pass(self, earlier: Sequence[PartitionError]) -> SegmentResult:
        """Runs the plan segment by segment. Where workers could no longer be placed (nodes are gone), what is left is cut anew. earlier:
        what went wrong in a pass before; those partitions are left alone."""
        placement, partitions = self.config.placement, self.index.partitions
        result = SegmentResult(waiting_partitions(self.root, self.plans, partitions))
        seconds = with_measured(self.root, self.plans, self.index.seconds)
        lines: list[str] = []
        stalled_s = 0.0
        while _is_anything_to_do(self.root, self.plans, partitions, [*earlier, *result.errors]):  # else Ray is not even started
            module, stop = _started(self.engine, placement.ray_address)
            try:
                self.name = self.name or own_runs(self.root, self.plans)
                segments = cut_segments(self.plans, module.machines(self.plans, placement.wait_for_nodes_s, stalled_s))
                if lines != (lines := segment_lines(segments)):
                    _log.warning("%s", "; ".join(lines) or "all stages run at once")
                lost = [*earlier, *result.errors]
                found = _run_segments(self.root, self.config, segments, partitions, seconds, module, lost, self.name)
            finally:
                stop()
            result.errors += found.errors
            result.gave_up = found.gave_up
            if not found.stalled:
                break
            stalled_s = placement.stalled_s
            _log.warning("no worker has worked for %g s: the plan is cut anew for what the cluster has now", stalled_s)
        return result


def waiting_partitions(root: Root, plans: Sequence[StagePlan], partitions: Sequence[int]) -> list[PartitionError]:
    """Partitions that are not done in some stage and of which nothing may be tried yet: all that is open in them is deferred."""
    found = []
    now = utc_now()
    for plan in plans:
        _, parts = list_state(root, plan.folder)
        is_one = is_whole(plan, plan.build()) if parts else False
        for partition in sorted(parts.keys() & set(partitions)):
            part = read_part(root, plan.folder, partition, parts[partition])
            due = [is_due(one, now) for one in part.deferred]
            if due and not (all(due) if is_one else any(due)):
                found.append(deferred_error(plan, part))
    return found


def _is_anything_to_do(root: Root, plans: Sequence[StagePlan], partitions: Sequence[int], lost: Sequence[PartitionError]) -> bool:
    numbers = {error.partition for error in lost}
    for plan in plans:
        if plan.needs_reduce and numbers:
            return False
        if without_groups_of(root, plan, partitions_to_do(root, plan, partitions), numbers):
            return True
    return False


def _started(engine: str, ray_address: str) -> tuple[ModuleType, Callable[[], None]]:
    if engine == "inline":
        return inline, lambda: None
    from internvid_pipeline.engine import ray

    ray.start(ray_address)
    return ray, ray.stop


def _run_segments(
    root: Root,
    config: DatasetConfig,
    segments: Sequence[Sequence[StagePlan]],
    partitions: Sequence[int],
    seconds: Mapping[int, float],
    module: ModuleType,
    earlier: Sequence[PartitionError],
    run: str,
) -> SegmentResult:
    """What went wrong, and whether the last segment stalled. earlier: what went wrong before; those partitions are left alone.
    run: name of this run, which owns the stages until a later one does."""
    result = SegmentResult()
    for segment in segments:
        lost = {error.partition for error in [*earlier, *result.errors]}
        todo = {plan.name: without_groups_of(root, plan, partitions_to_do(root, plan, partitions), lost) for plan in segment}
        if not any(todo.values()):
            continue
        if lost and any(plan.needs_reduce for plan in segment):
            break  # a percentile over a part of the set would be another percentile
        reduced = {plan.name: reduced_of(root, plan, partitions) for plan in segment if todo[plan.name]}
        for plan in segment:
            if todo[plan.name]:
                withdraw_superseded(root, plan)
        found = module.run_segment(root, segment, todo, reduced, config.placement, seconds, run)
        result.errors += found.errors
        result.gave_up, result.stalled = found.gave_up, found.stalled
        if found.stalled or found.gave_up:
            break
    return result
