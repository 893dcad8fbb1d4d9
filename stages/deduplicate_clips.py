"""Doubles over the whole set: exact (one sha256), near (perceptual hashes of frames), semantic (vectors of an image-text model; SemDeDup).

Nothing is deleted: each clip's row says in whose place another is kept, and `select_clips` decides (`where: duplicate_of is null`).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field

from internvid_pipeline.config import Section
from internvid_pipeline.errors import UsageError
from internvid_pipeline.media.picture_hash import HASH_BITS, mirrored
from internvid_pipeline.records import ClipHashRecord, DuplicateRecord, EmbeddingRecord, schema_of
from internvid_pipeline.selection.doubles import Doubles, Link
from internvid_pipeline.selection.near_duplicates import HashedFrames, NearSettings, Pairs, near_pairs
from internvid_pipeline.selection.semantic_duplicates import semantic_duplicates
from internvid_pipeline.stage import Emit, Item, Outcome, Resources, SetTables, Stage
from internvid_pipeline.storage import read_parquet, write_arrow

_PARTITIONS_PER_FILE = 1000
_CODE_BYTES = HASH_BITS // 8
_EXCLUDED = "excluded:"


class NearConfig(Section):
    """Near doubles: the same pictures, encoded, scaled, letter-boxed or cut out differently."""

    max_distance: int = Field(
        default=20,
        ge=0,
        le=HASH_BITS // 2,
        description="Bits of 128 in which the hashes of two frames may differ; different pictures differ in about 64 (our benchmark: "
        "benchmarks/README.md).",
    )
    min_share: float = Field(
        default=0.6, gt=0, le=1, description="Share of the frames of one clip that have a counterpart in the other (our benchmark)."
    )
    mirrored: bool = Field(default=True, description="Find copies with left and right exchanged.")
    same_video: bool = Field(
        default=False, description="Compare clips of one video with each other: these are different moments, alike where the camera rests."
    )


class SemanticConfig(Section):
    """Semantic doubles, by the table of embed_frames."""

    min_cosine: float = Field(
        default=0.96, gt=0, lt=1, description="A clip goes that is more similar than this to one before it: SemDeDup's 1 - epsilon."
    )
    clips_per_cluster: int = Field(
        default=2000, ge=2, description="Clusters are made for so many clips each; SemDeDup: 50,000 clusters of LAION-440M, 8,800 each."
    )


class DeduplicateClipsConfig(Section):
    """Which doubles are looked for, and against what."""

    near: NearConfig | None = Field(default_factory=NearConfig, description="null: not looked for.")
    semantic: SemanticConfig | None = Field(default=None, description="null: not looked for; {} with its defaults. Needs embed_frames.")
    exclude: tuple[str, ...] = Field(
        default=(),
        description="Sets that no clip may be a double of (a test set): folders or files of Parquet as hash_clips (and embed_frames) write "
        "them. Only their names are part of the fingerprint: give changed ones new names.",
    )


class DeduplicateClips(Stage[DeduplicateClipsConfig, ClipHashRecord, DuplicateRecord]):
    """One row per clip. Of several doubles the longest is kept, of equally long ones (to half a second) the one with the most pixels."""

    name = "deduplicate_clips"
    config_type = DeduplicateClipsConfig
    reads = ClipHashRecord
    optional_joins = (EmbeddingRecord,)
    writes = DuplicateRecord
    needs_reduce = True
    whole_partition = True

    @property
    def resources(self) -> Resources:
        return Resources(cpus=0.25, load_threads=1)

    def reduce(self, tables: SetTables, folder: Path) -> dict[str, float]:
        work = folder / ".work"
        work.mkdir()
        clips = _Clips()
        for table in _excluded_tables(self.config.exclude, ClipHashRecord):
            clips.add(table, None)
        for partition in tables.partitions:
            clips.add(tables.table(partition, ClipHashRecord), partition)
        doubles = Doubles(clips.ranks)
        doubles.add(clips.exact())
        if self.config.near is not None:
            doubles.add(_near(clips, doubles, self.config.near))
        if self.config.semantic is not None:
            self._semantic(tables, clips, doubles, self.config.semantic, work)
        for start, table in clips.rows(doubles):
            write_arrow(table, folder / _file_of(start))
        return {"clips": len(clips.ids), "duplicates": sum(not doubles.is_kept(item) for item in range(len(clips.ids)))}

    def _semantic(self, tables: SetTables, clips: "_Clips", doubles: Doubles, config: SemanticConfig, work: Path) -> None:
        numbers = {clip_id: number for number, clip_id in enumerate(clips.ids)}
        file: _VectorFile | None = None
        items: list[int] = []
        for table in _embedding_tables(tables, self.config.exclude):
            ids, vectors = clip_vectors(table)
            wanted = [row for row, clip_id in enumerate(ids) if clip_id in numbers and doubles.is_kept(numbers[clip_id])]
            if wanted:
                file = file or _VectorFile(work / "vectors", vectors.shape[1])
                if vectors.shape[1] != file.width:
                    raise UsageError(f"vectors of {vectors.shape[1]} and of {file.width} numbers: all must be of one model")
                file.add(vectors[wanted])
                items += [numbers[ids[row]] for row in wanted]
        if file is None:
            if clips.ids:
                raise UsageError("deduplicate_clips: semantic doubles need the table of embed_frames; put it before, or set semantic: null")
            return
        first = np.array([clips.partitions[item] is None for item in items])
        num_clusters = -(-len(items) // config.clips_per_cluster)
        for row, other, cosine in semantic_duplicates(file.read(), config.min_cosine, num_clusters, first):
            doubles.put(items[row], Link(items[other], "semantic", cosine))

    def process(self, batch: Sequence[Item[ClipHashRecord]]) -> list[Outcome[DuplicateRecord]]:
        if not batch:
            return []
        ref = self.worker.reduced_files[_file_of(batch[0].partition)]
        table = read_parquet(self.worker.root.read_media(ref), ref.uri).filter(pc.field("partition") == batch[0].partition)
        found = {row.pop("clip_id"): row for row in table.drop_columns("partition").to_pylist()}
        nothing = dict.fromkeys(("duplicate_of", "duplicate_group", "duplicate_method", "duplicate_similarity"))
        return [
            Emit((DuplicateRecord(clip_id=item.record.clip_id, video_id=item.record.video_id, **found.get(item.record.clip_id, nothing)),))
            for item in batch
        ]


class _VectorFile:
    """Unit vectors on local disk in half precision, so that memory does not grow with their number."""

    def __init__(self, path: Path, width: int) -> None:
        self._path, self.width, self.size = path, width, 0
        self._file = open(path, "wb")  # noqa: SIM115 - open until all are written

    def add(self, vectors: np.ndarray[Any, np.dtype[np.float32]]) -> None:
        """Appends float32 [n, width]."""
        self._file.write(np.ascontiguousarray(vectors, np.float16).tobytes())
        self.size += len(vectors)

    def read(self) -> np.ndarray[Any, np.dtype[np.float16]]:
        """[size, width], mapped."""
        self._file.close()
        return np.memmap(self._path, np.float16, "r", shape=(self.size, self.width))


class _Clips:
    """All clips with their hashes, as arrays. partitions: None for those of an exclusion set, which come first."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.partitions: list[int | None] = []
        self.ranks: list[tuple[object, ...]] = []
        self._videos: list[str] = []
        self._sha256: list[str | None] = []
        self._codes: dict[str, list[bytes]] = {"whole": [], "inner": []}
        self._owners: list[np.ndarray[Any, np.dtype[np.int64]]] = []

    def add(self, table: pa.Table, partition: int | None) -> None:
        start = len(self.ids)
        ids = table["clip_id"].to_pylist()
        prefix = _EXCLUDED if partition is None else ""
        self.ids += [prefix + clip_id for clip_id in ids]
        self.partitions += [partition] * len(ids)
        self._videos += [prefix + video for video in table["video_id"].to_pylist()]
        self._sha256 += table["sha256"].to_pylist()
        sizes = zip(table["duration_s"].to_pylist(), table["num_pixels"].to_pylist(), ids, strict=True)
        self.ranks += [(partition is not None, -round(2 * duration), -pixels, clip_id) for duration, pixels, clip_id in sizes]
        frames = table["frames"].combine_chunks()
        lengths = pc.list_value_length(frames).fill_null(0).to_numpy(zero_copy_only=False)
        self._owners.append(np.repeat(np.arange(start, start + len(ids)), lengths))
        flat = frames.flatten()
        for name, codes in self._codes.items():
            codes.append(bytes.fromhex("".join(flat.field(name).to_pylist())))

    def exact(self) -> Iterator[tuple[int, int, float, str]]:
        """Pairs with one sha256: each with the best of them."""
        best: dict[str, int] = {}
        for item in sorted(range(len(self.ids)), key=lambda number: (*self.ranks[number], number)):
            sha256 = self._sha256[item]
            if sha256:
                kept = best.setdefault(sha256, item)
                if kept != item:
                    yield item, kept, 1.0, "exact"

    def frames(self, doubles: Doubles) -> tuple[HashedFrames, list[int]]:
        """Hashes of the clips that are kept so far, and these clips' numbers."""
        kept = np.array([doubles.is_kept(item) for item in range(len(self.ids))], bool)
        owners = np.concatenate(self._owners) if self._owners else np.empty(0, np.int64)
        wanted = kept[owners]
        whole, inner = (np.frombuffer(b"".join(self._codes[name]), np.uint8).reshape(-1, _CODE_BYTES)[wanted] for name in self._codes)
        numbers = np.flatnonzero(kept)
        new_number = np.cumsum(kept) - 1
        _, videos = np.unique(np.array(self._videos, object)[numbers].astype(str), return_inverse=True)
        return HashedFrames(whole, inner, new_number[owners[wanted]], videos.astype(np.int64)), numbers.tolist()

    def rows(self, doubles: Doubles) -> Iterator[tuple[int, pa.Table]]:
        """For every thousand partitions, the rows of the clips that belong to a group."""
        links = {item: link for item in range(len(self.ids)) if (link := doubles.link(item)) is not None}
        groups = {link.to for link in links.values()}
        files: dict[int, list[dict[str, Any]]] = {}
        for item, partition in enumerate(self.partitions):
            if partition is not None:
                rows = files.setdefault(partition // _PARTITIONS_PER_FILE * _PARTITIONS_PER_FILE, [])
                if item in links or item in groups:
                    rows.append({"partition": partition, "clip_id": self.ids[item], **self._fate(item, links.get(item))})
        schema = pa.schema([pa.field("partition", pa.int64()), *(one for one in schema_of(DuplicateRecord) if one.name != "video_id")])
        for start, rows in files.items():
            yield start, pa.Table.from_pylist(rows, schema=schema)

    def _fate(self, item: int, link: Link | None) -> dict[str, Any]:
        kept = self.ids[item if link is None else link.to]
        return {
            "duplicate_of": None if link is None else kept,
            "duplicate_group": kept,
            "duplicate_method": None if link is None else link.method,
            "duplicate_similarity": None if link is None else link.similarity,
        }


def _near(clips: _Clips, doubles: Doubles, config: NearConfig) -> Iterator[tuple[int, int, float, str]]:
    frames, numbers = clips.frames(doubles)
    settings = NearSettings(config.max_distance, config.min_share, config.mirrored, config.same_video)
    pairs: Pairs = near_pairs(frames, settings, mirrored(np.zeros((1, _CODE_BYTES), np.uint8))[0])
    for one, other, similarity, is_mirrored in zip(pairs.first, pairs.second, pairs.similarity, pairs.is_mirrored, strict=True):
        yield numbers[one], numbers[other], float(similarity), "mirrored" if is_mirrored else "near"


def clip_vectors(table: pa.Table) -> tuple[list[str], np.ndarray[Any, np.dtype[np.float32]]]:
    """Clip ids and one unit vector each, float32 [n, width]: the mean of the frames' vectors, scaled. table: rows of EmbeddingRecord."""
    ids: list[str] = table["clip_id"].to_pylist()
    width = table["width"][0].as_py() if ids else 0
    means = [
        np.frombuffer(data, "<f2").reshape(-1, width).astype(np.float32).mean(axis=0) if len(data) else np.zeros(width, np.float32)
        for data in table["vectors"].to_pylist()
    ]
    vectors = np.stack(means) if means else np.empty((0, 0), np.float32)
    return ids, vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def _embedding_tables(tables: SetTables, exclude: Sequence[str]) -> Iterator[pa.Table]:
    for table in _excluded_tables(exclude, EmbeddingRecord):
        names = pa.array([_EXCLUDED + name for name in table["clip_id"].to_pylist()], pa.string())
        yield table.set_column(table.schema.get_field_index("clip_id"), "clip_id", names)
    for partition in tables.partitions:
        yield tables.table(partition, EmbeddingRecord)


def _excluded_tables(places: Sequence[str], record_type: type) -> Iterator[pa.Table]:
    """Tables of a record type among files and folders. Raises UsageError where a place holds none that we can read at all."""
    schema = schema_of(record_type)
    for place in places:
        path = Path(place)
        files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
        if not files or not all(file.is_file() for file in files):
            raise UsageError(f"exclude: {place!r} is no Parquet file and no folder that holds some")
        for file in files:
            try:
                if set(schema.names) <= set(pq.read_schema(file).names):
                    yield pq.ParquetFile(file).read(columns=schema.names, use_threads=False).select(schema.names)
            except (OSError, pa.ArrowInvalid) as error:
                raise UsageError(f"exclude: {file} is not readable as Parquet: {error}") from error


def _file_of(partition: int) -> str:
    return f"duplicates-{partition // _PARTITIONS_PER_FILE:05d}.parquet"
