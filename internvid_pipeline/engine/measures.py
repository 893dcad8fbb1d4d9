"""Seconds of video, the measure that rates and estimates are in: a partition's items are too unequal to count."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from internvid_pipeline.stage import Item


def video_seconds(items: Sequence[Item[Any]], rows: Sequence[Any]) -> float:
    """Seconds of video that a stage's inputs stand for: of their clips where they have some, else of their videos; of the rows made
    from them where the inputs do not tell (sources are not opened yet). Each clip or video counts once; 0 where nothing tells."""
    inputs = [_of_item(item) for item in items]
    found = [entry for entry in inputs if entry is not None] or _timed(rows)
    return round(sum(dict(found).values()), 3)


def languages(rows: Sequence[Any]) -> dict[str, int]:
    """How many rows are in each language, of rows that have one; `unknown` for None. In alphabetical order."""
    return dict(sorted(Counter(str(row.language or "unknown") for row in rows if hasattr(row, "language")).items()))


def _of_item(item: Item[Any]) -> tuple[str, float] | None:
    records = [item.record, *(rows[0] for rows in item.joined.values() if rows)]
    # A clip is the narrower of the two: a score of a clip that is joined with its video stands for the clip's seconds.
    found = sorted(_timed(records), key=lambda entry: entry[1])
    return found[0] if found else None


def _timed(records: Iterable[Any]) -> list[tuple[str, float]]:
    entries = ((_name(record), getattr(record, "duration_s", None)) for record in records)
    return [(name, float(seconds)) for name, seconds in entries if isinstance(seconds, int | float)]


def _name(record: Any) -> str:
    return str(getattr(record, "clip_id", None) or getattr(record, "video_id", ""))
