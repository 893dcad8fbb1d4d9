"""Clips with what is known of them in one row each: the columns that rules look at, in a DuckDB database on local disk."""

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

import pyarrow as pa

from internvid_pipeline.errors import UsageError
from internvid_pipeline.records import (
    CaptionRecord,
    CaptionScale,
    ClipRecord,
    DuplicateRecord,
    ScoreRecord,
    SpeechRecord,
    VideoRecord,
    schema_of,
)

_VIDEO, _CAPTION, _DUPLICATE, _SPEECH = "video_", "caption_", "duplicate_", "speech_"
_DEFAULT_MEMORY_MB = 2000
_ALIASES = {"clip": "c", "video": "v", "caption": "t", "score": "s", "duplicate": "d", "speech": "p"}


class SetDatabase:
    """Tables come in partition by partition; `rows` then is one table over all: number (bigint, the order of the set), partition,
    clip_id, video_id and the asked columns.

    columns: of ClipRecord by their names; `video_<column>` of VideoRecord; `caption_<scale>` the text of a scale; `duplicate_of` and the
    others of DuplicateRecord (a clip whose doubles were not looked for has "not looked for" there, so that it is not taken for unique);
    `speech_<column>` of SpeechRecord, null where nothing is said or was looked for; any other name is a scorer, whose value is the highest
    where several captions of a clip were scored. folder: for what does not fit
    into `memory_mb`; None keeps all in memory. first_number: of the first clip. Raises UsageError for a column that holds no plain values.
    """

    def __init__(
        self,
        columns: Iterable[str],
        folder: Path | None = None,
        memory_mb: int = _DEFAULT_MEMORY_MB,
        threads: int = 1,
        first_number: int = 0,
    ) -> None:
        import duckdb

        self.columns = tuple(dict.fromkeys(column.lower() for column in columns if column.lower() not in ("clip_id", "video_id")))
        self._sources = {column: _source(column) for column in self.columns}
        self.connection = duckdb.connect(str(folder / "set.duckdb") if folder else ":memory:")
        execute = self.connection.execute
        execute(f"SET memory_limit = '{memory_mb}MB'")
        execute(f"SET threads = {threads}")  # of a stage one: parallelism is by worker
        execute("SET preserve_insertion_order = true")
        if folder is not None:
            execute(f"SET temp_directory = '{str(folder).replace(chr(39), chr(39) * 2)}'")
        execute("SET enable_external_access = false")
        execute("SET lock_configuration = true")
        self._num_rows = first_number
        for name, fields in self._raw_tables().items():
            execute(f"CREATE TABLE raw_{name} ({', '.join(f'{quoted(field)} {kind}' for field, kind in fields)})")

    def __enter__(self) -> "SetDatabase":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.connection.close()

    def needed(self, record_type: type) -> list[str]:
        """Columns of a table that `add` will look at."""
        by_type = {
            ClipRecord: "clips",
            VideoRecord: "videos",
            CaptionRecord: "captions",
            ScoreRecord: "scores",
            DuplicateRecord: "duplicates",
            SpeechRecord: "speech",
        }
        return [field for field, _ in self._raw_tables()[by_type[record_type]] if field not in ("number", "partition")]

    def add(
        self,
        partition: int | pa.Array,
        clips: pa.Table,
        videos: pa.Table,
        captions: pa.Table,
        scores: pa.Table,
        duplicates: pa.Table | None = None,
        speech: pa.Table | None = None,
    ) -> None:
        """Rows of the tables, of one partition, or of several (an array: the partition of each clip); further columns than `needed` are
        left aside."""
        duplicates = schema_of(DuplicateRecord).empty_table() if duplicates is None else duplicates
        numbers = pa.array(range(self._num_rows, self._num_rows + clips.num_rows), pa.int64())
        self._num_rows += clips.num_rows
        places = pa.array([partition] * clips.num_rows, pa.int64()) if isinstance(partition, int) else partition
        clips = clips.append_column("number", numbers).append_column("partition", places)
        tables = {"clips": clips, "videos": videos, "captions": captions, "scores": scores, "duplicates": duplicates}
        tables["speech"] = schema_of(SpeechRecord).empty_table() if speech is None else speech
        for name, table in tables.items():
            fields = [field for field, _ in self._raw_tables()[name]]
            chosen = table.select(fields)
            self.connection.register("incoming", chosen)
            self.connection.execute(f"INSERT INTO raw_{name} SELECT {', '.join(map(quoted, fields))} FROM incoming")
            self.connection.unregister("incoming")

    def take_found(self) -> None:
        """Before `build`: every scorer and caption scale among what was added becomes a column."""
        found = [str(name).lower() for (name,) in self.connection.execute("SELECT DISTINCT scorer FROM raw_scores ORDER BY 1").fetchall()]
        scales = self.connection.execute("SELECT DISTINCT scale FROM raw_captions ORDER BY 1").fetchall()
        for column in [*found, *(f"{_CAPTION}{scale}" for (scale,) in scales if scale in set(CaptionScale))]:
            if column not in self._sources and _source(column) in ("score", "caption"):
                self._sources[column] = _source(column)
                self.columns = (*self.columns, column)

    def build(self) -> None:
        """Joins what was added into the table `rows`, one row for each clip added."""
        wanted = "".join(f", {self._expression(column)} AS {quoted(column)}" for column in self.columns)
        scores = [name for name, kind in self._sources.items() if kind == "score"]
        maxima = "".join(f", max(value) FILTER (scorer = {_literal(name)} AND NOT isnan(value)) AS {quoted(name)}" for name in scores)
        texts = "".join(
            f", any_value(text) FILTER (scale = {_literal(name.removeprefix(_CAPTION))}) AS {quoted(name)}"
            for name, kind in self._sources.items()
            if kind == "caption"
        )
        self.connection.execute(
            f"CREATE TABLE rows AS SELECT c.number, c.partition, c.clip_id, c.video_id{wanted} FROM raw_clips c "
            "LEFT JOIN (SELECT DISTINCT ON (video_id) * FROM raw_videos) v ON c.video_id = v.video_id "
            f"LEFT JOIN (SELECT clip_id{maxima} FROM raw_scores GROUP BY clip_id) s ON c.clip_id = s.clip_id "
            f"LEFT JOIN (SELECT clip_id{texts} FROM raw_captions GROUP BY clip_id) t ON c.clip_id = t.clip_id "
            "LEFT JOIN (SELECT DISTINCT ON (clip_id) * FROM raw_duplicates) d ON c.clip_id = d.clip_id "
            "LEFT JOIN (SELECT DISTINCT ON (clip_id) * FROM raw_speech) p ON c.clip_id = p.clip_id ORDER BY c.number"
        )
        for name in self._raw_tables():
            self.connection.execute(f"DROP TABLE raw_{name}")

    def _expression(self, column: str) -> str:
        kind = self._sources[column]
        field = column.removeprefix({"video": _VIDEO, "speech": _SPEECH}.get(kind, ""))
        if kind == "duplicate" and _sql_type(DuplicateRecord, column) == "VARCHAR":
            return f"CASE WHEN d.clip_id IS NULL THEN 'not looked for' ELSE d.{quoted(field)} END"
        return f"{_ALIASES[kind]}.{quoted(field)}"

    def _raw_tables(self) -> dict[str, list[tuple[str, str]]]:
        """Columns and SQL types of the tables as they come in."""
        clips = [("number", "BIGINT"), ("partition", "BIGINT"), ("clip_id", "VARCHAR"), ("video_id", "VARCHAR")]
        videos = [("video_id", "VARCHAR")]
        duplicates, speech = [("clip_id", "VARCHAR")], [("clip_id", "VARCHAR")]
        for column, kind in self._sources.items():
            if kind == "clip":
                clips.append((column, _sql_type(ClipRecord, column)))
            elif kind == "video":
                videos.append((column.removeprefix(_VIDEO), _sql_type(VideoRecord, column.removeprefix(_VIDEO))))
            elif kind == "duplicate":
                duplicates.append((column, _sql_type(DuplicateRecord, column)))
            elif kind == "speech":
                speech.append((column.removeprefix(_SPEECH), _sql_type(SpeechRecord, column.removeprefix(_SPEECH))))
        captions = [("clip_id", "VARCHAR"), ("scale", "VARCHAR"), ("text", "VARCHAR")]
        scores = [("clip_id", "VARCHAR"), ("scorer", "VARCHAR"), ("value", "DOUBLE")]
        return {"clips": clips, "videos": videos, "captions": captions, "scores": scores, "duplicates": duplicates, "speech": speech}


