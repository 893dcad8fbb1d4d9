"""What became of everything: counts per stage, read from the manifests alone."""

import datetime
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.errors import StorageError
from internvid_pipeline.records import DropRecord, FailureRecord
from internvid_pipeline.storage import Root, done_partitions, read_manifest, read_table
from internvid_pipeline.storage.manifest import SCHEMA_VERSION

BUCKET_S = 600  # rates are kept in pieces of ten minutes
_MOST_BUCKETS = 1008  # a week
_COUNTS = ("inputs", "emitted", "dropped", "failed", "rows", "dropped_parts")


@dataclass
class StageStatus:
    """One stage: partitions done of all, and inputs = emitted + dropped + failed over the done ones.

    rows_by_language: of rows that have a language. wall_s: seconds of work. video_s: seconds of video that the inputs stand for. cpu_s,
    gpu_s: wall_s times the CPUs and GPUs that the workers held. files: files of the done partitions, manifests apart. first_started_at,
    last_finished_at: UTC, by the workers' clocks. deferred: inputs of partitions that are not done which are to be tried again,
    deferred_by_class: why; next_try_at: when the first of them may be, UTC. What else of such a partition is finished counts when it is
    done. ready: partitions whose inputs are there; they are under way or wait for a worker, which manifests do not tell apart.
    recent: by ten minutes since 1970, [partitions, inputs, video_s, wall_s] that were finished in them.
    """

    stage: str
    fingerprint: str
    partitions: int
    partitions_done: int = 0
    inputs: int = 0
    emitted: int = 0
    dropped: int = 0
    failed: int = 0
    rows: int = 0
    dropped_parts: int = 0
    drops_by_reason: dict[str, int] = field(default_factory=dict)
    failures_by_class: dict[str, int] = field(default_factory=dict)
    rows_by_language: dict[str, int] = field(default_factory=dict)
    size_bytes: int = 0
    files: int = 0
    wall_s: float = 0.0
    video_s: float = 0.0
    cpu_s: float = 0.0
    gpu_s: float = 0.0
    first_started_at: str = ""
    last_finished_at: str = ""
    ready: int = 0
    deferred: int = 0
    deferred_by_class: dict[str, int] = field(default_factory=dict)
    next_try_at: str = ""
    recent: dict[int, list[float]] = field(default_factory=dict)

    @property
    def failed_ratio(self) -> float:
        """Share of the inputs that failed, 0 where there are none."""
        return self.failed / self.inputs if self.inputs else 0.0

    def add(self, manifest: Mapping[str, Any]) -> None:
        """Counts one more partition, given as the plain data of its manifest. Raises KeyError, TypeError where it is none."""
        self.partitions_done += 1
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + manifest[name])
        for totals, counts in (
            (self.drops_by_reason, manifest["drops_by_reason"]),
            (self.failures_by_class, manifest["failures_by_class"]),
            (self.rows_by_language, manifest.get("rows_by_language") or {}),
        ):
            for name, count in counts.items():
                totals[name] = totals.get(name, 0) + count
        for file in manifest["files"]:
            self.size_bytes += file["size_bytes"]
            self.files += 1
        wall_s, video_s, resources = manifest["wall_s"], manifest.get("video_s", 0.0), manifest.get("resources") or {}
        self.wall_s += wall_s
        self.video_s += video_s
        self.cpu_s += wall_s * resources.get("cpus", 0.0)
        self.gpu_s += wall_s * resources.get("gpus", 0.0)
        started, finished = manifest["started_at"], manifest["finished_at"]
        self.first_started_at = min(self.first_started_at, started) if self.first_started_at else started
        self.last_finished_at = max(self.last_finished_at, finished)
        bucket = self.recent.setdefault(_bucket(finished), [0, 0, 0.0, 0.0])
        for index, value in enumerate((1, manifest["inputs"], video_s, wall_s)):
            bucket[index] += value

    def merge(self, other: "StageStatus") -> None:
        """Adds the sums of another set of partitions of the same stage."""
        for name in ("partitions_done", *_COUNTS, "size_bytes", "files", "wall_s", "video_s", "cpu_s", "gpu_s"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for mine, theirs in (
            (self.drops_by_reason, other.drops_by_reason),
            (self.failures_by_class, other.failures_by_class),
            (self.rows_by_language, other.rows_by_language),
        ):
            for name, count in theirs.items():
                mine[name] = mine.get(name, 0) + count
        starts = [start for start in (self.first_started_at, other.first_started_at) if start]
        self.first_started_at = min(starts, default="")
        self.last_finished_at = max(self.last_finished_at, other.last_finished_at)
        for number, values in other.recent.items():
            self.recent[number] = [a + b for a, b in zip(self.recent.get(number, [0, 0, 0.0, 0.0]), values, strict=True)]
        for number in sorted(self.recent)[:-_MOST_BUCKETS]:
            del self.recent[number]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        data = asdict(self)
        del data["recent"]
        return {**data, **{name: round(data[name], 3) for name in ("wall_s", "video_s", "cpu_s", "gpu_s")}}


def _bucket(finished_at: str) -> int:
    return int(datetime.datetime.fromisoformat(finished_at).timestamp()) // BUCKET_S


def sum_manifests(status: StageStatus, contents: Iterable[tuple[str, bytes | None]], uri: str) -> Iterator[str]:
    """Adds manifests to a status; yields the paths of those that were there. Raises StorageError for one that is none."""
    for path, data in contents:
        if data is None:
            continue  # withdrawn since it was listed
        try:
            manifest = json.loads(data)
            version = manifest["schema_version"]
            if version <= SCHEMA_VERSION:
                status.add(manifest)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StorageError(f"{path} in {uri} is not a manifest: {error}") from error
        if version > SCHEMA_VERSION:
            raise StorageError(f"{path} in {uri} has manifest version {version}; this internvid reads up to {SCHEMA_VERSION}: upgrade it")
        yield path


def read_losses(
    root: Root, plan: StagePlan, kind: str, superseded: Mapping[int, Collection[str]] | None = None
) -> Iterator[tuple[int, DropRecord | FailureRecord]]:
    """Rows of the drops or failures tables (`kind`: "drops" or "failures") of a stage, with their partition. superseded: names of inputs
    that were taken again, by partition (`attempts.superseded_names`); what was lost of those is left out."""
    for partition in sorted(done_partitions(root, plan.folder)):
        path = read_manifest(root, plan.folder, partition).path_of(kind)
        if path is not None:
            former = (superseded or {}).get(partition, ())
            rows: Sequence[DropRecord | FailureRecord]
            rows = read_table(root, path, DropRecord) if kind == "drops" else read_table(root, path, FailureRecord)
            yield from ((partition, row) for row in rows if row.item_id not in former and getattr(row, "part_of", None) not in former)
