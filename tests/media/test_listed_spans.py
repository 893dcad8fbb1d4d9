"""From a list's times to frames, and to groups that do not overlap."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from internvid_pipeline.media.clip_plan import ClipSpan
from internvid_pipeline.media.listed_spans import apart, listed_spans
from internvid_pipeline.media.times import FrameTimes
from internvid_pipeline.web.spans import edges_s, request_of
from tests.stages.listed import request

TIMES = FrameTimes(np.arange(250, dtype=np.int64) + 50, 300, Fraction(1, 25), False)  # 10 s from 2.0 s on


def test_spans_once_and_in_order_and_what_lies_outside():
    asked = [(5.0, 6.0), (1.0, 2.0), (1.01, 1.99), (9.0, 10.4), (9.0, None), (20.0, 21.0), (20.0, 21.0), (8.0, 11.0)]
    requests = [request(start_s, end_s, f"{number}") for number, (start_s, end_s) in enumerate(asked)]
    found = listed_spans(TIMES, requests, 2.0)
    assert found.spans == ((25, 50), (125, 150), (225, 250))
    assert [one.caption for one in found.outside] == ["5", "7"], "a span that ends long after the video is of another one"
    assert edges_s(requests[:3], 2.0) == (3.0, 3.01, 3.99, 4.0, 7.0, 8.0)


def test_a_span_that_ends_shortly_after_the_video_finds_its_clip():
    requests = (request(9.0, 10.4, "to the end"), request(9.0, 9.5, "shorter"))
    for end_s, caption in ((10.0, "to the end"), (9.5, "shorter")):
        found = request_of(requests, 9.0, end_s, 10.0, 0.06)
        assert found is not None and found.caption == caption
    assert request_of(requests, 9.0, 9.7, 10.0, 0.06) is None


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 15)), max_size=30, unique=True))
def test_groups_do_not_overlap_and_lose_nothing(spans: list[tuple[int, int]]):
    clips = [ClipSpan(start, start + length, f"{start}-{length}") for start, length in spans]
    layers = apart(clips)
    assert sorted(span.stem for layer in layers for span in layer) == sorted(clip.stem for clip in clips)
    for layer in layers:
        assert all(before.end_frame <= after.start_frame for before, after in pairwise(layer))
    deepest = max((sum(clip.start_frame <= frame < clip.end_frame for clip in clips) for frame in range(60)), default=0)
    assert len(layers) == deepest, "as few groups as possible"
