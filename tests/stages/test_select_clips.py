"""Rules over columns, in order; percentiles over the whole set; several selections at once."""

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from internvid_pipeline.errors import UsageError
from internvid_pipeline.records import CaptionRecord, ClipRecord, DropReason, MediaRef, ScoreRecord, VideoRecord, to_table
from internvid_pipeline.registry import build_stage
from internvid_pipeline.stage import Drop, Emit, Item, WorkerContext
from internvid_pipeline.storage import Root
from tests.made_records import made_clip, made_video


def clip(number: int, duration_s: float = 5.0, motion: float = 1.0) -> ClipRecord:
    return made_clip(f"v{number}_0_{number}", f"v{number}", duration_s, motion=motion)


def item(number: int, score: float | None = 0.5, scales: tuple[str, ...] = ("coarse", "fused"), **fields) -> Item[ClipRecord]:
    record = clip(number, **fields)
    captions = tuple(
        CaptionRecord(
            clip_id=record.clip_id,
            video_id=record.video_id,
            scale=scale,
            text=f"{scale} of {number}",
            language="en",
            model="m",
            model_commit="c",
            prompt=None,
            frames=(1,),
            is_stand_in=True,
        )
        for scale in scales
    )
    scores = (
        ()
        if score is None
        else (
            ScoreRecord(
                clip_id=record.clip_id,
                video_id=record.video_id,
                scorer="alignment",
                caption_scale="fused",
                value=score,
                num_frames=4,
                reduced="max",
                model="m",
                model_commit="c",
                is_stand_in=True,
            ),
        )
    )
    return Item(record=record, joined={VideoRecord: (made_video(record.video_id),), CaptionRecord: captions, ScoreRecord: scores})


class Tables:
    """The tables of one partition that the items came from."""

    partitions = (0,)

    def __init__(self, items: list[Item[ClipRecord]]) -> None:
        self._items = items

    def table(self, partition: int, record_type: type, columns: Sequence[str] | None = None) -> pa.Table:
        assert partition == 0
        rows = [item.record for item in self._items] if record_type is ClipRecord else []
        rows += [row for item in self._items for row in item.joined.get(record_type, ())]
        table = to_table(rows, record_type)
        return table if columns is None else table.select(list(columns))


def select(items: list[Item[ClipRecord]], tmp_path: Path, rules: list[dict] | None = None, **config) -> list:
    if rules is not None:
        config["selections"] = {"default": {"rules": rules}}
    stage = build_stage("select_clips", config)
    root = Root(str(tmp_path))
    files = {}
    if stage.needs_reduce:
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        stage.reduce(Tables(items), folder)
        files = {file.name: MediaRef(uri=str(file), size_bytes=file.stat().st_size) for file in folder.glob("*.parquet")}
    stage.setup(WorkerContext(root=root, scratch=tmp_path, resources=stage.resources, reduced_files=files))
    return stage.process(items)


def test_default_is_the_length_rule_of_flt(tmp_path: Path):
    outcomes = select([item(0, duration_s=0.99), item(1, duration_s=1.0), item(2, duration_s=120.0), item(3, duration_s=120.1)], tmp_path)
    assert [type(outcome) for outcome in outcomes] == [Drop, Emit, Emit, Drop]
    assert (outcomes[0].reason, outcomes[3].reason) == (DropReason.BELOW_MINIMUM, DropReason.ABOVE_MAXIMUM)
    assert outcomes[0].message == "duration_s 0.99 is below 1"


def test_the_best_caption_there_is(tmp_path: Path):
    outcomes = select([item(0), item(1, scales=("coarse",)), item(2, scales=("audio",))], tmp_path)
    assert [(outcome.records[0].caption, outcome.records[0].caption_scale) for outcome in outcomes[:2]] == [
        ("fused of 0", "fused"),
        ("coarse of 1", "coarse"),
    ]
    assert outcomes[2].reason is DropReason.MISSING_VALUE


def test_missing_score_is_not_a_low_score(tmp_path: Path):
    outcomes = select(
        [item(0, score=None), item(1, score=math.nan), item(2, score=-1.0)], tmp_path, rules=[{"column": "alignment", "minimum": 0.0}]
    )
    assert [outcome.reason for outcome in outcomes] == [DropReason.MISSING_VALUE, DropReason.MISSING_VALUE, DropReason.BELOW_MINIMUM]