def _source(column: str) -> str:
    """Which table a column comes from. Raises UsageError where that column holds no plain values."""
    if column in schema_of(ClipRecord).names:
        _sql_type(ClipRecord, column)
        return "clip"
    if column.startswith(_VIDEO) and column.removeprefix(_VIDEO) in schema_of(VideoRecord).names:
        _sql_type(VideoRecord, column.removeprefix(_VIDEO))
        return "video"
    if column.startswith(_DUPLICATE) and column in schema_of(DuplicateRecord).names:
        return "duplicate"
    if column.startswith(_SPEECH) and column.removeprefix(_SPEECH) in schema_of(SpeechRecord).names:
        _sql_type(SpeechRecord, column.removeprefix(_SPEECH))
        return "speech"
    return "caption" if column.startswith(_CAPTION) and column.removeprefix(_CAPTION) in set(CaptionScale) else "score"


def _sql_type(record_type: type, column: str) -> str:
    found = _plain_type(schema_of(record_type).field(column).type)
    if found is None:
        raise UsageError(f"column {column} of {record_type.__name__} holds no plain values; rules look at texts, numbers and lists of them")
    return found


def _plain_type(kind: pa.DataType) -> str | None:
    """The SQL type of an Arrow type; None for structures."""
    if pa.types.is_list(kind):
        within = _plain_type(kind.value_type)
        return f"{within}[]" if within else None
    return {pa.string(): "VARCHAR", pa.int64(): "BIGINT", pa.float64(): "DOUBLE", pa.bool_(): "BOOLEAN"}.get(kind)


def quoted(name: str) -> str:
    """An identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def plain_columns() -> dict[str, str]:
    """Columns of clips and their videos that rules can look at, with their SQL types."""
    found: dict[str, str] = {}
    for record_type, prefix in ((ClipRecord, ""), (VideoRecord, _VIDEO)):
        kinds = {field.name: _plain_type(field.type) for field in schema_of(record_type) if field.name != "video_id"}
        found |= {prefix + name: kind for name, kind in kinds.items() if kind}
    return found


def known_columns() -> list[str]:
    """Columns that every set has, for help and error messages; scorers come on top."""
    duplicates = [name for name in schema_of(DuplicateRecord).names if name.startswith(_DUPLICATE)]
    spoken = (f"{_SPEECH}{field.name}" for field in schema_of(SpeechRecord) if _plain_type(field.type) and not field.name.endswith("_id"))
    return [*plain_columns(), *duplicates, *spoken, *(f"{_CAPTION}{scale}" for scale in CaptionScale)]
