"""What may be copied, over any order of packets: what is copied can be decoded without what is not."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from internvid_pipeline.media.cut_plan import CutMode, plan_cut
from internvid_pipeline.media.lengths import clips_of_shot
from internvid_pipeline.media.packets import PacketIndex
from internvid_pipeline.media.times import FrameTimes


def index_of(groups: list[tuple[list[int], bool]]) -> PacketIndex:
    """groups: of pictures; each has the number of reordered pictures before each of its anchors, and whether it is open: then the
    pictures reordered before its first anchor are decoded after it, and need the group before too."""
    pts, starts, shown = [], [], 0
    for reordered, is_open in groups:
        for position, number in enumerate(reordered):
            leading = number if position or (is_open and pts) else 0
            pts += [shown + leading, *range(shown, shown + leading)]
            starts += [position == 0, *([False] * leading)]
            shown += leading + 1
    flags = np.zeros(len(pts), dtype=np.bool_)
    return PacketIndex(np.array(pts), np.array(starts), flags, ~flags, Fraction(1, 25), "hevc", None, True, None)


def times_of(index: PacketIndex) -> FrameTimes:
    return FrameTimes(np.sort(index.pts), len(index.pts), index.time_base, False)


@given(
    st.lists(st.tuples(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.booleans()), min_size=1, max_size=6),
    st.data(),
)
def test_copied_packets_need_no_others(groups: list[tuple[list[int], bool]], data: st.DataObject):
    index = index_of(groups)
    count = len(index.pts)
    start = data.draw(st.integers(0, count - 1))
    end = data.draw(st.integers(start + 1, count))
    plan = plan_cut(index, times_of(index), start, end, may_copy=True, may_join=True)
    assert plan is not None and (plan.start_frame, plan.end_frame) == (start, end)
    if plan.mode is CutMode.REENCODE:
        assert plan.reencoded == ((start, end),)
        return
    packets = range(plan.first_packet, plan.end_packet)
    first_pts = index.pts[plan.first_packet]
    copied = sorted(int(index.pts[packet]) for packet in packets if index.pts[packet] >= first_pts)
    assert copied == list(range(plan.copied_start, plan.copied_end)) and start <= plan.copied_start < plan.copied_end <= end
    assert index.starts[plan.first_packet]
    encoded = [frame for low, high in plan.reencoded for frame in range(low, high)]
    assert sorted([*copied, *encoded]) == list(range(start, end)) and len(encoded) == plan.num_reencoded
    assert (plan.mode is CutMode.COPY) == (not encoded)
    # As much as can be: the first start inside is taken, and the tail is no longer than one anchor with what is reordered before it.
    assert not any(index.starts[packet] for packet in range(count) if start <= index.pts[packet] < plan.copied_start)
    assert end - plan.copied_end <= 3


@pytest.mark.parametrize("rule", ["unsteady", "repaired", "may not", "lost frame"])
def test_nothing_is_copied_in_doubt(rule: str):
    index = index_of([([0, 1, 1], False)] * 3)
    times = times_of(index)
    if rule == "unsteady":
        index = PacketIndex(index.pts, index.starts, index.spare, index.shown, index.time_base, "h264", None, False, None)
    if rule == "repaired":
        times = FrameTimes(times.pts, times.end_pts, times.time_base, True)
    if rule == "lost frame":
        times = FrameTimes(np.delete(times.pts, 7), times.end_pts, times.time_base, False)
    plan = plan_cut(index, times, 0, times.num_frames, may_copy=rule != "may not", may_join=True)
    assert plan is not None and plan.mode is CutMode.REENCODE
    assert plan_cut(index, times, 0, times.num_frames, may_copy=rule != "may not", may_join=True, only_copy=True) is None


@given(
    st.lists(st.integers(1, 500), min_size=1, max_size=80), st.floats(0.05, 5), st.sampled_from(["keep", "split", "random_segment", "drop"])
)
def test_long_shots(steps_ms: list[int], max_s: float, rule: str):
    edges = np.cumsum([1000, *steps_ms])
    times = FrameTimes(edges[:-1], int(edges[-1]), Fraction(1, 1000), False)
    count = times.num_frames
    spans = clips_of_shot(times, 0, count, max_s, rule, "video")  # type: ignore[arg-type]
    assert spans == clips_of_shot(times, 0, count, max_s, rule, "video")  # type: ignore[arg-type]
    length_s = (edges[-1] - edges[0]) / 1000
    if rule == "keep" or length_s <= max_s:
        assert spans == [(0, count)]
        return
    assert (rule == "drop") == (spans == [])
    for start, end in spans:
        assert 0 <= start < end <= count
        assert (edges[end] - edges[start]) / 1000 <= max_s + 1e-9 or end - start == 1
    if rule == "split":
        assert [start for start, _ in spans] == [0, *(end for _, end in spans[:-1])] and spans[-1][1] == count
