"""Checking a data set against itself: manifests, files, tables, media references, and the samples in the shards."""

import hashlib
import io
import json
import tarfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any

from internvid_pipeline.engine.attempts import superseded_names
from internvid_pipeline.engine.gather import group_of
from internvid_pipeline.engine.parts import read_kept
from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.engine.read_items import read_rows
from internvid_pipeline.engine.status import read_summary
from internvid_pipeline.engine.sums import sum_partitions
from internvid_pipeline.errors import StorageError
from internvid_pipeline.records import (
    ClipRecord,
    MediaRef,
    SampleRecord,
    ScanRecord,
    SelectionRecord,
    VideoRecord,
    schema_of,
)
from internvid_pipeline.storage import Manifest, Root, StoredFile, layout, read_arrow, read_manifest, read_table
from internvid_pipeline.storage.inventory import list_state

_PARTS = ("json", "mp4", "txt")
_EXTRAS = (".vtt", ".jpg", ".webp", ".png", ".flac")  # what write_shards adds where it is asked to


@dataclass(frozen=True, slots=True)
class Problem:
    """where: path of the file, and the item in it. what: what is wrong, in words."""

    where: str
    what: str


@dataclass
class ValidationReport:
    """What was looked at and what is wrong. warnings: true but not wrong, such as rows made by stand-ins."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    checked_partitions: int = 0
    checked_rows: int = 0
    checked_samples: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return asdict(self)


def validate_dataset(root: Root, plans: Sequence[StagePlan], partitions: Sequence[int], read_media: bool) -> ValidationReport:
    """Checks every done partition of every stage, and the parts of those that are not. `read_media` reads all bytes and compares hashes;
    without it sizes are compared."""
    report = ValidationReport()
    stand_ins: dict[str, int] = {}
    states = {plan.folder: list_state(root, plan.folder) for plan in plans}
    done = {folder: state[0] for folder, state in states.items()}
    writes = {plan.folder: plan.build().writes for plan in plans}
    seen: dict[str, dict[str, int]] = {plan.folder: {} for plan in plans}
    superseded = superseded_names(root, plans)
    captions = _Captions(root)
    for partition in sorted(partitions):
        sizes: dict[str, int] = {}  # of the files that this partition's manifests name: rows may point at those of a stage before
        for plan in plans:
            if partition not in done[plan.folder]:
                if partition in states[plan.folder][1]:
                    report.problems += _check_parts(root, plan, partition, writes[plan.folder], read_media)
                continue
            report.checked_partitions += 1
            try:
                manifest = read_manifest(root, plan.folder, partition)
            except (StorageError, FileNotFoundError) as error:
                report.problems.append(Problem(layout.manifest(plan.folder, partition), str(error)))
                continue
            sizes |= {file.path: file.size_bytes for file in manifest.files}
            report.problems += _check_files(root, manifest, read_media)
            rows = _check_table(root, manifest, writes[plan.folder], report)
            report.problems += _check_rows(manifest, rows, seen[plan.folder], sizes, superseded.get(partition, frozenset()))
            stand_ins[plan.name] = stand_ins.get(plan.name, 0) + sum(bool(getattr(row, "is_stand_in", False)) for row in rows)
            if writes[plan.folder] is SampleRecord:
                report.checked_samples += len(rows)
                report.problems += _check_samples(root, rows, captions.of(plan, partition))
    for plan in plans:
        report.problems += _check_summary(root, plan, done[plan.folder])
    report.warnings = [f"{count} rows of {name} were made by stand-ins, not by models" for name, count in stand_ins.items() if count]
    return report


def _check_files(root: Root, manifest: Manifest, read_media: bool) -> Iterator[Problem]:
    if manifest.inputs != manifest.emitted + manifest.dropped + manifest.failed:
        yield Problem(f"{manifest.stage} partition {manifest.partition}", f"{manifest.inputs} inputs are not the sum of its outcomes")
    for file in manifest.files:
        try:
            size = root.size_bytes(file.path)
        except StorageError as error:  # a path that leaves the root, or a store that will not say
            yield Problem(layout.manifest(f"{manifest.stage}/{manifest.fingerprint}", manifest.partition), str(error))
            continue
        if size is None:
            yield Problem(file.path, "is missing")
        elif size != file.size_bytes:
            yield Problem(file.path, f"has {size} bytes, its manifest says {file.size_bytes}")
        elif read_media and _sha256(root, file) != file.sha256:
            yield Problem(file.path, "does not have the sha256 of its manifest")


def _sha256(root: Root, file: StoredFile) -> str:
    digest = hashlib.sha256()
    step = 2**24
    for offset in range(0, file.size_bytes, step):
        digest.update(root.read_media(MediaRef(uri=file.path, offset_bytes=offset, size_bytes=min(step, file.size_bytes - offset))))
    return digest.hexdigest()


def _check_table(root: Root, manifest: Manifest, record_type: type, report: ValidationReport) -> list[Any]:
    path = manifest.path_of("rows")
    try:
        if path is None or root.size_bytes(path) is None:
            return []  # reported with the files
    except StorageError:
        return []  # so is this
    try:
        if not read_arrow(root, path).schema.equals(schema_of(record_type)):
            report.problems.append(Problem(path, f"does not have the schema of {record_type.__name__}"))
        rows: list[Any] = read_table(root, path, record_type)
    except StorageError as error:
        report.problems.append(Problem(path, str(error)))
        return []
    report.checked_rows += len(rows)
    if len(rows) != manifest.rows:
        report.problems.append(Problem(path, f"has {len(rows)} rows, its manifest says {manifest.rows}"))
    return rows


def _is_of_list(row: Any) -> bool:
    """A list that has grown asks for a video again, in a later partition, for its further clips."""
    return (isinstance(row, VideoRecord) and bool(row.clip_requests)) or (isinstance(row, ScanRecord) and not row.detectors)


def _check_parts(root: Root, plan: StagePlan, partition: int, record_type: type, read_media: bool) -> Iterator[Problem]:
    """Parts of a partition that is not done: their files are whole, their tables hold the rows that they tell of each input."""
    try:
        kept = read_kept(root, plan.folder, partition)
        for part in kept.parts:
            yield from _check_files(root, part, read_media)
            if part.inputs != len(part.done):
                where = layout.manifest(plan.folder, partition, part.part)
                yield Problem(where, f"tells of {len(part.done)} finished inputs and counts {part.inputs}")
        kept.results(root, record_type)
    except (StorageError, FileNotFoundError) as error:
        yield Problem(f"{plan.name} partition {partition}", str(error))


def _check_rows(
    manifest: Manifest, rows: Sequence[Any], seen: dict[str, int], sizes: Mapping[str, int], superseded: Collection[str]
) -> Iterator[Problem]:
    """superseded: names of inputs that were taken again; what became of them before they failed stands in the later partition too."""
    for row in rows:
        where = f"{manifest.stage} partition {manifest.partition}, {row.item_id}"
        if row.item_id in seen and not _is_of_list(row):
            yield Problem(where, f"stands in partition {seen[row.item_id]} too")
        if row.item_id not in superseded:
            seen[row.item_id] = manifest.partition
        if isinstance(row, ClipRecord) and not (
            row.start_frame < row.end_frame and row.start_s < row.end_s and row.num_frames == row.end_frame - row.start_frame
        ):
            yield Problem(where, f"its span is not one: frames [{row.start_frame}, {row.end_frame}), {row.start_s} s to {row.end_s} s")
        for ref in _refs(row):
            if not ref.uri.startswith("/") and "://" not in ref.uri:
                end = (ref.offset_bytes or 0) + (ref.size_bytes or 0)
                if ref.uri not in sizes or end > sizes[ref.uri]:
                    yield Problem(where, f"points at bytes up to {end} of {ref.uri}, which no manifest of the partition holds")


def _check_summary(root: Root, plan: StagePlan, done: set[int]) -> Iterator[Problem]:
    """The stored sums, where they are of partitions that are there, are those of the manifests."""
    found = read_summary(root, plan)
    if found is None or not found[1] <= done:
        return
    try:
        status, _ = sum_partitions(root, plan.folder, sorted(found[1]))
    except StorageError:
        return  # reported with the manifests
    for name in ("inputs", "emitted", "dropped", "failed", "rows", "size_bytes"):
        if getattr(status, name) != getattr(found[0], name):
            told = f"{name} {getattr(found[0], name)}, the manifests {getattr(status, name)}"
            yield Problem(layout.summary_file(plan.folder), f"says {told}; delete it")


def _refs(value: Any) -> Iterator[MediaRef]:
    if isinstance(value, MediaRef):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from _refs(part)
    elif is_dataclass(value):
        for one in fields(value):
            yield from _refs(getattr(value, one.name))


class _Captions:
    """The captions that the selections chose, by item; of the last group of partitions that was asked for."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._group: Sequence[int] = range(0)
        self._found: dict[str, str] = {}

    def of(self, plan: StagePlan, partition: int) -> Mapping[str, str]:
        """Of the partitions whose clips a partition of shards may hold."""
        if partition not in self._group and plan.reads is not None:
            try:
                self._group = group_of(self._root, plan, partition) if plan.gather_partitions else [partition]
                rows = [row for member in self._group for row in read_rows(self._root, plan.reads, member, SelectionRecord)]
            except (FileNotFoundError, StorageError):
                rows = []  # reported where that table is looked at
            self._found = {row.item_id: row.caption for row in rows}
        return self._found


