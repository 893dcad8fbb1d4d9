"""Rules against the same rules written out in plain Python, and DIV against the published rule written out again."""

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from internvid_pipeline.errors import UsageError
from internvid_pipeline.records import VideoRecord, schema_of
from internvid_pipeline.selection import KEPT, DrawRule, Rule, Selection, SetDatabase, decide, inverse_count_draw

Row = dict[str, object]


def decided(
    rows: list[Row], folder: Path | None = None, partition_size: int = 7, **selections: Selection
) -> dict[str, dict[str, tuple[int, float | None]]]:
    """rows: {clip_id, video_id, duration_s, alignment, language}. Returns for each selection clip -> (rule, value)."""
    columns = [column for selection in selections.values() for column in selection.columns]
    with SetDatabase(columns, folder) as database:
        for start in range(0, len(rows), partition_size):
            part = rows[start : start + partition_size]
            clips = pa.table(
                {
                    "clip_id": [str(row["clip_id"]) for row in part],
                    "video_id": [str(row["video_id"]) for row in part],
                    "duration_s": pa.array([row["duration_s"] for row in part], pa.float64()),
                }
            )
            videos = (
                schema_of(VideoRecord).empty_table()
                if not any(c.startswith("video_l") for c in columns)
                else pa.table(
                    {
                        "video_id": pa.array([str(row["video_id"]) for row in part]),
                        "language": pa.array([row.get("language") for row in part], pa.string()),
                    }
                )
            )
            if videos.num_rows:
                videos = videos.group_by("video_id").aggregate([("language", "max")]).rename_columns(["video_id", "language"])
            captions = pa.table(
                {
                    "clip_id": clips["clip_id"],
                    "scale": pa.array(["fused"] * len(part), pa.string()),
                    "text": pa.array(["a text"] * len(part), pa.string()),
                }
            )
            scored = [row for row in part if row.get("alignment") is not None]
            scores = pa.table(
                {
                    "clip_id": pa.array([str(row["clip_id"]) for row in scored], pa.string()),
                    "scorer": pa.array(["alignment"] * len(scored), pa.string()),
                    "value": pa.array([row["alignment"] for row in scored], pa.float64()),
                }
            )
            database.add(start // partition_size, clips, videos, captions, scores)
        database.build()
        found: dict[str, dict[str, tuple[int, float | None]]] = {name: {} for name in selections}
        for batch in decide(database, selections):
            for row in batch.to_pylist():
                assert row["clip_id"] not in found[row["selection"]]
                found[row["selection"]][row["clip_id"]] = (row["rule"], row["value"])
        return found


def made(n: int, seed: int = 0) -> list[Row]:
    chance = np.random.default_rng(seed)
    videos = chance.integers(0, max(1, n // 5), n)
    return [
        {
            "clip_id": f"c{k}",
            "video_id": f"v{videos[k]:06d}",
            "duration_s": float(np.round(chance.gamma(2.0, 5.0), 2)),
            "alignment": None if k % 11 == 3 else float(np.round(chance.normal(0.3, 0.05), 2)),
            "language": ("en", "zh", None)[int(videos[k]) % 3],
        }
        for k in range(n)
    ]


def kept(decisions: dict[str, tuple[int, float | None]]) -> set[str]:
    return {clip for clip, (rule, _) in decisions.items() if rule == KEPT}


def test_flt_second_version_step_by_step():
    """Length 1 to 120 s, then the best 30 % by score (ties kept), then DIV (InternVideo issue 91)."""
    rows = made(500)
    rules = (
        Rule(column="duration_s", minimum=1, maximum=120),
        Rule(column="alignment", top_ratio=0.3),
        Rule(draw=DrawRule(num_clips=40, per_video=True)),
    )
    decisions = decided(rows, flt=Selection(rules=rules))["flt"]
    assert set(decisions) == {row["clip_id"] for row in rows}
    long_enough = [row for row in rows if 1 <= row["duration_s"] <= 120]
    values = sorted((row["alignment"] for row in long_enough if row["alignment"] is not None), reverse=True)
    threshold = values[math.floor(len(values) * 0.3) - 1]
    best = [row for row in long_enough if row["alignment"] is not None and row["alignment"] >= threshold]
    counts = Counter(row["video_id"] for row in best)
    weights = np.array([1 / counts[row["video_id"]] for row in best])
    np.random.seed(42)
    picks = np.random.choice(len(best), size=40, replace=False, p=weights / weights.sum())
    assert kept(decisions) == {best[pick]["clip_id"] for pick in picks}
    by_id = {row["clip_id"]: row for row in rows}
    for clip, (rule, value) in decisions.items():
        if rule in (0, 1):
            assert value == by_id[clip][("duration_s", "alignment")[rule]]
        elif rule == 2:
            assert value is None


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.one_of(st.none(), st.floats(-1, 1, width=16))), max_size=40), st.floats(0.01, 1))
def test_percentiles_keep_the_highest_and_all_ties(made_rows: list[tuple[int, float | None]], ratio: float):
    rows: list[Row] = [{"clip_id": f"c{k}", "video_id": f"v{v}", "duration_s": 2.0, "alignment": a} for k, (v, a) in enumerate(made_rows)]
    found = kept(decided(rows, s=Selection(rules=(Rule(column="alignment", top_ratio=ratio),)))["s"])
    values = [row["alignment"] for row in rows if row["alignment"] is not None]
    least = max(1, math.floor(len(values) * ratio + 1e-9)) if values else 0
    assert len(found) >= least
    if found:
        lowest = min(row["alignment"] for row in rows if row["clip_id"] in found)
        assert all(row["clip_id"] in found for row in rows if row["alignment"] is not None and row["alignment"] >= lowest)
        assert sum(value > lowest for value in values) < least


