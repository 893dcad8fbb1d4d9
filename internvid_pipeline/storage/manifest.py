"""The manifest of a partition: written last, put-if-absent. The partition is done when it exists, and only then.

A partition of which some inputs are deferred (their site asks to come back later) has *parts* instead: a part's manifest, put-if-absent
under the next free number, answers for the inputs that one attempt finished, and says which are still open. A part never changes. The
state of the partition is its parts in their order: an input belongs to the first part that has it, what is open stands in the last.
"""

import datetime
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from internvid_pipeline.errors import StorageError
from internvid_pipeline.storage import layout
from internvid_pipeline.storage.root import Root, checked_path

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that a manifest answers for. kind: `rows`, `drops`, `failures`, `media` or `published`."""

    kind: str
    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What became of one partition in one stage. inputs = emitted + dropped + failed. rows: rows emitted. dropped_parts: parts of
    emitted or dropped inputs that were left out. started_at, finished_at: UTC, ISO 8601. wall_s: seconds of work, waiting apart.
    video_s: seconds of video that the inputs stand for, 0 where no record tells. resources: cpus and gpus held during wall_s.
    rows_by_language: of rows that have a language."""

    stage: str
    fingerprint: str
    partition: int
    inputs: int
    emitted: int
    dropped: int
    failed: int
    rows: int
    dropped_parts: int
    drops_by_reason: Mapping[str, int]
    failures_by_class: Mapping[str, int]
    files: tuple[StoredFile, ...]
    started_at: str
    finished_at: str
    wall_s: float
    host: str
    versions: Mapping[str, str] = field(default_factory=dict)
    video_s: float = 0.0
    resources: Mapping[str, float] = field(default_factory=dict)
    rows_by_language: Mapping[str, int] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    def path_of(self, kind: str) -> str | None:
        """Path of the first file of a kind, None where there is none. Only of `media` and `published` there may be several."""
        return next((file.path for file in self.files if file.kind == kind), None)

    def to_json(self) -> bytes:
        """Readable JSON, keys in the order of the fields."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False).encode()


@dataclass(frozen=True, slots=True)
class DoneInput:
    """An input that a part answers for, and how many rows of the part's tables are its own, in the order of the tables."""

    item_id: str
    rows: int
    drops: int
    failures: int


@dataclass(frozen=True, slots=True)
class DeferredInput:
    """An input to be tried again. attempts: how often it was tried in vain. not_before: when it may be tried again, UTC, ISO 8601."""

    item_id: str
    error_class: str
    message: str
    attempts: int
    not_before: str


@dataclass(frozen=True, slots=True)
class PartManifest(Manifest):
    """What one attempt finished of a partition: counts and files are of `done` alone. deferred: all inputs of the partition that were
    open when it was written, whichever attempt put them off."""

    part: int = 0
    done: tuple[DoneInput, ...] = ()
    deferred: tuple[DeferredInput, ...] = ()


def _check_file(file: StoredFile, where: str) -> None:
    """A manifest may have been tampered with: none of its files may lie outside the root."""
    try:
        checked_path(file.path)
    except StorageError as error:
        raise StorageError(f"{where} names a file outside the data set: {error}") from error
    if not isinstance(file.size_bytes, int) or file.size_bytes < 0:
        raise StorageError(f"{where}: {file.path} has size_bytes {file.size_bytes!r}; it must be 0 or more")


def manifest_from_json(data: bytes, where: str) -> Manifest:
    """Raises StorageError where `data` is not a manifest of a version that we read."""
    try:
        return Manifest(**_fields(data, where))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(f"{where} is not a manifest: {error}") from error


def part_from_json(data: bytes, where: str) -> PartManifest:
    """As `manifest_from_json`, for the manifest of a part."""
    try:
        fields = _fields(data, where)
        done = tuple(DoneInput(**one) for one in fields.pop("done"))
        deferred = tuple(DeferredInput(**one) for one in fields.pop("deferred"))
        for one in deferred:
            _utc(one.not_before)
        return PartManifest(**fields, done=done, deferred=deferred)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(f"{where} is not the manifest of a part: {error}") from error


def _utc(time: str) -> datetime.datetime:
    moment = datetime.datetime.fromisoformat(time)
    if moment.tzinfo is None:
        raise ValueError(f"{time!r} has no time zone")
    return moment


def _fields(data: bytes, where: str) -> dict[str, Any]:
    raw: dict[str, Any] = json.loads(data)
    if raw["schema_version"] > SCHEMA_VERSION:
        raise StorageError(f"{where} has manifest version {raw['schema_version']}; this internvid reads up to {SCHEMA_VERSION}: upgrade it")
    files = tuple(StoredFile(**file) for file in raw["files"])
    for file in files:
        _check_file(file, where)
    return {**raw, "files": files}


def read_manifest(root: Root, folder: str, partition: int) -> Manifest:
    """The manifest of a partition under a stage's folder. Raises FileNotFoundError where the partition is not done."""
    path = layout.manifest(folder, partition)
    return manifest_from_json(root.read_bytes(path), f"{path} in {root.uri}")


def read_part(root: Root, folder: str, partition: int, part: int) -> PartManifest:
    """The manifest of one part. Raises FileNotFoundError where there is none."""
    path = layout.manifest(folder, partition, part)
    return part_from_json(root.read_bytes(path), f"{path} in {root.uri}")


def read_parts(root: Root, folder: str, partition: int) -> list[PartManifest]:
    """All parts of a partition, in order. Their numbers have no gaps: one look more than there are parts, and no listing of a folder
    that may have a million names."""
    parts: list[PartManifest] = []
    while True:
        try:
            parts.append(read_part(root, folder, partition, len(parts)))
        except FileNotFoundError:
            return parts


def done_partitions(root: Root, folder: str) -> set[int]:
    """Numbers of the partitions whose manifests exist under a stage's folder."""
    return layout.partitions_in(root.list_names(folder))
