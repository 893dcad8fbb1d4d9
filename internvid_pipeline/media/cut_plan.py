"""Which packets of a span can be copied, and which frames at its edges have to be decoded and encoded again."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from internvid_pipeline.media.packets import PacketIndex
from internvid_pipeline.media.times import FrameTimes

# Codecs that mp4 holds and that training readers (decord, torchcodec, OpenCV, PyAV) decode. Others are always encoded again.
COPIED_CODECS = ("h264", "hevc", "vp9", "av1")
_LEAST_COPIED_FRAMES = 8  # a copied part that is shorter saves nothing worth a seam


class CutMode(StrEnum):
    """How a clip was made: all packets copied; copied but for the frames at an edge; all frames encoded again."""

    COPY = "copy"
    SMART = "smart"
    REENCODE = "reencode"


@dataclass(frozen=True)
class CutPlan:
    """Frames [start_frame, end_frame) will be in the clip; of these [copied_start, copied_end) are copied: the packets
    [first_packet, end_packet), in decoding order, but for those shown before the first of them."""

    mode: CutMode
    start_frame: int
    end_frame: int
    copied_start: int = 0
    copied_end: int = 0
    first_packet: int = 0
    end_packet: int = 0

    @property
    def num_reencoded(self) -> int:
        """Frames that are encoded again."""
        return self.end_frame - self.start_frame - (self.copied_end - self.copied_start)

    @property
    def reencoded(self) -> tuple[tuple[int, int], ...]:
        """Ranges of frames that are encoded again, ascending."""
        if self.mode is CutMode.REENCODE:
            return ((self.start_frame, self.end_frame),)
        ranges = ((self.start_frame, self.copied_start), (self.copied_end, self.end_frame))
        return tuple((start, end) for start, end in ranges if start < end)


def plan_cut(
    index: PacketIndex | None, times: FrameTimes, start: int, end: int, *, may_copy: bool, may_join: bool, only_copy: bool = False
) -> CutPlan | None:
    """For frames [start, end). may_copy: copying all of it is allowed; may_join: also a part of it. only_copy: the longest span inside
    [start, end) that can be copied exactly, None where there is none.

    Rule: copying begins at the first packet of the span at which a decoder can start, and ends before the first one in decoding order
    that is not of the span, or that would leave a frame out between copied ones: no copied packet then refers to one that is missing.
    """
    whole = CutPlan(CutMode.REENCODE, start, end)
    copied = None if index is None or times.repaired or not index.steady or not may_copy else _copied(index, times, start, end)
    if copied is None:
        return None if only_copy else whole
    if only_copy:
        return CutPlan(CutMode.COPY, copied.copied_start, copied.copied_end, *_fields(copied))
    if copied.num_reencoded == 0:
        return copied
    if may_join and copied.copied_end - copied.copied_start >= _LEAST_COPIED_FRAMES:
        return CutPlan(CutMode.SMART, start, end, *_fields(copied))
    return whole


def _fields(plan: CutPlan) -> tuple[int, int, int, int]:
    return plan.copied_start, plan.copied_end, plan.first_packet, plan.end_packet


def _copied(index: PacketIndex, times: FrameTimes, start: int, end: int) -> CutPlan | None:
    wanted = times.pts[start:end]
    inside = index.positions(int(wanted[0]), int(wanted[-1]) + 1)
    if not np.array_equal(index.pts[inside], wanted):
        return None  # frames and packets are not one to one: pairs of fields, frames lost in decoding
    inside = np.sort(inside)
    possible = inside[index.starts[inside]]
    if len(possible) == 0:
        return None
    first = int(possible[0])
    ours = inside[index.pts[inside] >= index.pts[first]]
    stop = _stop(index, first, ours)
    if stop <= first:
        return None
    copied_start = start + int(np.searchsorted(wanted, index.pts[first]))
    num_copied = int((ours < stop).sum())
    return CutPlan(CutMode.COPY, start, end, copied_start, copied_start + num_copied, first, stop)


def _stop(index: PacketIndex, first: int, ours: NDArray[np.int64]) -> int:
    """The packet before which copying from `first` on ends. ours: positions of the packets that may be copied, ascending."""
    end = int(ours[-1]) + 1
    is_ours = np.zeros(end - first, dtype=np.bool_)
    is_ours[ours - first] = True
    is_leading = index.pts[first:end] < index.pts[first]  # shown before the first copied one: left out
    others = np.flatnonzero(~is_ours & ~is_leading)
    stop = first + int(others[0]) if len(others) else end
    while True:
        left = ours[ours >= stop]
        kept = ours[ours < stop]
        if len(left) == 0 or len(kept) == 0:
            return stop
        after = kept[index.pts[kept] > index.pts[left].min()]
        if len(after) == 0:
            return stop
        stop = int(after[0])
