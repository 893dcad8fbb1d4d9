"""The plan: each stage with its fingerprint, the tables it reads, and what it needs. Building it reads and writes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from internvid_pipeline.config import DatasetConfig, StagePlacement, fingerprint_of, result_fields
from internvid_pipeline.errors import UsageError
from internvid_pipeline.records import SourceRecord
from internvid_pipeline.registry import build_stage, build_stages
from internvid_pipeline.stage import Resources, Stage
from internvid_pipeline.storage import layout


@dataclass(frozen=True)
class StagePlan:
    """One stage of a plan. It can be pickled: workers build the stage from `key` and `fields`.

    key: entry in the config. fields: the stage's resolved config as plain data. made_from: what the fingerprint was made from.
    reads: folder whose rows are the inputs, None for the sources. joins: folders of the joined tables, by record type.
    nodes: machines that may run its workers, as the engine finds them.
    """

    key: str
    name: str
    fields: Mapping[str, Any]
    fingerprint: str
    made_from: Mapping[str, Any]
    reads: str | None
    joins: Mapping[type, tuple[str, ...]]
    needs_reduce: bool
    publish_dir: str | None
    resources: Resources
    min_workers: int
    max_workers: int | None
    custom: Mapping[str, float]
    deadline_factor: float
    dataset: str = ""
    nodes: int = 1
    gather_partitions: int = 0

    @property
    def folder(self) -> str:
        """Where this stage's results lie below the root."""
        return layout.stage_folder(self.name, self.fingerprint)

    @property
    def is_barrier(self) -> bool:
        """True where the stages before must be done with more than the partition at hand."""
        return self.needs_reduce or self.gather_partitions > 0

    @property
    def needs(self) -> dict[str, float]:
        """What one worker takes, by the names that Ray gives to resources."""
        return {"CPU": self.resources.cpus, "GPU": self.resources.gpus, **self.custom}

    @property
    def upstream(self) -> tuple[str, ...]:
        """Folders of all tables that this stage reads."""
        joined = [folder for folders in self.joins.values() for folder in folders]
        return tuple(dict.fromkeys(([self.reads] if self.reads else []) + joined))

    def build(self) -> Stage[Any, Any, Any]:
        """The stage itself, set up nowhere yet."""
        return build_stage(self.key, self.fields)


def build_plan(config: DatasetConfig, num_partitions: int) -> list[StagePlan]:
    """The stages of a config in order. `num_partitions` goes into the fingerprint of stages that look at all partitions at once.
    Raises UsageError where a stage reads a table that no stage before it writes."""
    plans: list[StagePlan] = []
    producers: dict[type, list[StagePlan]] = {}
    for key, stage in zip(config.stages, build_stages(config), strict=True):
        plan = replace(_plan_stage(key, stage, producers, config.placement.of(stage.name), num_partitions), dataset=config.name)
        plans.append(plan)
        # A stage that reads and writes one table (a filter) takes the place of what it read.
        superseded = [] if stage.reads is stage.writes else producers.get(stage.writes, [])
        producers[stage.writes] = [*superseded, plan]
    return plans


def _plan_stage(
    key: str, stage: Stage[Any, Any, Any], producers: Mapping[type, Sequence[StagePlan]], placement: StagePlacement, num_partitions: int
) -> StagePlan:
    read: list[StagePlan] = []
    if stage.reads is not SourceRecord:
        read = [_producers(stage, stage.reads, producers)[-1]]
    joined = {kind: tuple(_producers(stage, kind, producers)) for kind in stage.joins}
    joined |= {kind: tuple(producers.get(kind, ())) for kind in stage.optional_joins}
    made_from: dict[str, Any] = {
        "stage": key,
        "version": stage.version,
        "config": result_fields(stage.config),
        "reads": {plan.name: plan.fingerprint for plan in [*read, *(plan for plans in joined.values() for plan in plans)]},
    }
    if stage.needs_reduce:
        made_from["partitions"] = num_partitions
    return StagePlan(
        key=key,
        name=stage.name,
        fields=stage.config.model_dump(mode="json"),
        fingerprint=fingerprint_of(made_from),
        made_from=made_from,
        reads=read[0].folder if read else None,
        joins={kind: tuple(plan.folder for plan in plans) for kind, plans in joined.items()},
        needs_reduce=stage.needs_reduce,
        publish_dir=stage.publish_dir,
        resources=_placed(stage.resources, placement),
        min_workers=placement.min_workers,
        max_workers=placement.max_workers,
        custom=dict(placement.custom),
        deadline_factor=placement.deadline_factor,
        gather_partitions=stage.gather_partitions,
    )


def _producers(stage: Stage[Any, Any, Any], kind: type, producers: Mapping[type, Sequence[StagePlan]]) -> Sequence[StagePlan]:
    found = producers.get(kind)
    if not found:
        raise UsageError(
            f"stages: {stage.name} reads {kind.__name__} rows, but no stage before it writes them; add one, or move it further down"
        )
    return found


def _placed(own: Resources, placement: StagePlacement) -> Resources:
    names = ("cpus", "gpus", "memory_mb", "batch_size", "load_threads")
    return replace(own, **{name: value for name in names if (value := getattr(placement, name)) is not None})


def select_stages(plans: Sequence[StagePlan], until: str | None, only: str | None) -> list[StagePlan]:
    """The part of a plan that `--until` or `--only` asks for. Raises UsageError for an unknown stage or both at once."""
    if until and only:
        raise UsageError("--until and --only exclude each other; give one of them")
    names = [plan.name for plan in plans]
    wanted = until or only
    if wanted and wanted not in names:
        raise UsageError(f"no stage {wanted!r} in this config; its stages are {', '.join(names)}")
    if only:
        return [plan for plan in plans if plan.name == only]
    return list(plans[: names.index(until) + 1]) if until else list(plans)
