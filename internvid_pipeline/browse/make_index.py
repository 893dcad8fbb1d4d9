"""Making an index for the browser: all tables of a set, or of its new partitions, into one DuckDB file."""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from internvid_pipeline.browse.kept_index import IndexState
from internvid_pipeline.browse.wanted import folded, literal
from internvid_pipeline.records import CaptionRecord, ClipRecord, ScoreRecord, SpeechRecord, VideoRecord
from internvid_pipeline.report.reading import SetReader
from internvid_pipeline.report.sample import losses_of
from internvid_pipeline.selection import SetDatabase, plain_columns, quoted

_LEFT_OUT = (
    "source_uri",
    *(f"video_{name}" for name in ("description", "metadata_json", "info_json", "tags", "queries", "formats", "source_uri")),
)
TABLES = (ClipRecord, VideoRecord, CaptionRecord, ScoreRecord, SpeechRecord)
SPEECH = ("speech_language", "speech_text", "speech_translation")
_BATCH = 64  # partitions put into the database at once

Observer = Callable[[int, int], None]


def index_columns(reader: SetReader) -> list[str]:
    """Columns of clips, videos and speech that an index holds; scorers and captions come on top."""
    speech = SPEECH if reader.folders(SpeechRecord) else ()
    return [*(name for name in plain_columns() if name not in _LEFT_OUT), *speech]


def make_index(
    reader: SetReader, state: IndexState, folder: Path, memory_mb: int, observer: Observer | None = None, first_number: int = 0
) -> Path:
    """Reads the tables of the state's partitions into a new file in `folder`. observer: is told partitions read, of how many.
    first_number: of the first clip. Raises StorageError."""
    partitions = [partition for partition, _ in state.partitions]
    with SetDatabase(index_columns(reader), folder, memory_mb, min(4, os.cpu_count() or 1), first_number) as database:
        _Maker(reader, database).make(partitions, observer)
        database.connection.execute("CREATE TABLE about AS SELECT ? AS state", [json.dumps(asdict(state))])
    return folder / "set.duckdb"


def extended_index(
    reader: SetReader, earlier: Path, before: IndexState, state: IndexState, new: Sequence[int], folder: Path, memory_mb: int
) -> Path | None:
    """A copy of an earlier index (of `before`) with these partitions added. None where they have columns that it has not. Raises
    StorageError, duckdb.Error where the earlier one cannot be read."""
    import duckdb

    target = folder / "extended.duckdb"
    shutil.copyfile(earlier, target)
    with duckdb.connect(str(target)) as connection:
        execute = connection.execute
        execute(f"SET memory_limit = '{memory_mb}MB'")
        if new:
            (first,) = execute("SELECT coalesce(max(number) + 1, 0) FROM rows").fetchone() or (0,)
            made = make_index(reader, state.of(new), folder, memory_mb, None, first)
            execute(f"ATTACH {literal(str(made))} AS more (READ_ONLY)")
            there, more = ({name for name, *_ in execute(f"DESCRIBE {place}rows").fetchall()} for place in ("", "more."))
            if not more <= there:
                return None
            for table in ("rows", "texts"):
                execute(f"INSERT INTO {table} BY NAME SELECT * FROM more.{table} ORDER BY number")
        if state.keeps_lost(before):
            (count,) = execute("SELECT coalesce(max(id) + 1, 0) FROM lost").fetchone() or (0,)
            if new:
                execute(f"INSERT INTO lost BY NAME SELECT * REPLACE (id + {count} AS id) FROM more.lost ORDER BY id")
        else:
            _read_lost_again(reader, [partition for partition, _ in state.partitions], connection)
        execute("UPDATE about SET state = ?", [json.dumps(asdict(state))])
    return target


def _read_lost_again(reader: SetReader, partitions: Sequence[int], connection: Any) -> None:
    connection.execute("DROP TABLE lost")
    connection.execute(RAW_LOST)
    waiting: list[tuple[int, pa.Table]] = []
    for number, part in enumerate(reader.over(partitions, lambda partition: (partition, losses_of(reader, partition))), 1):
        waiting.append(part)
        if len(waiting) == _BATCH or number == len(partitions):
            _add_lost(connection, waiting)
            waiting = []
    _finish_lost(connection)


RAW_LOST = (
    "CREATE TABLE raw_lost (kind VARCHAR, stage VARCHAR, item_id VARCHAR, part_of VARCHAR, name VARCHAR, message VARCHAR, partition BIGINT)"
)


def _add_lost(connection: Any, parts: Sequence[tuple[int, pa.Table]]) -> None:
    lost = pa.concat_tables([table for _, table in parts])
    lost = lost.append_column("partition", _repeated((partition, table.num_rows) for partition, table in parts))
    connection.register("incoming", lost)
    connection.execute("INSERT INTO raw_lost SELECT * FROM incoming")
    connection.unregister("incoming")


def _finish_lost(connection: Any) -> None:
    connection.execute("CREATE TABLE lost AS SELECT row_number() OVER () - 1 AS id, * FROM raw_lost")
    connection.execute("DROP TABLE raw_lost")


class _Maker:
    def __init__(self, reader: SetReader, database: SetDatabase) -> None:
        self.reader, self.database = reader, database

    def make(self, partitions: Sequence[int], observer: Observer | None) -> None:
        """Reads and joins."""
        execute = self.database.connection.execute
        execute(RAW_LOST)
        waiting: list[tuple[int, tuple[pa.Table, ...]]] = []
        for number, part in enumerate(self.reader.over(partitions, lambda partition: (partition, self._read(partition))), 1):
            waiting.append(part)
            if len(waiting) == _BATCH or number == len(partitions):
                self._add(waiting)
                waiting = []
                if observer is not None:
                    observer(number, len(partitions))
        self._finish()

    def _read(self, partition: int) -> tuple[pa.Table, ...]:
        tables = [self.reader.table(kind, partition, self.database.needed(kind)) for kind in TABLES]
        return (*tables, losses_of(self.reader, partition))

    def _add(self, parts: list[tuple[int, tuple[pa.Table, ...]]]) -> None:
        clips, videos, captions, scores, speech = (pa.concat_tables([tables[place] for _, tables in parts]) for place in range(len(TABLES)))
        partitions = _repeated((partition, tables[0].num_rows) for partition, tables in parts)
        self.database.add(partitions, clips, videos, captions, scores, speech=speech)
        _add_lost(self.database.connection, [(partition, tables[-1]) for partition, tables in parts])

    def _finish(self) -> None:
        self.database.take_found()
        self.database.build()
        execute = self.database.connection.execute
        captions = [quoted(column) for column in self.database.columns if column.startswith("caption_")]
        said = _joined([quoted(name) for name in SPEECH[1:] if name in self.database.columns])
        texts = f"{folded(_joined(captions))} AS captions, {folded(said)} AS speech, {folded('video_title')} AS title"
        execute(f"CREATE TABLE texts AS SELECT number, {texts} FROM rows ORDER BY number")
        _finish_lost(self.database.connection)


def _repeated(counts: Iterable[tuple[int, int]]) -> pa.Array:
    """Each number as often as its count says."""
    return pa.array([number for number, count in counts for _ in range(count)], pa.int64())


def _joined(columns: list[str]) -> str:
    return f"concat_ws(chr(10), {', '.join(columns)})" if columns else "''"