def _check_samples(root: Root, rows: Sequence[SampleRecord], captions: Mapping[str, str]) -> Iterator[Problem]:
    """Each sample's bytes are a piece of tar with exactly its three parts, and these are of one clip. captions: by item."""
    for row in rows:
        where = f"{row.media.uri}, {row.clip_id}"
        try:
            members = _tar_parts(root.read_media(row.media))
        except (FileNotFoundError, StorageError, tarfile.TarError) as error:
            yield Problem(where, f"cannot be read: {error}")
            continue
        names = [f"{row.clip_id}.{part}" for part in _PARTS]
        there = sorted(name for name, _ in members if not name.endswith(_EXTRAS))
        if there != names:
            yield Problem(where, f"holds {', '.join(there) or 'nothing'}; a sample is {', '.join(names)}")
            continue
        yield from _check_content(where, row, dict(members))
        if captions.get(row.item_id, "") != dict(members)[names[2]].decode(errors="replace"):
            yield Problem(where, "its txt is not the caption that the selection chose")


def _tar_parts(data: bytes) -> list[tuple[str, bytes]]:
    """Members of a piece of tar, which lacks the zero blocks that end a whole one."""
    with tarfile.open(fileobj=io.BytesIO(data + bytes(2 * tarfile.BLOCKSIZE)), mode="r:") as tar:
        return [(member.name, tar.extractfile(member).read()) for member in tar.getmembers()]  # type: ignore[union-attr]


def _check_content(where: str, row: SampleRecord, parts: dict[str, bytes]) -> Iterator[Problem]:
    try:
        metadata = json.loads(parts[f"{row.clip_id}.json"])
    except ValueError as error:
        yield Problem(where, f"its json is none: {error}")
        return
    if metadata.get("clip_id") != row.clip_id:
        yield Problem(where, f"its json is of {metadata.get('clip_id')}")
    if metadata.get("caption") != parts[f"{row.clip_id}.txt"].decode(errors="replace"):
        yield Problem(where, "its txt is not the caption in its json")
    if hashlib.sha256(parts[f"{row.clip_id}.mp4"]).hexdigest() != metadata.get("sha256"):
        yield Problem(where, "its mp4 does not have the sha256 in its json")
