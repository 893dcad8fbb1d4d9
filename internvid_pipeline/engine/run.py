"""A run from config to report: inputs become partitions, the plan is cut into segments, an engine runs them, manifests tell the rest."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType

from internvid_pipeline.config import DatasetConfig, to_yaml
from internvid_pipeline.engine import inline
from internvid_pipeline.engine.appends import SourceIndex
from internvid_pipeline.engine.attempt import PartitionError
from internvid_pipeline.engine.gather import open_groups, without_groups_of
from internvid_pipeline.engine.inputs import list_inputs
from internvid_pipeline.engine.ownership import own_runs
from internvid_pipeline.engine.partitions import append_partitions
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
from internvid_pipeline.storage import Root, check_root_uri, done_partitions, finish_removals, layout

ENGINES = ("ray", "inline")
_log = logging.getLogger(__name__)


@dataclass
class RunReport:
    """What a run did. new_partitions: partitions appended by it. errors: partitions that could not be run (the run can be resumed)."""

    statuses: list[StageStatus]
    num_partitions: int
    new_partitions: int
    errors: list[PartitionError] = field(default_factory=list)

    def exit_status(self, max_failed_ratio: float) -> int:
        """3 where partitions could not be run, 1 where a stage failed on too large a share of its inputs, else 0."""
        if self.errors:
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
) -> RunReport:
    """Runs what is missing of a data set. Everything that is done stays as it is; a run that is stopped anywhere is resumed by calling
    this again. Raises UsageError, StorageError, SetupError."""
    if engine not in ENGINES:
        raise UsageError(f"no engine {engine!r}; choose one of {', '.join(ENGINES)}")
    root = open_root(config)
    build_stages(config)  # a wrong config is found before anything is written
    select_stages(build_plan(config, 0), until, only)
    inputs = list_inputs(config.source, exclude=root.folder)
    root.check_writable()
    root.clean_staging()
    finish_removals(root)
    index = SourceIndex(root)
    fresh = append_partitions(root, inputs, config.source, index)
    partitions = index.read().partitions
    plans = build_plan(config, len(partitions))
    chosen = select_stages(plans, until, only)
    _write_description(root, config, plans)
    reader = StatusReader(root, chosen, partitions, writes_summaries=True)
    with watched(reader, observer):
        errors = _run_plan(root, config, chosen, index, engine)
    for plan in chosen:
        write_shard_index(root, plan)
    return RunReport(reader.read(), len(partitions), len(fresh), errors)


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
    """Runs the plan segment by segment. Where workers could no longer be placed (nodes are gone), what is left is cut anew."""
    errors: list[PartitionError] = []
    sizes = index.sizes()
    for plan in plans:
        open_groups(root, plan, index.ranges)
    lines: list[str] = []
    run = ""
    while any(partitions_to_do(root, plan, index.partitions) for plan in plans):  # else Ray is not even started
        module, stop = _started(engine, config.placement.ray_address)
        try:
            run = run or own_runs(root, plans)
            segments = cut_segments(plans, module.machines(plans, config.placement.wait_for_nodes_s))
            if lines != (lines := segment_lines(segments)):
                _log.warning("%s", "; ".join(lines) or "all stages run at once")
            found, is_stalled = _run_segments(root, config, segments, index.partitions, sizes, module, errors, run)
        finally:
            stop()
        errors += found
        if not is_stalled:
            break
        _log.warning("no worker has worked for %g s: the plan is cut anew for what the cluster has now", config.placement.stalled_s)
    return errors


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
    sizes: Mapping[int, int],
    module: ModuleType,
    earlier: Sequence[PartitionError],
    run: str,
) -> tuple[list[PartitionError], bool]:
    """What went wrong, and whether the last segment stalled. earlier: what went wrong before; those partitions are left alone.
    run: name of this run, which owns the stages until a later one does."""
    errors: list[PartitionError] = []
    for segment in segments:
        lost = {error.partition for error in [*earlier, *errors]}
        todo = {plan.name: without_groups_of(root, plan, partitions_to_do(root, plan, partitions), lost) for plan in segment}
        if not any(todo.values()):
            continue
        if lost and any(plan.needs_reduce for plan in segment):
            break  # a percentile over a part of the set would be another percentile
        reduced = {plan.name: reduced_of(root, plan, partitions) for plan in segment if todo[plan.name]}
        for plan in segment:
            if todo[plan.name]:
                withdraw_superseded(root, plan)
        result = module.run_segment(root, segment, todo, reduced, config.placement, sizes, run)
        errors += result.errors
        if result.stalled:
            return errors, True
        if result.gave_up:
            break
    return errors, False
