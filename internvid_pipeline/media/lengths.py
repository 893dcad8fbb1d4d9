"""What becomes of a shot that is longer than a clip may be."""

import random
from itertools import pairwise
from typing import Literal

import numpy as np

from internvid_pipeline.media.times import FrameTimes

LongShots = Literal["drop", "keep", "split", "random_segment"]
Span = tuple[int, int]


def clips_of_shot(times: FrameTimes, start: int, end: int, max_s: float | None, long_shots: LongShots, video_id: str) -> list[Span]:
    """Frames [start, end) as spans of at most `max_s` seconds; empty where the shot is dropped.

    split: as few parts as possible, equally long but for whole frames. random_segment: one part of `max_s` (InternVid2,
    arXiv:2403.15377, appendix B.2: 30 s of a longer clip), drawn with the video's id and the shot's start as seed: the same on every
    machine.
    """
    first, last = int(times.pts[start]), times.end_of(end - 1)
    length_s = times.seconds(last - first)
    if max_s is None or length_s <= max_s or long_shots == "keep":
        return [(start, end)]
    if long_shots == "drop":
        return []
    shown = times.pts[start:end]
    if long_shots == "random_segment":
        room = last - first - int(max_s / times.time_base)
        begin = first + random.Random(f"{video_id} {first}").randint(0, max(0, room))
        low = start + int(np.searchsorted(shown, begin, side="right")) - 1
        ends = np.append(shown[1:], last)  # of each frame
        high = start + int(np.searchsorted(ends, int(times.pts[low]) + int(max_s / times.time_base), side="right"))
        return [(low, max(high, low + 1))]
    return _split(times, start, end, max_s, int(np.ceil(length_s / max_s))) if end - start > 1 else [(start, end)]


def _split(times: FrameTimes, start: int, end: int, max_s: float, parts: int) -> list[Span]:
    """Whole frames may make a part too long: it is halved again, down to single frames."""
    first, last = int(times.pts[start]), times.end_of(end - 1)
    wanted = [first + (last - first) * part // parts for part in range(1, parts)]
    inner = [start + int(np.searchsorted(times.pts[start:end], time)) for time in wanted]
    edges = sorted({start, *(min(max(edge, start + 1), end - 1) for edge in inner), end})
    spans: list[Span] = []
    for low, high in pairwise(edges):
        too_long = times.seconds(times.end_of(high - 1) - int(times.pts[low])) > max_s
        spans += _split(times, low, high, max_s, 2) if too_long and high - low > 1 else [(low, high)]
    return spans
