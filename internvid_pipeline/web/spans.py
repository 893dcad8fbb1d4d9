"""From the span that a list asks for to frames of the video that is there."""

from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from internvid_pipeline.records import ClipRequest

_SLACK_S = 0.5  # sites encode their videos anew in the course of years, and a frame or two at the end may go


def frame_range(
    pts: NDArray[np.int64], end_pts: int, time_base: Fraction, origin_s: float, start_s: float, end_s: float | None
) -> tuple[int, int] | None:
    """Frames [start, end) whose edges are nearest to a span; None where the span lies beyond the video, or ends more than half a second
    after it does: what is there is then another video, or a part of it.

    pts: int64 [num_frames], increasing, when each frame is shown, in `time_base` seconds; end_pts: when the last one ends. origin_s: time
    of the whole video's first frame on that clock (`VideoRecord.start_s`), from which lists count. start_s, end_s: the span; end None:
    to the end. Each edge is off by at most half a frame's time, and a span of at least one frame is never empty.
    """
    edges = np.append(pts, end_pts)
    base = float(time_base)
    if end_s is not None and origin_s + end_s > end_pts * base + _SLACK_S:
        return None
    first = _nearest(edges, (origin_s + start_s) / base)
    last = len(edges) - 1 if end_s is None else _nearest(edges, (origin_s + end_s) / base)
    if first >= len(pts):
        return None
    return first, max(last, first + 1)


def _nearest(edges: NDArray[np.int64], place: float) -> int:
    after = int(np.searchsorted(edges, place))
    if after == 0:
        return 0
    if after == len(edges):
        return after - 1
    return after if edges[after] - place <= place - edges[after - 1] else after - 1


def edges_s(requests: Iterable[ClipRequest], origin_s: float) -> tuple[float, ...]:
    """When spans begin and end, ascending, each time once. origin_s: as above."""
    ends = {origin_s + request.end_s for request in requests if request.end_s is not None}
    return tuple(sorted({origin_s + request.start_s for request in requests} | ends))


def request_of(requests: Sequence[ClipRequest], start_s: float, end_s: float, video_end_s: float, tolerance_s: float) -> ClipRequest | None:
    """The request that a clip was cut for: whose edges are nearest to its own (all counted from the video's first frame, ends exclusive),
    at most `tolerance_s` away each; of equal ones the first. A request that ends after the video counts as ending with it."""
    best: ClipRequest | None = None
    least = float("inf")
    for request in requests:
        asked_end_s = video_end_s if request.end_s is None else min(request.end_s, video_end_s)
        end_off = abs(asked_end_s - end_s)
        start_off = abs(request.start_s - start_s)
        if max(start_off, end_off) <= tolerance_s and start_off + end_off < least:
            best, least = request, start_off + end_off
    return best
