"""The config of a data set: pydantic models with each default, bound and meaning written once, here or in the stage it belongs to."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Section(BaseModel):
    """Base of all parts of the config: unknown keys are refused, values cannot be changed after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceConfig(Section):
    """Where the videos come from and how they are cut into partitions."""

    path: str = Field(
        default="",
        description="A folder (searched with its subfolders), a glob, a video file, or a list file of paths: .txt (one a line), .csv, "
        ".jsonl, .parquet (column path, file, video, uri or url; further columns are kept as metadata).",
    )
    extensions: tuple[str, ...] = Field(
        default=("mp4", "mkv", "webm", "mov", "avi", "flv", "wmv", "ts", "m4v", "mpg", "mpeg", "m2ts", "mts", "3gp", "ogv", "asf", "vob"),
        description="File endings that count as videos in a folder. A glob or a list file takes whatever it names.",
    )
    partition_videos: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="Most videos in a partition, which is what one worker does at a time; default: a sixteenth of the new input, "
        "at most 32.",
    )
    partition_mb: int = Field(
        default=2000,
        ge=1,
        description="Most megabytes of video in a partition, unless one video alone is larger; size stands for seconds, which are not "
        "known yet.",
    )


class StagePlacement(Section):
    """Workers and resources of one stage. Nothing here changes results, so nothing here is part of a fingerprint."""

    workers: int | None = Field(
        default=None, ge=1, le=10_000, description="Most workers; default: as many as the machine or cluster has room for."
    )
    cpus: float | None = Field(default=None, gt=0, le=1024, description="CPUs of one worker; default: the stage's own need.")
    gpus: float | None = Field(
        default=None, ge=0, le=64, description="GPUs of one worker, fractions allowed; default: the stage's own need."
    )
    memory_mb: int | None = Field(default=None, ge=64, description="A worker that holds more is ended; default: the stage's own bound.")
    batch_size: int | None = Field(default=None, ge=1, le=100_000, description="Items per call of the model; default: the stage's own.")
    load_threads: int | None = Field(default=None, ge=1, le=256, description="Items loaded ahead; default: the stage's own.")
    deadline_factor: float = Field(default=1.0, gt=0, le=1000, description="Multiplies the time that one item may take.")


class PlacementConfig(Section):
    """Where and how work is done; never what comes out."""

    ray_address: str = Field(
        default="local", description="`local`: an embedded Ray of this process; `auto`: the cluster that this job runs on; or host:port."
    )
    workers: int | None = Field(default=None, ge=1, le=10_000, description="Most workers of each stage that does not set its own.")
    isolate: bool = Field(default=True, description="Run each stage's worker in a process of its own that may die; false for a debugger.")
    partition_attempts: int = Field(
        default=3, ge=1, le=100, description="How often a partition is tried when storage or the machine fails it."
    )
    stages: Mapping[str, StagePlacement] = Field(
        default_factory=dict, description="Per stage: workers, cpus, gpus, memory_mb, batch_size, load_threads, deadline_factor."
    )

    def of(self, stage: str) -> StagePlacement:
        """Placement of a stage, its workers filled in from the common value."""
        own = self.stages.get(stage, StagePlacement())
        return own if own.workers is not None else own.model_copy(update={"workers": self.workers})


class DatasetConfig(Section):
    """A data set: what goes in, which stages it passes, in order, and where it lies."""

    name: str = Field(
        default="dataset",
        description="Name of the data set: letters, digits, dot, dash, underscore.",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$",
    )
    root: str = Field(default="", description="Where the data set lies: a folder or an fsspec URI (s3://bucket/prefix).")
    source: SourceConfig = Field(default_factory=SourceConfig, description="The input videos.")
    stages: Mapping[str, Any] = Field(description="The stages in order: name (or module:Class) and that stage's fields.")
    placement: PlacementConfig = Field(default_factory=PlacementConfig, description="Workers and resources; outside every fingerprint.")
    max_failed_ratio: float = Field(
        default=0.05, ge=0, le=1, description="A run ends with status 1 when more than this share of any stage's inputs failed."
    )

    @field_validator("stages")
    @classmethod
    def _some_stages(cls, stages: Mapping[str, Any]) -> Mapping[str, Any]:
        if not stages:
            raise ValueError("no stages; name at least one, such as import_videos")
        return stages
