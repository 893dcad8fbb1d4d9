"""The config of a data set: pydantic models with each default, bound and meaning written once, here or in the stage it belongs to."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class Section(BaseModel):
    """Base of all parts of the config: unknown keys are refused, values cannot be changed after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceConfig(Section):
    """Where the videos come from and how they are cut into partitions."""

    path: str = Field(
        default="",
        description="A folder (searched with its subfolders), a glob, a video file, or a list file of paths: .txt (one a line), .csv, "
        ".jsonl, .parquet (column path, file, video, uri or url; further columns are kept as metadata). A published list of clips "
        "(InternVid .jsonl or .parquet, Panda-70M .csv, OpenVid .csv; .gz too) is recognised by its columns; clips are then cut at its "
        "times.",
    )
    list_name: str = Field(default="", description="Name of a published list, kept with its captions and scores; default: its file's name.")
    list_base: str = Field(
        default="", description="Folder or address that file names of a published list are relative to; default: its own."
    )
    id_url: str = Field(
        default="https://www.youtube.com/watch?v={id}", description="Address of a video of which a list gives only the id, with {id} in it."
    )
    id_extractor: str = Field(default="Youtube", description="yt-dlp's name of the site behind `id_url`; with the id it is the video's id.")
    ids: str | tuple[str, ...] = Field(default=(), description="Video ids, or a file of them (one a line, or .csv, .jsonl).")
    urls: str | tuple[str, ...] = Field(default=(), description="Addresses of videos, or a file of them, one a line.")
    queries: str | tuple[str, ...] = Field(
        default=(),
        description="Words to search for in any language, or a file of them: .txt, one a line, or .jsonl with `query` and `language`, or "
        "InternVid's queries.jsonl (both its English and its Chinese words).",
    )
    per_query: int = Field(default=20, ge=1, le=100_000, description="Videos per query. InternVid does not state its own; 836 on average.")
    search: str = Field(default="ytsearch", pattern=r"^[A-Za-z0-9:_]+$", description="yt-dlp's prefix of the site to search.")
    channels: str | tuple[str, ...] = Field(default=(), description="Addresses of channels and playlists, or a file of them.")
    collect: Mapping[str, Any] = Field(default_factory=dict, description="Fields of collect_videos, which asks for queries and channels.")
    exclude_ids: str | tuple[str, ...] = Field(
        default=(),
        description="A file of ids to leave out, or several (.txt, .csv, .jsonl, any of them .gz), such as those of published data sets. "
        "Compared before anything is asked for; of plain addresses only YouTube's show an id.",
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
        description="Most megabytes of video in a partition, unless one video alone is larger; of files size stands for seconds, which are "
        "not known yet.",
    )
    partition_hours: float = Field(
        default=4.0,
        gt=0,
        description="Most hours of video in a partition, unless one video alone is longer; counted where a list (column duration or "
        "duration_s) or the site that was searched tells how long videos are. 32 of InternVid's videos last three hours.",
    )


class StagePlacement(Section):
    """Workers and resources of one stage. Nothing here changes results, so nothing here is part of a fingerprint."""

    min_workers: int = Field(default=1, ge=1, le=10_000, description="Workers that are kept from the start of the stage to its end.")
    max_workers: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="Most workers; default: placement.workers, else as many as there is room for. It may be more than a cluster has "
        "now: workers are added when nodes join.",
    )
    cpus: float | None = Field(default=None, gt=0, le=1024, description="CPUs of one worker; default: the stage's own need.")
    gpus: float | None = Field(
        default=None, ge=0, le=64, description="GPUs of one worker, fractions below 1 allowed; default: the stage's own need."
    )
    custom: Mapping[str, float] = Field(
        default_factory=dict, description="Ray's custom resources that one worker takes, by name: {fast_disk: 1}. On Ray only."
    )
    memory_mb: int | None = Field(default=None, ge=64, description="A worker that holds more is ended; default: the stage's own bound.")
    batch_size: int | None = Field(default=None, ge=1, le=100_000, description="Items per call of the model; default: the stage's own.")
    load_threads: int | None = Field(default=None, ge=1, le=256, description="Items loaded ahead; default: the stage's own.")
    deadline_factor: float = Field(default=1.0, gt=0, le=1000, description="Multiplies the time that one item may take.")

    @model_validator(mode="after")
    def _fits(self) -> "StagePlacement":
        if self.max_workers is not None and self.max_workers < self.min_workers:
            raise ValueError(f"max_workers {self.max_workers} is less than min_workers {self.min_workers}")
        if self.gpus is not None and self.gpus > 1 and self.gpus != int(self.gpus):
            raise ValueError(f"gpus {self.gpus:g}: a worker has a part of one GPU (below 1) or whole ones")
        return self


class PlacementConfig(Section):
    """Where and how work is done; never what comes out."""

    ray_address: str = Field(
        default="local", description="`local`: an embedded Ray of this process; `auto`: the cluster that this job runs on; or host:port."
    )
    workers: int | None = Field(default=None, ge=1, le=10_000, description="Most workers of each stage that does not set max_workers.")
    isolate: bool = Field(default=True, description="Run each stage's worker in a process of its own that may die; false for a debugger.")
    partition_attempts: int = Field(
        default=3, ge=1, le=100, description="How often a partition is tried when storage or the machine fails it."
    )
    max_deferrals: int = Field(
        default=5,
        ge=1,
        le=1000,
        description="An input that its site has put off this often (429, bot check, 5xx, no connection) is a failure; each try is hours "
        "apart where the site asks for it.",
    )
    deferral_s: float = Field(
        default=60.0,
        ge=0,
        le=86_400,
        description="How long an input is put off where its site does not say; doubles with each time, up to an hour.",
    )
    partition_deaths: int = Field(
        default=5,
        ge=1,
        le=1000,
        description="How often in one run a partition may take its worker's supervisor with it (node gone, memory killer) before it is "
        "left undone. A notice of pre-emption (SIGTERM) does not count.",
    )
    wait_for_nodes_s: float = Field(
        default=0.0,
        ge=0,
        le=86_400,
        description="How long to wait for nodes on which one worker of every stage fits; an autoscaling cluster is asked for them. "
        "0: say at once what is missing.",
    )
    stalled_s: float = Field(
        default=300.0,
        ge=1,
        le=86_400,
        description="When no worker has worked for so long (nodes are gone, the pools no longer fit together), the plan is cut anew for "
        "what the cluster has then.",
    )
    scratch_mb: int | None = Field(
        default=None,
        ge=1,
        description="Most megabytes of scratch files on a node, over all its workers; default: what leaves a twentieth of the disk free.",
    )
    stages: Mapping[str, StagePlacement] = Field(
        default_factory=dict,
        description="Per stage: min_workers, max_workers, cpus, gpus, custom, memory_mb, batch_size, load_threads, deadline_factor.",
    )

    def of(self, stage: str) -> StagePlacement:
        """Placement of a stage, its most workers filled in from the common value."""
        own = self.stages.get(stage, StagePlacement())
        if own.max_workers is not None or self.workers is None:
            return own
        return own.model_copy(update={"max_workers": max(self.workers, own.min_workers)})


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
