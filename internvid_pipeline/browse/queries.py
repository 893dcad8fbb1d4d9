"""Answers to what the page asks: clips of a selection, counts, histograms, names to filter by, and what was lost."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from internvid_pipeline.browse.index import BINS, SetIndex
from internvid_pipeline.browse.make_index import SPEECH
from internvid_pipeline.browse.marks import Marks
from internvid_pipeline.browse.wanted import Wanted, folded, literal
from internvid_pipeline.errors import UsageError
from internvid_pipeline.records import SelectionRecord
from internvid_pipeline.selection import Rule, Selection, count_kept, quoted, row_condition

MOST_PAGE = 200
_MOST_NAMES = 60  # of a filter; further names are found by a condition
_CURVE_POINTS = 60
_FILTERS = {"languages": "video_language", "speech_languages": "speech_language", "licences": "video_licence", "cut_modes": "cut_mode"}
_CARD = ("number", "clip_id", "video_id", "video_title", "duration_s", "video_language", "motion")


class Queries:
    """Over one index and its marks. Safe for several threads."""

    def __init__(self, index: SetIndex, marks: Marks) -> None:
        self.index, self.marks = index, marks
        self._lock = threading.Lock()
        self._captions = [column for column in index.columns if column.startswith("caption_")]
        self._scores = [slider.column for slider in index.sliders if slider.is_score]
        self._text = _chosen_text(index, self._captions)
        self._whole = self._bins([slider.column for slider in index.sliders], "true") if index.sliders else {}
        self.names = self._names()
        self._take_marks(marks.verdicts)

    def _take_marks(self, verdicts: Mapping[str, str]) -> None:
        for clip_id, verdict in verdicts.items():
            for (number,) in self.index.rows("SELECT number FROM rows WHERE clip_id = ?", [clip_id]):
                self.index.rows("INSERT OR REPLACE INTO marked VALUES (?, ?)", [number, verdict])

    def mark(self, number: int, verdict: str) -> None:
        """Stores a mark. Raises UsageError where there is no such clip, StorageError."""
        found = self.index.rows("SELECT clip_id, video_id FROM rows WHERE number = ?", [number])
        if not found:
            raise UsageError(f"there is no clip {number}")
        with self._lock:
            self.marks.store(found[0][0], found[0][1], verdict)
            self.index.rows("INSERT OR REPLACE INTO marked VALUES (?, ?)", [number, verdict])

    # What is selected

    def conditions(self, wanted: Wanted, without: str | None = None, rules: bool = True) -> str:
        """SQL that is true for the rows that are looked at: what was searched for, marks, and the rules that look at one clip."""
        parts = [_search(wanted.search, wanted.search_in)] if wanted.search.strip() else []
        if wanted.marked:
            inner = "SELECT number FROM marked WHERE verdict" + (
                " <> 'none'" if wanted.marked == "none" else f" = {literal(wanted.marked)}"
            )
            parts.append(f"number {'NOT ' if wanted.marked == 'none' else ''}IN ({inner})")
        for rule in self._checked(wanted, without).rules if rules else ():
            condition = row_condition(rule)
            if condition is not None:
                parts.append(condition)
        return " AND ".join(f"({part})" for part in parts) or "true"

    def _checked(self, wanted: Wanted, without: str | None = None) -> Selection:
        """The selection. Raises UsageError where it looks at a column that is not there: for `select_clips` that would be a scorer."""
        selection = wanted.selection(without)
        unknown = [column for column in selection.columns if column not in (*self.index.columns, "clip_id", "video_id")]
        if unknown:
            raise UsageError(f"no column {unknown[0][:80]!r}; there are {', '.join(self.index.columns)}")
        return selection

    def counts(self, wanted: Wanted) -> dict[str, Any]:
        """What `select_clips` would keep: clips left after each rule, and precision and recall of the whole selection against the marks."""
        return self.counts_of(self._checked(wanted))

    def counts_of(self, selection: Selection) -> dict[str, Any]:
        """As `counts`. Raises UsageError for a rule that cannot be computed."""
        counted = Selection(rules=(*selection.rules, *self._with_text()))
        members = "SELECT number FROM marked WHERE verdict <> 'none'"
        counts, kept = count_kept(self.index, counted, self.index.pool, members)
        verdicts = dict(self.index.rows("SELECT number, verdict FROM marked WHERE verdict <> 'none'"))
        steps = [{"rule": rule.words, "left": left} for rule, left in zip(selection.rules, counts[1:], strict=False)]
        return {"pool": counts[0], "steps": steps, "kept": counts[-1], "marks": quality(verdicts, kept)}

    def searched(self, where: str) -> list[str]:
        """Columns of clips that a search looks through."""
        speech = [column for column in SPEECH[1:] if column in self.index.columns]
        columns = {"captions": self._captions, "speech": speech, "title": ["video_title"]}
        return [column for name, found in columns.items() if where in (name, "anything") for column in map(quoted, found)]

    def _with_text(self) -> tuple[Rule, ...]:
        """A clip goes into shards with a caption of the config's scales, or not at all."""
        if self._text == self._captions or not self._text:
            return ()
        return (Rule(where=" or ".join(f"{column} is not null" for column in self._text)),)

    # What is looked at

    def page(self, wanted: Wanted, show: str, order: str, descending: bool, offset: int, limit: int, seed: int = 0) -> dict[str, Any]:
        """Clips that are kept by the rules that look at one clip (`show`: kept), or left out by them (`left_out`), or all. order: a
        slider's column, `set` or `random`. Shares of the set (`top`) are counted by `counts` and do not hide clips here."""
        looked = self.conditions(wanted, rules=False)
        rules = self.conditions(Wanted.model_validate({**wanted.model_dump(), "search": "", "marked": ""}))
        where = {"kept": f"{looked} AND {rules}", "left_out": f"{looked} AND ({rules}) IS NOT TRUE", "all": looked}[show]
        known = {"set": "number", "random": f"hash(number + {int(seed) * 7919})"}
        known |= {slider.column: quoted(slider.column) for slider in self.index.sliders}
        if order not in known:
            raise UsageError(f"clips cannot be ordered by {order[:80]!r}; there are {', '.join(known)}")
        direction = "DESC NULLS LAST" if descending else "ASC NULLS LAST"
        columns = [*(quoted(name) for name in _CARD), *(quoted(name) for name in self._scores)]
        text = f"coalesce({', '.join([*(quoted(name) for name in [*self._text, *self._captions]), chr(39) * 2])})"
        chosen = f"SELECT number FROM rows WHERE {where} ORDER BY {known[order]} {direction}, number LIMIT ? OFFSET ?"
        total = self._rows(f"SELECT count(*) FROM rows WHERE {where}")[0][0]
        numbers = [number for (number,) in self._rows(chosen, [min(limit, MOST_PAGE), offset])]
        found = self._rows(
            f"SELECT {', '.join(columns)}, {text}, coalesce(m.verdict, 'none') FROM rows LEFT JOIN marked m USING (number) "
            f"WHERE number IN (SELECT unnest(?::BIGINT[]))",
            [numbers],
        )
        names = [*_CARD, *self._scores, "caption", "mark"]
        cards = {row[0]: dict(zip(names, row, strict=True)) for row in found}
        return {"total": total, "clips": [cards[number] for number in numbers]}

    def _rows(self, query: str, values: list[Any] | None = None) -> list[tuple[Any, ...]]:
        import duckdb

        try:
            return self.index.rows(query, values)
        except (duckdb.BinderException, duckdb.ConversionException, duckdb.InvalidInputException, duckdb.OutOfRangeException) as error:
            raise UsageError(f"the condition cannot be computed: {str(error).splitlines()[0]}") from error

    def histograms(self, wanted: Wanted) -> list[dict[str, Any]]:
        """For every slider: clips by bin in the whole set and among what all but this slider's own bounds keeps; precision and recall of
        each threshold against the marks (kept: value >= threshold)."""
        columns: dict[str, list[str]] = {}
        for slider in self.index.sliders:  # those without bounds of their own share one pass over the clips
            columns.setdefault(self.conditions(wanted, without=slider.column), []).append(slider.column)
        left: dict[str, list[int]] = {}
        for where, names in columns.items():
            left |= {name: self._whole[name] for name in names} if where == "true" else self._bins(names, where)
        return [
            {
                "column": slider.column,
                "is_score": slider.is_score,
                "low": slider.low,
                "high": slider.high,
                "whole": self._whole[slider.column],
                "left": left[slider.column],
                "curve": curve(self._marked_values(slider.column)),
            }
            for slider in self.index.sliders
        ]

    def _marked_values(self, column: str) -> list[tuple[Any, ...]]:
        return self._rows(
            f"SELECT {quoted(column)}::DOUBLE, verdict FROM rows JOIN marked USING (number) "
            f"WHERE verdict <> 'none' AND {quoted(column)} IS NOT NULL"
        )

    def _bins(self, columns: Sequence[str], where: str) -> dict[str, list[int]]:
        """Clips by bin of each column, counted in one pass; those without a finite value are in none."""
        by_name = {slider.column: slider for slider in self.index.sliders}
        places = [
            f"CASE WHEN isfinite({quoted(name)}::DOUBLE) THEN greatest(0, least({BINS - 1}, "
            f"floor(({quoted(name)} - {by_name[name].low!r}) / {by_name[name].step!r})))::INTEGER ELSE -1 END AS place_{number}"
            for number, name in enumerate(columns)
        ]
        names = [f"place_{number}" for number in range(len(columns))]
        sets = ", ".join(f"({name})" for name in names)
        counts = {name: [0] * BINS for name in columns}
        for *found, count in self._rows(
            f"SELECT {', '.join(names)}, count(*) FROM (SELECT {', '.join(places)} FROM rows WHERE {where}) GROUP BY GROUPING SETS ({sets})"
        ):
            column, place = next(((name, place) for name, place in zip(columns, found, strict=True) if place is not None), ("", -1))
            if place >= 0:
                counts[column][place] = count
        return counts

    def _names(self) -> dict[str, list[dict[str, Any]]]:
        """For each filter the most frequent values, with their clips; "" for clips of videos that do not tell."""
        found = {}
        for name, column in _FILTERS.items():
            if column in self.index.columns:
                rows = self.index.rows(
                    f"SELECT coalesce({column}, ''), count(*) c FROM rows GROUP BY 1 ORDER BY c DESC, 1 LIMIT {_MOST_NAMES}"
                )
                found[name] = [{"value": value, "clips": count} for value, count in rows]
        rows = self.index.rows(
            "SELECT category, count(*) c FROM (SELECT unnest(CASE WHEN len(video_categories) > 0 THEN video_categories ELSE [''] END) AS "
            f"category FROM rows) GROUP BY 1 ORDER BY c DESC, 1 LIMIT {_MOST_NAMES}"
        )
        return {**found, "categories": [{"value": value, "clips": count} for value, count in rows]}

    # What was lost

    def lost_names(self) -> list[dict[str, Any]]:
        """Stages, kinds and reasons of what was lost, with their counts; parts of inputs apart."""
        rows = self.index.rows(
            "SELECT stage, kind, name, part_of IS NOT NULL, count(*), min(id) first FROM lost GROUP BY ALL ORDER BY first"
        )
        order = {plan.name: place for place, plan in enumerate(self.index.reader.plans)}
        rows.sort(key=lambda row: (order.get(row[0], len(order)), row[1], row[5]))
        return [dict(zip(("stage", "kind", "name", "is_part", "count"), row[:5], strict=True)) for row in rows]

    def lost(self, stage: str, kind: str, name: str, search: str, offset: int, limit: int) -> dict[str, Any]:
        """Items lost, empty texts for no filter."""
        tests, values = ["true"], []
        for column, value in (("stage", stage), ("kind", kind), ("name", name)):
            if value:
                tests.append(f"{column} = ?")
                values.append(value)
        for word in search.split():
            tests.append(f"contains({folded('item_id')}, {folded('?')}) OR contains({folded('message')}, {folded('?')})")
            values += [word, word]
        where = " AND ".join(f"({test})" for test in tests)
        total = self.index.rows(f"SELECT count(*) FROM lost WHERE {where}", values)[0][0]
        fields = ("id", "kind", "stage", "item_id", "part_of", "name", "message")
        rows = self.index.rows(
            f"SELECT {', '.join(fields)} FROM lost WHERE {where} ORDER BY id LIMIT ? OFFSET ?", [*values, min(limit, MOST_PAGE), offset]
        )
        return {"total": total, "items": [dict(zip(fields, row, strict=True)) for row in rows]}