def test_percentile_counts_among_what_earlier_rules_keep(tmp_path: Path):
    """Ten clips scored 0 to 9; the four best are too long; the top 50 % of the other six are 3, 4, 5."""
    items = [item(n, score=float(n), duration_s=500.0 if n >= 6 else 5.0) for n in range(10)]
    rules = [{"column": "duration_s", "maximum": 120}, {"column": "alignment", "top_ratio": 0.5}]
    outcomes = select(items, tmp_path, rules=rules)
    assert [n for n, outcome in enumerate(outcomes) if isinstance(outcome, Emit)] == [3, 4, 5]
    assert outcomes[2].reason is DropReason.BELOW_PERCENTILE


@settings(deadline=None)
@given(st.lists(st.floats(-1, 1, allow_nan=False), min_size=1, max_size=50), st.floats(0.01, 1.0))
def test_percentile_keeps_the_highest(tmp_path_factory: pytest.TempPathFactory, values: list[float], ratio: float):
    """At least the asked share (rounded down, never none) is kept, nothing dropped is above anything kept, ties stay together."""
    outcomes = select(
        [item(n, score=value) for n, value in enumerate(values)],
        tmp_path_factory.getbasetemp(),
        rules=[{"column": "alignment", "top_ratio": ratio}],
    )
    kept = [value for value, outcome in zip(values, outcomes, strict=True) if isinstance(outcome, Emit)]
    dropped = [value for value, outcome in zip(values, outcomes, strict=True) if not isinstance(outcome, Emit)]
    wanted = max(1, math.floor(len(values) * ratio + 1e-9))
    assert len(kept) >= wanted
    assert not dropped or max(dropped) < min(kept)
    assert sum(value > min(kept) for value in values) < wanted


def test_no_clips_at_all(tmp_path: Path):
    assert select([], tmp_path, rules=[{"column": "alignment", "top_ratio": 0.3}]) == []


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"column": "motion"}, "a rule needs exactly one of where"),
        ({"where": "motion > (select 1)"}, "uses subquery"),
        ({"column": "motion", "minimum": 2, "maximum": 1}, "nothing would be kept"),
        ({"column": "motion", "top_ratio": 0}, "greater than 0"),
        ({"column": "motion", "minimun": 1}, "did you mean 'minimum'"),
    ],
)
def test_wrong_rules(rule: dict, words: str):
    with pytest.raises(UsageError, match=words):
        build_stage("select_clips", {"selections": {"default": {"rules": [rule]}}})


def test_an_infinite_score_has_its_place(tmp_path: Path):
    outcomes = select([item(0, score=float(np.inf)), item(1, score=0.1)], tmp_path, rules=[{"column": "alignment", "top_ratio": 0.5}])
    assert [type(outcome) for outcome in outcomes] == [Emit, Drop]


def test_several_selections_share_one_pass(tmp_path: Path):
    """A clip in two of three selections gives two rows, and the third's reason stands among the drops."""
    selections = {
        "short": {"rules": [{"where": "duration_s < 6"}]},
        "best": {"rules": [{"column": "alignment", "top_ratio": 0.34}]},
        "titled": {"rules": [{"where": "video_title ilike '%nothing%'"}]},
    }
    items = [item(0, score=0.9), item(1, score=0.5), item(2, score=0.1, duration_s=9.0)]
    outcomes = select(items, tmp_path, selections=selections)
    assert [row.selection for row in outcomes[0].records] == ["short", "best"]
    assert [(part.item_id, part.reason) for part in outcomes[0].dropped_parts] == [("v0_0_0/titled", DropReason.NOT_MATCHING)]
    assert [row.item_id for row in outcomes[1].records] == ["v1_0_1/short"]
    assert (outcomes[2].reason, len(outcomes[2].dropped_parts)) == (DropReason.NOT_MATCHING, 3)


def test_a_draw_and_a_quota_say_so(tmp_path: Path):
    items = [item(n) for n in range(6)]
    drawn = select(items, tmp_path, rules=[{"draw": {"num_clips": 2, "per_video": True}}])
    assert sorted(type(outcome).__name__ for outcome in drawn) == ["Drop"] * 4 + ["Emit"] * 2
    assert {outcome.message for outcome in drawn if isinstance(outcome, Drop)} == {
        "is not among the draw of 2 clips, weight 1/(clips of its video), seed 42"
    }
    quota = select(items, tmp_path, rules=[{"column": "height_px", "most_per_value": 4}])
    assert [outcome.reason for outcome in quota if isinstance(outcome, Drop)] == [DropReason.OVER_QUOTA] * 2
