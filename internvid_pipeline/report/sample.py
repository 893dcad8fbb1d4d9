"""What the distributions are counted from: all partitions of a small set, some of a large one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from internvid_pipeline.engine import StageStatus
from internvid_pipeline.records import CaptionRecord, ClipRecord, ScoreRecord, SelectionRecord, VideoRecord, schema_of
from internvid_pipeline.report.reading import LOSSES, SetReader, drawn_partitions, record_type

MOST_CLIPS = 500_000
_CLIPS = ("clip_id", "video_id", "duration_s", "fps", "width_px", "height_px", "has_audio", "cut_mode", "audio_mode", "motion", "luma_mean")
_VIDEOS = ("video_id", "duration_s", "width_px", "height_px", "language", "licence", "country", "categories", "title")
_CAPTIONS = ("clip_id", "scale", "text", "language", "model", "model_commit", "is_stand_in")
_SCORES = ("clip_id", "scorer", "value", "model", "model_commit", "is_stand_in")
_SELECTIONS = ("clip_id", "selection", "caption", "caption_scale")
_SPEECH = ("clip_id", "language", "source", "text", "is_stand_in")


@dataclass(frozen=True)
class Sample:
    """Columns of the tables over the drawn partitions, each with a column `partition` more. num_partitions: of how many they were drawn.
    losses: columns kind (`dropped` or `failed`), stage, item_id, part_of, name (the reason or the class), message. speech: None where the
    set has no such table."""

    partitions: tuple[int, ...]
    num_partitions: int
    clips: pa.Table
    videos: pa.Table
    captions: pa.Table
    scores: pa.Table
    selections: pa.Table
    losses: pa.Table
    speech: pa.Table | None

    @property
    def is_whole(self) -> bool:
        """True where nothing was left aside."""
        return len(self.partitions) == self.num_partitions

    @property
    def words(self) -> str:
        """What the distributions were counted from, for people."""
        what = f"{self.clips.num_rows:,} clips of {self.videos.num_rows:,} videos"
        if self.is_whole:
            return f"All {what}."
        return (
            f"A sample: {what}, all of {len(self.partitions):,} partitions drawn from {self.num_partitions:,} by a hash of their numbers. "
            "Clips of a video stand together in a partition, so figures of videos vary more than as many single draws would."
        )


def read_sample(reader: SetReader, statuses: Sequence[StageStatus], most_clips: int = MOST_CLIPS) -> Sample:
    """Reads whole partitions until there are about `most_clips` clips; 0: all. Memory follows from that number, some 500 bytes a clip.
    Raises StorageError."""
    everything = list(reader.partitions)
    folders = reader.folders(ClipRecord)
    num_clips = sum(status.rows for status in statuses if f"{status.stage}/{status.fingerprint}" in folders)
    share = most_clips / num_clips if most_clips and num_clips > most_clips else 1.0
    chosen = drawn_partitions(everything, share)
    parts = list(reader.over(chosen, lambda partition: _part(reader, partition)))
    joined = [pa.concat_tables(tables) for tables in zip(*parts, strict=True)] if parts else list(_part(reader, -1))
    kind = record_type("SpeechRecord")
    has_speech = kind is not None and bool(reader.folders(kind))
    clips, videos, captions, scores, selections, losses, speech = joined
    told = speech if has_speech else None
    return Sample(tuple(chosen), len(everything), clips, videos, captions, scores, selections, losses, told)


def _speech(reader: SetReader, partition: int) -> pa.Table:
    kind = record_type("SpeechRecord")
    if kind is None:
        return pa.table({})
    there = schema_of(kind).names
    return reader.table(kind, partition, [name for name in _SPEECH if name in there])


def _part(reader: SetReader, partition: int) -> tuple[pa.Table, ...]:
    wanted: tuple[tuple[type, tuple[str, ...]], ...] = (
        (ClipRecord, _CLIPS),
        (VideoRecord, _VIDEOS),
        (CaptionRecord, _CAPTIONS),
        (ScoreRecord, _SCORES),
        (SelectionRecord, _SELECTIONS),
    )
    tables = [_numbered(reader.table(kind, partition, columns), partition) for kind, columns in wanted]
    return (*tables, _numbered(losses_of(reader, partition), partition), _numbered(_speech(reader, partition), partition))


def losses_of(reader: SetReader, partition: int) -> pa.Table:
    """Drops and failures of all stages in one partition, in the columns that `Sample.losses` names."""
    found = [_LOSSES.empty_table()]
    for plan in reader.plans:
        for kind, kind_type in LOSSES:
            table = reader.losses(plan, partition, kind, kind_type)
            if table.num_rows:
                names = table["reason"] if kind == "drops" else table["error_class"]
                parts = table["part_of"] if kind == "drops" else pa.nulls(table.num_rows, pa.string())
                label = pa.array(["dropped" if kind == "drops" else "failed"] * table.num_rows)
                columns = [label, table["stage"], table["item_id"], parts, names, table["message"]]
                found.append(pa.table(columns, schema=_LOSSES))
    return pa.concat_tables(found)


_LOSSES = pa.schema([(name, pa.string()) for name in ("kind", "stage", "item_id", "part_of", "name", "message")])


def _numbered(table: pa.Table, partition: int) -> pa.Table:
    return table.append_column("partition", pa.array([partition] * table.num_rows, pa.int64()))


def numbers_of(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """The finite values of a numeric column, float64 [n]."""
    values = pc.drop_null(column.cast(pa.float64())).to_numpy()
    return np.asarray(values[np.isfinite(values)], np.float64)
