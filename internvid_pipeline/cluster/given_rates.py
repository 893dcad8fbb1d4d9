"""Rates out of a file, for stages that have not run yet or not on the machines that are planned."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import Field

from internvid_pipeline.cluster.machines import read_yaml
from internvid_pipeline.config import Section, validated
from internvid_pipeline.config.presets import configs_dir
from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.engine.rates import Rates, StageRate, reads_media, reads_per_partition
from internvid_pipeline.errors import UsageError


class GivenRate(Section):
    """One stage, per hour of source video."""

    worker_s: float = Field(ge=0, description="Seconds of one worker.")
    cpus: float | None = Field(default=None, gt=0, description="CPUs that it holds meanwhile; default: what the config gives it.")
    gpus: float | None = Field(default=None, ge=0, description="GPUs that it holds meanwhile; default: what the config gives it.")
    items: float = Field(default=0, ge=0, description="Inputs of the stage.")
    size_mb: float = Field(default=0, ge=0, description="Megabytes stored.")
    files_per_partition: float = Field(default=1, ge=0, description="Files stored for a partition, manifests apart.")
    reads_per_item: float | None = Field(default=None, ge=0, description="Requests for media per input; default: 1 where rows have media.")
    basis: Literal["measured", "assumed"] = Field(description="Whether somebody measured this, or it is a guess.")
    source: str = Field(min_length=3, description="Where the figures come from: benchmark, date, machine; or why one may assume them.")


class GivenRates(Section):
    """A rates file."""

    hours_per_video: float | None = Field(default=None, gt=0, description="Mean length of a source video.")
    videos_per_partition: float | None = Field(default=None, ge=1, description="Sources in a partition.")
    stages: dict[str, GivenRate] = Field(description="By name of the stage.")


def load_rates(path: str) -> GivenRates:
    """The rates at `path`, or the shipped ones of that bare name. Raises UsageError."""
    file = Path(path).expanduser()
    if not file.is_file() and "/" not in path:
        file = configs_dir() / "cluster" / f"{path}.yaml"
    return validated(GivenRates, read_yaml(file, path, "rates"), path)


def with_given(plans: list[StagePlan], measured: Rates, given: GivenRates | None) -> Rates:
    """The measured rates, with those of the file in the place of, or beside, them. A file may know more stages than the plan has: one
    whose name is misspelt shows as a stage without a rate. Raises UsageError where no name fits."""
    if given is None:
        return measured
    names = [plan.name for plan in plans]
    if given.stages and not set(given.stages) & set(names):
        raise UsageError(f"the rates are of {', '.join(given.stages)}, but the stages of this config are {', '.join(names)}")
    own = {rate.stage: rate for rate in measured.stages}
    own |= {plan.name: _rate(plan, given.stages[plan.name]) for plan in plans if plan.name in given.stages}
    return replace(
        measured,
        stages=tuple(own[name] for name in names if name in own),
        missing=tuple(name for name in names if name not in own),
        hours_per_video=given.hours_per_video or measured.hours_per_video,
        videos_per_partition=given.videos_per_partition or measured.videos_per_partition,
    )


def _rate(plan: StagePlan, given: GivenRate) -> StageRate:
    return StageRate(
        stage=plan.name,
        worker_s=given.worker_s,
        cpus=plan.resources.cpus if given.cpus is None else given.cpus,
        gpus=plan.resources.gpus if given.gpus is None else given.gpus,
        items=given.items,
        size_bytes=given.size_mb * 1e6,
        files_per_partition=given.files_per_partition,
        reads_per_partition=reads_per_partition(plan),
        reads_per_item=float(reads_media(plan)) if given.reads_per_item is None else given.reads_per_item,
        needs_reduce=plan.is_barrier,
        max_workers=plan.max_workers,
        basis="given" if given.basis == "measured" else "assumed",
        source=given.source,
    )
