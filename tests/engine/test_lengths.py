"""Partitions are cut and begun by seconds of video, as far as anybody knows them."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from internvid_pipeline.config import SourceConfig
from internvid_pipeline.engine import build_plan
from internvid_pipeline.engine.appends import SourceIndex
from internvid_pipeline.engine.inputs import Input
from internvid_pipeline.engine.lengths import told_s, with_measured
from internvid_pipeline.engine.partitions import append_partitions, cut
from internvid_pipeline.records import SourceRecord
from internvid_pipeline.storage import Root, layout
from tests.conftest import toy_config
from tests.storage.test_manifest import MANIFEST


def source(number: int, **metadata: object) -> SourceRecord:
    return SourceRecord(source_id=f"{number}", uri=f"https://host/{number}", metadata_json=json.dumps(metadata))


@pytest.mark.parametrize(
    ("metadata", "seconds"),
    [
        ({"duration_s": 12.5}, 12.5),
        ({"duration": "90"}, 90.0),
        ({"title": 'a "duration": 7 in words', "duration": 3}, 3.0),
        ({"title": '"duration": 7'}, 0.0),
        ({"duration": "PT5M"}, 0.0),
        ({"duration": None}, 0.0),
        ({}, 0.0),
    ],
)
def test_what_a_list_says_of_a_length(metadata: dict, seconds: float):
    assert told_s(source(1, **metadata)) == seconds


@settings(max_examples=50, deadline=None)
@given(hours=st.lists(st.floats(0, 6).map(lambda value: round(value, 2)), max_size=40), most_videos=st.integers(1, 9))
def test_partitions_are_bounded_by_hours(hours: list[float], most_videos: int):
    records = [source(number, duration_s=one * 3600) for number, one in enumerate(hours)]
    parts = list(cut(records, SourceConfig(partition_hours=4), most_videos))
    assert [record for part in parts for record in part] == records
    for part in parts:
        assert 1 <= len(part) <= most_videos
        assert len(part) == 1 or sum(map(told_s, part)) <= 4 * 3600 + 1e-6


def test_the_longest_come_first_by_lists_by_sizes_and_by_what_was_found(tmp_path: Path, numbers_folder: Path):
    """Four partitions: a length in the list, a size, nothing and not done, nothing but the stage that brought it has found 200 s."""
    root = Root(str(tmp_path / "set"))
    inputs = [
        Input("https://host/listed", 10, {"duration": 300}),
        Input("/sized", 25_000_000),
        Input("https://host/unknown", None),
        Input("https://host/found", None),
    ]
    append_partitions(root, inputs, SourceConfig(path="x", partition_videos=1))
    seconds = SourceIndex(root).read().seconds
    assert seconds == {0: 300.0, 1: 100.0, 2: 0.0, 3: 0.0}
    plans = build_plan(toy_config(tmp_path / "set", numbers_folder), 4)
    fields = {**json.loads(MANIFEST.to_json()), "partition": 3, "video_s": 200.0}
    root.put_bytes_if_absent(layout.manifest(plans[0].folder, 3), json.dumps(fields).encode())
    assert with_measured(root, plans, seconds) == {0: 300.0, 1: 100.0, 2: 0.0, 3: 200.0}
    assert with_measured(root, plans[1:], seconds) == seconds, "a part of the plan that does not bring them knows nothing more"
