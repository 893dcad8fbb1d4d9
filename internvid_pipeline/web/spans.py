"""From the span that a list asks for to frames of the video that is there."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from internvid_pipeline.records import ClipRequest


def frame_range(
    pts: NDArray[np.int64], end_pts: int, time_base: Fraction, origin_s: float, start_s: float, end_s: float | None
) -> tuple[int, int] | None:
    """Frames [start, end) whose edges are nearest to a span; None where the span lies beyond the video.

    pts: int64 [num_frames], increasing, when each frame is shown, in `time_base` seconds; end_pts: when the last one ends. origin_s: time
    of the whole video's first frame on that clock (`VideoRecord.start_s`), from which lists count. start_s, end_s: the span; end None:
    to the end. Each edge is off by at most half a frame's time, and a span of at least one frame is never empty.
    """
    edges = np.append(pts, end_pts)
    base = float(time_base)
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


def request_of(requests: Sequence[ClipRequest], start_s: float, end_s: float, tolerance_s: float) -> ClipRequest | None:
    """The request that a clip was cut for: whose edges are nearest to its own (both counted from the video's first frame, the clip's end
    exclusive), at most `tolerance_s` away each; of equal ones the first."""
    best: ClipRequest | None = None
    least = float("inf")
    for request in requests:
        end_off = 0.0 if request.end_s is None else abs(request.end_s - end_s)
        start_off = abs(request.start_s - start_s)
        if max(start_off, end_off) <= tolerance_s and start_off + end_off < least:
            best, least = request, start_off + end_off
    return best
