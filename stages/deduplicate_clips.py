"""Doubles over the whole set: exact (one sha256), near (perceptual hashes of frames), semantic (vectors of an image-text model; SemDeDup).

Nothing is deleted: each clip's row says in whose place another is kept, and `select_clips` decides (`where: duplicate_of is null`).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from internvid_pipeline.config import Section
from internvid_pipeline.errors import UsageError
from internvid_pipeline.media.picture_hash import HASH_BITS, mirrored
from internvid_pipeline.records import ClipHashRecord, DuplicateRecord, EmbeddingRecord
from internvid_pipeline.selection.clip_vectors import VectorFile, clip_vectors, excluded_tables
from internvid_pipeline.selection.compared_clips import EXCLUDED, ComparedClips
from internvid_pipeline.selection.doubles import Doubles, Link
from internvid_pipeline.selection.near_duplicates import NearSettings, Pairs, near_pairs
from internvid_pipeline.selection.semantic_duplicates import semantic_duplicates
from internvid_pipeline.stage import Emit, Item, Outcome, Resources, SetTables, Stage
from internvid_pipeline.storage import read_parquet, write_arrow

_PARTITIONS_PER_FILE = 1000
_CODE_BYTES = HASH_BITS // 8


class NearConfig(Section):
    """Near doubles: the same pictures, encoded, scaled, letter-boxed or cut out differently."""

    max_distance: int = Field(
        default=20,
        ge=0,
        le=HASH_BITS // 2,
        description="Bits of 128 in which the hashes of two frames may differ; different pictures differ in about 64 (our benchmark: "
        "benchmarks/README.md). Frames somewhat further apart are compared by the bits that stay the same until the next kept frame.",
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
    version = 2
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
        clips = ComparedClips(_CODE_BYTES)
        for table in excluded_tables(self.config.exclude, ClipHashRecord):
            clips.add(table, None)
        for partition in tables.partitions:
            clips.add(tables.table(partition, ClipHashRecord), partition)
        doubles = Doubles(clips.ranks)
        doubles.add(clips.exact())
        if self.config.near is not None:
            doubles.add(_near(clips, doubles, self.config.near))
        if self.config.semantic is not None:
            self._semantic(tables, clips, doubles, self.config.semantic, work)
        for start, table in clips.rows(doubles, _PARTITIONS_PER_FILE):
            write_arrow(table, folder / _file_of(start))
        return {"clips": len(clips.ids), "duplicates": sum(not doubles.is_kept(item) for item in range(len(clips.ids)))}

    def _semantic(self, tables: SetTables, clips: ComparedClips, doubles: Doubles, config: SemanticConfig, work: Path) -> None:
        numbers = {clip_id: number for number, clip_id in enumerate(clips.ids)}
        file: VectorFile | None = None
        items: list[int] = []
        for table in _embedding_tables(tables, self.config.exclude):
            ids, vectors = clip_vectors(table)
            wanted = [row for row, clip_id in enumerate(ids) if clip_id in numbers and doubles.is_kept(numbers[clip_id])]
            if wanted:
                file = file or VectorFile(work / "vectors", vectors.shape[1])
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


def _near(clips: ComparedClips, doubles: Doubles, config: NearConfig) -> Iterator[tuple[int, int, float, str]]:
    frames, numbers = clips.frames(doubles)
    settings = NearSettings(config.max_distance, config.min_share, config.mirrored, config.same_video)
    pairs: Pairs = near_pairs(frames, settings, mirrored(np.zeros((1, _CODE_BYTES), np.uint8))[0])
    for one, other, similarity, is_mirrored in zip(pairs.first, pairs.second, pairs.similarity, pairs.is_mirrored, strict=True):
        yield numbers[one], numbers[other], float(similarity), "mirrored" if is_mirrored else "near"


def _embedding_tables(tables: SetTables, exclude: Sequence[str]) -> Iterator[pa.Table]:
    for table in excluded_tables(exclude, EmbeddingRecord):
        names = pa.array([EXCLUDED + name for name in table["clip_id"].to_pylist()], pa.string())
        yield table.set_column(table.schema.get_field_index("clip_id"), "clip_id", names)
    for partition in tables.partitions:
        yield tables.table(partition, EmbeddingRecord)


def _file_of(partition: int) -> str:
    return f"duplicates-{partition // _PARTITIONS_PER_FILE:05d}.parquet"
