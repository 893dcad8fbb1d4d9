"""What runs at once: by what fits on the nodes as they are. And which pools stages get."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from internvid_pipeline.config import StagePlacement, config_from
from internvid_pipeline.engine import build_plan
from internvid_pipeline.engine.segments import Node, cut_segments, segment_lines
from internvid_pipeline.errors import SetupError, UsageError
from internvid_pipeline.stage import Resources
from tests.conftest import toy_config


def plans(*needs: dict[str, float], min_workers: int = 1, barrier: int | None = None):
    one = build_plan(toy_config("memory://x", "/videos"), 1)[0]  # type: ignore[arg-type]
    made = []
    for index, need in enumerate(needs):
        custom = {name: amount for name, amount in need.items() if name not in ("CPU", "GPU")}
        resources = Resources(cpus=need.get("CPU", 1.0), gpus=need.get("GPU", 0.0))
        made.append(
            replace(one, name=f"s{index}", resources=resources, custom=custom, min_workers=min_workers, needs_reduce=index == barrier)
        )
    return made


def names(segments) -> list[list[str]]:
    return [[plan.name for plan in segment] for segment in segments]


def test_everything_at_once_where_it_fits():
    assert names(cut_segments(plans({"CPU": 1}, {"CPU": 1}), [{"CPU": 2}])) == [["s0", "s1"]]
    assert names(cut_segments(plans({"CPU": 64}, {"GPU": 8}), None)) == [["s0", "s1"]]


def test_one_gpu_and_many_models():
    gpu = {"CPU": 1, "GPU": 1}
    segments = cut_segments(plans({"CPU": 1}, gpu, gpu, {"CPU": 1}), [{"CPU": 8, "GPU": 1}])
    assert names(segments) == [["s0", "s1"], ["s2", "s3"]]
    assert segment_lines(segments) == ["segment 1 of 2: s0, s1", "segment 2 of 2: s2, s3 (has no room beside those before it)"]


def test_parts_of_a_gpu_are_parts_of_one():
    part = {"CPU": 1, "GPU": 0.6}
    assert names(cut_segments(plans(part, part), [{"CPU": 8, "GPU": 2}])) == [["s0", "s1"]]
    assert names(cut_segments(plans(part, part, part), [{"CPU": 8, "GPU": 2}])) == [["s0", "s1"], ["s2"]]
    half = {"CPU": 1, "GPU": 0.5}
    assert names(cut_segments(plans(half, half, {"CPU": 1, "GPU": 1}), [{"CPU": 8, "GPU": 2}])) == [["s0", "s1", "s2"]]


def test_nodes_are_not_one_machine():
    two = [{"CPU": 2}, {"CPU": 2}]
    with pytest.raises(SetupError, match=r"s0 needs 4 cpus for one worker and no machine has more than 2; .*stages\.s0\.cpus=2"):
        cut_segments(plans({"CPU": 4}), two)
    assert names(cut_segments(plans({"CPU": 1.5}, {"CPU": 1.5}, {"CPU": 1}), two)) == [["s0", "s1"], ["s2"]]


def test_what_is_missing_is_named():
    with pytest.raises(SetupError, match=r"s0 needs 1 gpus .* no machine has more than 0"):
        cut_segments(plans({"CPU": 1, "GPU": 1}), [{"CPU": 8}])
    with pytest.raises(SetupError, match=r"s0 needs 1 of 'fast_disk' .*custom\.fast_disk=0"):
        cut_segments(plans({"CPU": 1, "fast_disk": 1}), [{"CPU": 8}])
    with pytest.raises(SetupError, match="no machine has all of it"):
        cut_segments(plans({"CPU": 4, "GPU": 1}), [{"CPU": 8}, {"CPU": 2, "GPU": 1}])
    with pytest.raises(SetupError, match="no machine has more than 0"):
        cut_segments(plans({"CPU": 1}), [])


def test_the_fewest_workers_count():
    assert names(cut_segments(plans({"CPU": 1}, {"CPU": 1}, min_workers=2), [{"CPU": 4}])) == [["s0", "s1"]]
    assert names(cut_segments(plans({"CPU": 1}, {"CPU": 1}, min_workers=2), [{"CPU": 3}])) == [["s0"], ["s1"]]
    assert names(cut_segments(plans({"CPU": 1}, {"CPU": 1}, min_workers=9), [{"CPU": 3}])) == [["s0"], ["s1"]], "more than there is: alone"


def test_a_barrier_begins_a_segment_and_says_why():
    segments = cut_segments(plans({"CPU": 1}, {"CPU": 1}, barrier=1), [{"CPU": 9}])
    assert segment_lines(segments)[1] == "segment 2 of 2: s1 (looks at many partitions at once)"
    assert segment_lines(segments[:1]) == []


SIZES = st.sampled_from([0.25, 0.5, 1.0, 2.0, 3.0])


@given(
    needs=st.lists(st.tuples(SIZES, st.sampled_from([0.0, 0.0, 0.3, 0.5, 1.0])), min_size=1, max_size=7),
    machines=st.lists(st.tuples(st.integers(1, 4), st.integers(0, 2)), min_size=1, max_size=4),
)
def test_segments_always_fit_and_keep_the_order(needs, machines):
    nodes = [{"CPU": float(cpus), "GPU": float(gpus)} for cpus, gpus in machines]
    made = plans(*({"CPU": cpus, "GPU": gpus} for cpus, gpus in needs))
    try:
        segments = cut_segments(made, nodes)
    except SetupError:
        assert any(not any(Node.of(node).take(plan.needs) for node in nodes) for plan in made)
        return
    assert [plan.name for segment in segments for plan in segment] == [plan.name for plan in made]
    for segment in segments:
        free = [Node.of(node) for node in nodes]
        order = sorted((plan.needs for plan in segment), key=lambda need: (need["GPU"], need["CPU"]), reverse=True)
        assert all(any(node.take(need) for node in free) for need in order)


def test_placement_of_a_stage():
    stages = {"toy_squares": {"min_workers": 3, "custom": {"fast_disk": 0.5}}, "toy_numbers": {"max_workers": 7}}
    config = toy_config("memory://x", "/videos", placement={"workers": 2, "stages": stages})  # type: ignore[arg-type]
    numbers, squares = build_plan(config, 1)
    assert (numbers.min_workers, numbers.max_workers, squares.min_workers, squares.max_workers) == (1, 7, 3, 3)
    assert squares.needs == {"CPU": 0.5, "GPU": 0.0, "fast_disk": 0.5}


@pytest.mark.parametrize(
    ("placement", "words"),
    [({"min_workers": 3, "max_workers": 2}, "max_workers 2 is less than min_workers 3"), ({"gpus": 1.5}, "a part of one GPU")],
)
def test_a_placement_that_cannot_be(placement: dict, words: str):
    with pytest.raises(UsageError, match=words):
        config_from({"root": "x", "stages": {"tests.toy_stages:Numbers": {}}, "placement": {"stages": {"toy_numbers": placement}}})
    assert StagePlacement(gpus=0.25).gpus == 0.25
