"""The tables of a set in a database on local disk: what filters, sliders and searches look at. Everything else is read when it is shown.

Clips with their scores and captions are joined by the same code as for `select_clips` (`selection.SetDatabase`), in the same order, so that
what is counted here is what that stage will keep.
"""

import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from internvid_pipeline.engine import StageStatus
from internvid_pipeline.errors import UsageError
from internvid_pipeline.records import CaptionRecord, ClipRecord, ScoreRecord, VideoRecord, schema_of
from internvid_pipeline.report.reading import SetReader, drawn_partitions, record_type
from internvid_pipeline.report.sample import losses_of
from internvid_pipeline.selection import SetDatabase, plain_columns, quoted

MOST_CLIPS = 2_000_000
BINS = 48
MEMORY_MB = 700
_LEFT_OUT = (
    "source_uri",
    *(f"video_{name}" for name in ("description", "metadata_json", "info_json", "tags", "queries", "formats", "source_uri")),
)
_SLIDERS = ("duration_s", "motion", "luma_mean", "height_px", "fps", "video_duration_s")  # beside the scorers
_TABLES = (ClipRecord, VideoRecord, CaptionRecord, ScoreRecord)
_BATCH = 64  # partitions put into the database at once


@dataclass(frozen=True)
class Slider:
    """A numeric column. low, high: its least and greatest value. step: width of a bin of its histogram."""

    column: str
    low: float
    high: float
    is_score: bool

    @property
    def step(self) -> float:
        return (self.high - self.low) / BINS or 1.0


