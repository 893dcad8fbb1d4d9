"""When frames are shown, whatever the container says."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from internvid_pipeline.errors import DamagedMedia
from internvid_pipeline.media.times import NO_TIME, display_times

MILLI = Fraction(1, 1000)


def array(*values: int | None) -> np.ndarray:
    return np.array([NO_TIME if value is None else value for value in values], dtype=np.int64)


def test_good_times_stay_as_they_are():
    """Variable steps, a start offset: nothing is touched."""
    pts = array(834, 850, 900, 901)
    times = display_times(pts, pts, 25, MILLI, None)
    assert times.pts.tolist() == pts.tolist() and times.end_pts == 926 and not times.repaired
    assert [times.end_of(frame) for frame in range(4)] == [850, 900, 901, 926]
    assert times.seconds(850) == 0.85


def test_decoding_order_is_dealt_out_in_order():
    """ASF with B-frames carries decoding times: the real file s12 says 120, 200, 160, 280, 240."""
    times = display_times(array(120, 200, 160, 280, 240), array(120, 160, 200, 240, 280), 40, MILLI, None)
    assert times.pts.tolist() == [120, 160, 200, 240, 280] and times.repaired and times.end_pts == 320


def test_no_times_at_all():
    """A bare H.264 stream: frames at the stated rate from 0."""
    times = display_times(array(None, None, None), array(None, None, None), 0, Fraction(1, 90000), Fraction(30))
    assert times.pts.tolist() == [0, 3000, 6000] and times.end_pts == 9000 and times.repaired


def test_without_a_rate_25_is_assumed():
    assert display_times(array(None, None), array(None, None), 0, MILLI, None).pts.tolist() == [0, 40]


def test_gaps_are_filled():
    times = display_times(array(None, 40, None, 120), array(None, None, None, None), 40, MILLI, None)
    assert times.pts.tolist() == [0, 40, 120, 121] or times.pts.tolist()[1] == 40
    assert (np.diff(times.pts) > 0).all()


def test_decoding_times_where_pts_are_missing():
    """AVI: only some frames have a pts, all have a decoding time."""
    times = display_times(array(None, 1, None, 3), array(0, 1, 2, 3), 1, Fraction(1, 25), None)
    assert times.pts.tolist() == [0, 1, 2, 3]


def test_a_jumping_clock_is_refused():
    """Two recordings joined without remuxing: the second starts at 0 again. Sorting would interleave them."""
    pts = array(*range(0, 4000, 40), *range(0, 4000, 40))
    with pytest.raises(DamagedMedia, match=r"clock jumps.*remux"):
        display_times(pts, pts, 40, MILLI, None)


@given(st.lists(st.integers(1, 900), min_size=1, max_size=60), st.integers(-5000, 5000), st.randoms())
def test_any_order_within_a_second_ends_up_increasing(steps: list[int], start: int, random):
    """Steps of at most 0.9 s in pairs swapped at random: the result is the sorted row."""
    right = start + np.cumsum(np.array(steps, dtype=np.int64))
    mixed = right.copy()
    for first in range(0, len(mixed) - 1, 2):
        if random.random() < 0.5:
            mixed[[first, first + 1]] = mixed[[first + 1, first]]
    times = display_times(mixed, mixed, 1, MILLI, None)
    assert times.pts.tolist() == right.tolist() and times.end_pts > times.pts[-1]


@given(st.lists(st.one_of(st.none(), st.integers(0, 40)), min_size=1, max_size=20))
def test_always_strictly_increasing(values: list[int | None]):
    """Any nonsense within a second: missing, doubled, backwards."""
    times = display_times(array(*values), array(*values), 0, MILLI, Fraction(1000))
    assert (np.diff(times.pts) > 0).all() and times.end_pts > times.pts[-1] and times.num_frames == len(values)