def _chosen_text(index: SetIndex, there: Sequence[str]) -> list[str]:
    """Caption columns in the order in which `select_clips` takes one."""
    for plan in index.reader.plans:
        if plan.build().writes is SelectionRecord:
            return [f"caption_{scale}" for scale in plan.fields["caption_scales"] if f"caption_{scale}" in there]
    return list(there)


def _search(text: str, where: str) -> str:
    """Every word somewhere in one of the texts."""
    columns = ("captions", "speech", "title") if where == "anything" else (where,)
    tests = [" OR ".join(f"contains({column}, {folded(literal(word))})" for column in columns) for word in text.split()]
    return "number IN (SELECT number FROM texts WHERE " + " AND ".join(f"({test})" for test in tests) + ")"


def quality(verdicts: Mapping[int, str], kept: frozenset[int]) -> dict[str, Any]:
    """Of marked clips: precision: share of keep marks among those kept; recall: share of those kept among the keep marks; None where there
    are none to divide by."""
    good = {number for number, verdict in verdicts.items() if verdict == "keep"}
    return {
        "keep": len(good),
        "reject": len(verdicts) - len(good),
        "kept": len(kept),
        "kept_good": len(kept & good),
        "precision": len(kept & good) / len(kept) if kept else None,
        "recall": len(kept & good) / len(good) if good else None,
    }


def curve(marked: Sequence[tuple[float, str]]) -> list[dict[str, float]]:
    """Precision and recall of `value >= threshold` at the marked values, at most 60 of them, ascending."""
    good = sorted(value for value, verdict in marked if verdict == "keep")
    values = sorted(value for value, _ in marked)
    if not good:
        return []
    thresholds = sorted(set(values))
    step = -(-len(thresholds) // _CURVE_POINTS)
    points = []
    for threshold in thresholds[::step]:
        kept = sum(value >= threshold for value in values)
        kept_good = sum(value >= threshold for value in good)
        points.append({"threshold": threshold, "precision": kept_good / kept, "recall": kept_good / len(good)})
    return points