def test_several_selections_at_once_and_the_same_from_disk(tmp_path: Path):
    rows = made(200)
    selections = {
        "english": Selection(rules=(Rule(where="video_language = 'en' and duration_s between 2 and 20"),)),
        "quota": Selection(rules=(Rule(column="video_language", most_per_value=10),)),
        "all": Selection(),
        "random": Selection(rules=(Rule(draw=DrawRule(num_clips=25)),)),
    }
    found = decided(rows, **selections)
    assert found == decided(rows, tmp_path, 50, **selections)
    language = {row["video_id"]: row["language"] for row in rows}
    assert kept(found["english"]) == {r["clip_id"] for r in rows if language[r["video_id"]] == "en" and 2 <= r["duration_s"] <= 20}
    assert Counter(language[r["video_id"]] for r in rows if r["clip_id"] in kept(found["quota"])) == {"en": 10, "zh": 10}
    assert kept(found["all"]) == {row["clip_id"] for row in rows}
    assert len(kept(found["random"])) == 25


def test_a_draw_of_more_than_there_are_keeps_all():
    rows = made(9)
    assert len(kept(decided(rows, s=Selection(rules=(Rule(draw=DrawRule(num_clips=100, per_video=True)),)))["s"])) == 9


def test_no_clips_at_all():
    assert decided([], s=Selection(rules=(Rule(column="alignment", top_ratio=0.5), Rule(draw=DrawRule(num_clips=3))))) == {"s": {}}


@pytest.mark.parametrize("names", ["first seen", "sorted", "hashed"])
def test_div_does_not_depend_on_which_number_stands_for_a_video(names: str):
    chance = np.random.default_rng(1)
    videos = chance.integers(0, 300, 2000)
    relabelled = {"first seen": videos, "sorted": np.unique(videos, return_inverse=True)[1], "hashed": (videos * 7919 + 13) % 100003}[names]
    assert (inverse_count_draw(relabelled, 500) == inverse_count_draw(videos, 500)).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"column": "motion"},
        {"minimum": 1.0},
        {"where": "motion > 1", "column": "motion"},
        {"where": "motion > 1", "draw": {"num_clips": 3}},
        {"column": "motion", "minimum": 2, "maximum": 1},
        {"column": "motion", "top_ratio": 0.5, "minimum": 1},
        {"where": "motion > (select 1)"},
        {"draw": {"num_clips": 0}},
    ],
)
def test_a_rule_asks_one_thing(wrong: dict[str, object]):
    with pytest.raises(ValidationError):
        Rule.model_validate(wrong)


def test_a_column_without_plain_values_is_refused():
    with pytest.raises(UsageError, match="no plain values"):
        SetDatabase(["frames"])


def test_a_condition_that_cannot_be_computed_says_so():
    with pytest.raises(UsageError, match="cannot be computed"):
        decided(made(3), s=Selection(rules=(Rule(where="duration_s + video_language > 1"),)))
