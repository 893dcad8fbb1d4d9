"""Which frames models look at."""

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from internvid_pipeline.media.frames import choose_frames, square_size
from internvid_pipeline.media.times import FrameTimes


def times_of(steps: list[int]) -> FrameTimes:
    edges = np.concatenate([[0], np.cumsum(np.array(steps, dtype=np.int64))])
    return FrameTimes(edges[:-1], int(edges[-1]), Fraction(1, 1000), repaired=False)


def test_one_per_second_and_the_middle():
    """20 s at 25 frames a second: 20 frames, one in the middle of each second, and frame 250."""
    choice = choose_frames(times_of([40] * 500), 0, 500, 1.0, 8)
    assert choice.middle == 250 and choice.frames == tuple(sorted({*range(12, 500, 25), 250}))


def test_at_least_the_minimum():
    """2 s: eight frames in steps of a quarter second, and the middle one."""
    choice = choose_frames(times_of([40] * 50), 0, 50, 1.0, 8)
    assert choice.frames == (3, 9, 15, 21, 25, 28, 34, 40, 46) and choice.middle == 25


def test_all_of_a_short_clip():
    assert choose_frames(times_of([40] * 100), 10, 15, 1.0, 8).frames == (10, 11, 12, 13, 14)
    assert choose_frames(times_of([40]), 0, 1, 1.0, 8).frames == (0,)


def test_one_long_frame_does_not_starve_the_others():
    """Variable frame rate: a frame of 10 s among twenty of 10 ms. By time alone only it would be seen."""
    choice = choose_frames(times_of([10] * 10 + [10_000] + [10] * 10), 0, 21, 0.1, 8)
    assert len(choice.frames) >= 8 and choice.middle == 10 and 10 in choice.frames


@given(st.lists(st.integers(1, 2000), min_size=1, max_size=80), st.floats(0.05, 30), st.integers(1, 20), st.data())
def test_always_inside_ascending_and_enough(steps: list[int], per_second: float, minimum: int, data: st.DataObject):
    start = data.draw(st.integers(0, len(steps) - 1))
    end = data.draw(st.integers(start + 1, len(steps)))
    times = times_of(steps)
    choice = choose_frames(times, start, end, per_second, minimum)
    assert list(choice.frames) == sorted(set(choice.frames)) and choice.middle in choice.frames
    assert start <= choice.frames[0] and choice.frames[-1] < end
    assert len(choice.frames) >= min(minimum, end - start)
    half = (int(times.pts[start]) + times.end_of(end - 1)) / 2
    assert times.pts[choice.middle] <= half < times.end_of(choice.middle) + 0.5


@given(st.integers(1, 9000), st.integers(1, 9000), st.fractions(Fraction(1, 4), Fraction(4)), st.one_of(st.none(), st.integers(16, 4000)))
def test_nothing_is_enlarged(width: int, height: int, ratio: Fraction, max_side: int | None):
    new_width, new_height = square_size(width, height, ratio, max_side)
    assert 1 <= new_width <= width and 1 <= new_height <= height
    assert max_side is None or max(new_width, new_height) <= max_side
    if min(new_width, new_height) > 50:
        assert abs(new_width / new_height / (width / height * float(ratio)) - 1) < 0.03