class SetIndex:
    """Tables `rows` (a row per clip, with `has_caption`), `texts` (folded for searching), `lost`, `marked`."""

    def __init__(self, reader: SetReader, folder: Path, most_clips: int = MOST_CLIPS, memory_mb: int = MEMORY_MB) -> None:
        if not reader.folders(ClipRecord):
            raise UsageError("the config has no stage that makes clips; there is nothing to look at yet")
        self.reader = reader
        columns = [name for name in plain_columns() if name not in _LEFT_OUT]
        self.database = SetDatabase(columns, folder, memory_mb, threads=min(4, os.cpu_count() or 1))
        self.has_speech = False
        self.partitions: list[int] = []
        self._most_clips = most_clips

    def build(self, statuses: list[StageStatus], observer: Callable[[int, int], None] | None = None) -> None:
        """Reads the tables; observer: is told partitions read, of how many. Raises StorageError."""
        folders = self.reader.folders(ClipRecord)
        num_clips = sum(status.rows for status in statuses if f"{status.stage}/{status.fingerprint}" in folders)
        share = self._most_clips / num_clips if self._most_clips and num_clips > self._most_clips else 1.0
        self.partitions = drawn_partitions(self.reader.partitions, share)
        execute = self.database.connection.execute
        execute("CREATE TABLE raw_speech (clip_id VARCHAR, speech VARCHAR, speech_language VARCHAR)")
        fields = ", ".join(f"{name} VARCHAR" for name in ("kind", "stage", "item_id", "part_of", "name", "message"))
        execute(f"CREATE TABLE raw_lost ({fields}, partition BIGINT)")
        waiting: list[tuple[int, tuple[pa.Table, ...]]] = []
        for number, part in enumerate(self.reader.over(self.partitions, lambda partition: (partition, self._read(partition))), 1):
            waiting.append(part)
            if len(waiting) == _BATCH or number == len(self.partitions):
                self._add(waiting)
                waiting = []
                if observer is not None:
                    observer(number, len(self.partitions))
        self._finish()

    def _read(self, partition: int) -> tuple[pa.Table, ...]:
        tables = [self.reader.table(kind, partition, self.database.needed(kind)) for kind in _TABLES]
        return (*tables, self._speech(partition), losses_of(self.reader, partition))

    def _speech(self, partition: int) -> pa.Table:
        kind = record_type("SpeechRecord")
        if kind is None or not self.reader.folders(kind):
            return _SPEECH.empty_table()
        there = schema_of(kind).names
        table = self.reader.table(kind, partition, [name for name in ("clip_id", "text", "translation", "language") if name in there])
        texts = table["text"]
        if "translation" in there:
            texts = pa.compute.binary_join_element_wise(texts, table["translation"], "\n", null_handling="skip")
        return pa.table([table["clip_id"], texts, table["language"]], schema=_SPEECH)

    def _add(self, parts: list[tuple[int, tuple[pa.Table, ...]]]) -> None:
        connection = self.database.connection
        clips, videos, captions, scores, speech, lost = (pa.concat_tables([tables[place] for _, tables in parts]) for place in range(6))
        self.database.add(_repeated((partition, tables[0].num_rows) for partition, tables in parts), clips, videos, captions, scores)
        lost = lost.append_column("partition", _repeated((partition, tables[5].num_rows) for partition, tables in parts))
        for name, table in (("raw_speech", speech), ("raw_lost", lost)):
            connection.register("incoming", table)
            connection.execute(f"INSERT INTO {name} SELECT * FROM incoming")
            connection.unregister("incoming")

    def _finish(self) -> None:
        self.database.take_found()
        self.database.build()
        execute = self.database.connection.execute
        captions = [quoted(column) for column in self.database.columns if column.startswith("caption_")]
        has_caption = " OR ".join(f"{column} IS NOT NULL" for column in captions) or "false"
        missing = execute(f"SELECT count(*) FROM rows WHERE NOT ({has_caption})").fetchone() or (0,)
        self.pool = f"({has_caption})" if missing[0] else "true"  # select_clips is given no others; looking costs time where all have one
        speech = "SELECT clip_id, string_agg(speech, chr(10)) AS speech FROM raw_speech GROUP BY clip_id"
        texts = f"{folded(_joined(captions))} AS captions, {folded('s.speech')} AS speech, {folded('video_title')} AS title"
        execute(f"CREATE TABLE texts AS SELECT number, {texts} FROM rows LEFT JOIN ({speech}) s USING (clip_id) ORDER BY number")
        self.has_speech = bool((execute("SELECT count(*) FROM raw_speech").fetchone() or (0,))[0])
        execute("CREATE TABLE lost AS SELECT row_number() OVER () - 1 AS id, * FROM raw_lost")
        execute("DROP TABLE raw_lost")
        execute("DROP TABLE raw_speech")
        execute("CREATE TABLE marked (number BIGINT PRIMARY KEY, verdict VARCHAR)")
        self.sliders = self._sliders()

    def _sliders(self) -> tuple[Slider, ...]:
        known = {*plain_columns(), *(column for column in self.database.columns if column.startswith("caption_"))}
        scorers = [column for column in self.database.columns if column not in known]
        columns = [*scorers, *(column for column in _SLIDERS if column in self.database.columns)]
        bounds = ", ".join(
            f"min({quoted(c)}) FILTER (isfinite({quoted(c)}::DOUBLE)), max({quoted(c)}) FILTER (isfinite({quoted(c)}::DOUBLE))"
            for c in columns
        )
        found = self.database.connection.execute(f"SELECT {bounds} FROM rows").fetchone() or ()
        return tuple(
            Slider(column, float(low), float(high), column in scorers)
            for column, low, high in zip(columns, found[::2], found[1::2], strict=True)
            if low is not None and math.isfinite(low) and math.isfinite(high)
        )

    def rows(self, query: str, values: list[Any] | None = None) -> list[tuple[Any, ...]]:
        """The answer to a query, over a cursor of its own: safe for several threads."""
        with self.database.connection.cursor() as cursor:
            return cursor.execute(query, values or []).fetchall()


_SPEECH = pa.schema([("clip_id", pa.string()), ("speech", pa.string()), ("speech_language", pa.string())])


def _repeated(counts: Iterable[tuple[int, int]]) -> pa.Array:
    """Each number as often as its count says."""
    return pa.array([number for number, count in counts for _ in range(count)], pa.int64())


def _joined(columns: list[str]) -> str:
    return f"concat_ws(chr(10), {', '.join(columns)})" if columns else "''"


def folded(expression: str) -> str:
    """SQL for a text as it is searched: small letters, one form for each letter, no accents, vowel signs or lengthening strokes."""
    return f"replace(lower(strip_accents(nfc_normalize(coalesce({expression}, '')))), chr(1600), '')"
