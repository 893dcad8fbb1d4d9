"""Counts of a selection that somebody is still moving, against the fates that `select_clips` decides by."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from internvid_pipeline.errors import UsageError
from internvid_pipeline.records import VideoRecord, schema_of
from internvid_pipeline.selection import KEPT, DrawRule, Rule, Selection, SetDatabase, count_kept, decide

RULES = st.one_of(
    st.builds(lambda low: Rule(column="duration_s", minimum=low), st.integers(0, 20).map(float)),
    st.builds(lambda high: Rule(column="alignment", maximum=high), st.integers(0, 20).map(float)),
    st.builds(lambda column, ratio: Rule(column=column, top_ratio=ratio), st.sampled_from(["duration_s", "alignment"]), st.floats(0.05, 1)),
    st.just(Rule(where="duration_s > alignment or caption_fused = 'a'")),
)
ROWS = st.lists(st.tuples(st.integers(0, 20), st.none() | st.integers(0, 20), st.sampled_from(["a", "b", None])), min_size=1, max_size=25)


def database_of(rows: list[tuple[int, int | None, str | None]]) -> SetDatabase:
    database = SetDatabase(["duration_s"])
    ids = [f"clip{n}" for n in range(len(rows))]
    told = [(clip, text) for clip, (_, _, text) in zip(ids, rows, strict=True) if text]
    scored = [(clip, score) for clip, (_, score, _) in zip(ids, rows, strict=True) if score is not None]
    texts = pa.array([], pa.string())
    database.add(
        pa.array([0] * len(rows), pa.int64()),
        pa.table({"clip_id": ids, "video_id": ids, "duration_s": [float(row[0]) for row in rows]}),
        schema_of(VideoRecord).empty_table(),
        pa.table({"clip_id": [t[0] for t in told], "scale": ["fused"] * len(told), "text": [t[1] for t in told]})
        if told
        else pa.table({"clip_id": texts, "scale": texts, "text": texts}),
        pa.table({"clip_id": [s[0] for s in scored], "scorer": ["alignment"] * len(scored), "value": [float(s[1]) for s in scored]})
        if scored
        else pa.table({"clip_id": texts, "scorer": texts, "value": pa.array([], pa.float64())}),
    )
    return database


@settings(max_examples=30, deadline=None)
@given(ROWS, st.lists(RULES, max_size=4))
def test_they_are_those_of_the_stage(rows: list[tuple[int, int | None, str | None]], rules: list[Rule]):
    selection = Selection(rules=tuple(rules))
    with database_of([*rows, (1, 1, "a")]) as database:
        database.take_found()
        database.build()
        counts, members = count_kept(database, selection, "true", "SELECT number FROM rows")
        fates = [row for batch in decide(database, {"one": selection}) for row in batch.to_pylist()]
    left = [sum(fate["rule"] == KEPT or fate["rule"] >= step for fate in fates) for step in range(len(rules) + 1)]
    assert counts == left
    assert {f"clip{number}" for number in members} == {fate["clip_id"] for fate in fates if fate["rule"] == KEPT}


def test_a_pool_and_what_cannot_be_counted():
    with database_of([(1, 1, "a"), (2, 2, None), (3, None, "b")]) as database:
        database.take_found()
        database.build()
        pool = "caption_fused IS NOT NULL"
        assert count_kept(database, Selection(rules=(Rule(column="duration_s", top_ratio=0.5),)), pool, "SELECT 2 AS number") == (
            [2, 1],
            frozenset({2}),
        )
        with pytest.raises(UsageError, match="select_clips"):
            count_kept(database, Selection(rules=(Rule(draw=DrawRule(num_clips=1)),)), pool, "SELECT 0 AS number")
        with pytest.raises(UsageError, match="cannot be computed"):
            count_kept(database, Selection(rules=(Rule(where="nothing > 1"),)), pool, "SELECT 0 AS number")
