"""The tables of a set in a database on local disk: what filters, sliders and searches look at. Everything else is read when it is shown.

Clips with their scores and captions were joined by the same code as for `select_clips` (`selection.SetDatabase`), in the same order, so
that what is counted here is what that stage will keep.
"""

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from internvid_pipeline.browse.kept_index import IndexState, state_from
from internvid_pipeline.browse.wanted import literal
from internvid_pipeline.report.reading import SetReader
from internvid_pipeline.selection import plain_columns, quoted

MOST_CLIPS = 2_000_000
BINS = 48
MEMORY_MB = 700
_SLIDERS = ("duration_s", "motion", "luma_mean", "height_px", "fps", "video_duration_s")  # beside the scorers
_KEYS = ("number", "partition", "clip_id", "video_id")


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
    """An index that was made (`make_index`), read-only but for the table `marked`, which is this process's own. Tables `rows` (a row per
    clip), `texts` (folded for searching), `lost`, `marked`. origin: where it came from, in words.

    Raises duckdb.Error where the file is no index."""

    def __init__(self, reader: SetReader, path: Path, scratch: Path, memory_mb: int = MEMORY_MB, origin: str = "") -> None:
        import duckdb

        self.reader, self.origin = reader, origin
        self.connection = duckdb.connect(":memory:")
        execute = self.connection.execute
        execute(f"SET memory_limit = '{memory_mb}MB'")
        execute(f"SET threads = {min(4, os.cpu_count() or 1)}")
        execute(f"SET temp_directory = {literal(str(scratch))}")
        execute(f"ATTACH {literal(str(path))} AS made (READ_ONLY)")
        execute("SET enable_external_access = false")
        execute("SET lock_configuration = true")
        for name in ("rows", "texts", "lost"):
            execute(f"CREATE VIEW {name} AS SELECT * FROM made.{name}")
        execute("CREATE TABLE marked (number BIGINT PRIMARY KEY, verdict VARCHAR)")
        self.state = read_index_state(self.connection, "made.")
        self.partitions = [partition for partition, _ in self.state.partitions]
        self.columns = tuple(name for name, *_ in execute("DESCRIBE rows").fetchall() if name not in _KEYS)
        captions = [quoted(column) for column in self.columns if column.startswith("caption_")]
        has_caption = " OR ".join(f"{column} IS NOT NULL" for column in captions) or "false"
        missing = execute(f"SELECT count(*) FROM rows WHERE NOT ({has_caption})").fetchone() or (0,)
        self.pool = f"({has_caption})" if missing[0] else "true"  # select_clips is given no others; looking costs time where all have one
        self.has_speech = bool((execute("SELECT count(*) FROM texts WHERE speech <> ''").fetchone() or (0,))[0])
        self.sliders = self._sliders()

    def __enter__(self) -> "SetIndex":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.connection.close()

    def _sliders(self) -> tuple[Slider, ...]:
        known = {*plain_columns(), *(column for column in self.columns if column.startswith(("caption_", "speech_")))}
        scorers = [column for column in self.columns if column not in known]
        columns = [*scorers, *(column for column in _SLIDERS if column in self.columns)]
        bounds = ", ".join(
            f"min({quoted(c)}) FILTER (isfinite({quoted(c)}::DOUBLE)), max({quoted(c)}) FILTER (isfinite({quoted(c)}::DOUBLE))"
            for c in columns
        )
        found = self.connection.execute(f"SELECT {bounds} FROM rows").fetchone() or ()
        return tuple(
            Slider(column, float(low), float(high), column in scorers)
            for column, low, high in zip(columns, found[::2], found[1::2], strict=True)
            if low is not None and math.isfinite(low) and math.isfinite(high)
        )

    def rows(self, query: str, values: list[Any] | None = None) -> list[tuple[Any, ...]]:
        """The answer to a query, over a cursor of its own: safe for several threads."""
        with self.connection.cursor() as cursor:
            return cursor.execute(query, values or []).fetchall()


def read_index_state(connection: Any, prefix: str = "") -> IndexState:
    """What an open index was made of."""
    return state_from(json.loads(connection.execute(f"SELECT state FROM {prefix}about").fetchone()[0]))
