"""When each frame is shown, from what the container says; whatever it says, times end up strictly increasing."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from internvid_pipeline.errors import DamagedMedia

NO_TIME = np.iinfo(np.int64).min
_MAX_SHIFT_S = 1.0  # decoders reorder over at most 16 frames; a larger shift is a jump of the clock and not a reordering
_FALLBACK_FPS = 25  # what ffmpeg assumes for a bare elementary stream


@dataclass(frozen=True)
class FrameTimes:
    """pts: int64 [num_frames], strictly increasing, in `time_base` seconds, on the container's clock. end_pts: when the last frame
    stops being shown. repaired: the container's own times were missing or out of order and were mended."""

    pts: NDArray[np.int64]
    end_pts: int
    time_base: Fraction
    repaired: bool

    @property
    def num_frames(self) -> int:
        """How many frames there are."""
        return len(self.pts)

    def end_of(self, frame: int) -> int:
        """When frame `frame` stops being shown: when the next one begins."""
        return int(self.pts[frame + 1]) if frame + 1 < len(self.pts) else self.end_pts

    def seconds(self, pts: int) -> float:
        """A time in seconds on the container's clock."""
        return float(pts * self.time_base)


def display_times(
    pts: NDArray[np.int64], dts: NDArray[np.int64], last_duration: int, time_base: Fraction, rate: Fraction | None
) -> FrameTimes:
    """Times of frames that were decoded in display order.

    pts, dts: int64 [num_frames] as the decoder gave them, NO_TIME where missing. last_duration: of the last frame, 0 if unknown.
    rate: frames per second as the container states it.

    Rule: the pts, if every frame has one; else the decoding times; gaps are filled at the mean frame duration. If they do not increase
    (containers that carry decoding order only, such as ASF with B-frames), the same times are dealt out in order. Raises DamagedMedia
    where that would move a frame by more than a second: the clock jumps, as in joined broadcast recordings.
    """
    step = _frame_step(pts, time_base, rate)
    complete = bool((pts != NO_TIME).all())
    known = pts if complete else _filled(np.where(dts != NO_TIME, dts, pts) if (dts != NO_TIME).any() else pts, step)
    ordered = np.sort(known)
    ranks = np.arange(len(ordered), dtype=np.int64)
    increasing = np.maximum.accumulate(ordered - ranks) + ranks
    shift = np.abs(increasing - known)
    worst = int(shift.argmax())
    if shift[worst] * time_base > _MAX_SHIFT_S:
        raise DamagedMedia(
            f"its clock jumps: frame {worst} says {float(int(known[worst]) * time_base):.3f} s out of order by "
            f"{float(int(shift[worst]) * time_base):.1f} s; remux it with continuous time stamps"
        )
    repaired = not complete or bool((increasing != pts).any())
    return FrameTimes(increasing, int(increasing[-1]) + (last_duration if last_duration > 0 else step), time_base, repaired)


def _frame_step(pts: NDArray[np.int64], time_base: Fraction, rate: Fraction | None) -> int:
    steps = np.diff(np.unique(pts[pts != NO_TIME]))
    if len(steps):
        return max(1, int(np.median(steps)))
    return max(1, round(1 / ((rate or _FALLBACK_FPS) * time_base)))


def _filled(times: NDArray[np.int64], step: int) -> NDArray[np.int64]:
    """Missing times counted on from the last known one, or back from the first; from 0 where none is known."""
    known = np.flatnonzero(times != NO_TIME)
    if len(known) == 0:
        return np.arange(len(times), dtype=np.int64) * step
    frames = np.arange(len(times))
    anchor = known[np.maximum(np.searchsorted(known, frames, side="right") - 1, 0)]
    filled: NDArray[np.int64] = times[anchor] + (frames - anchor) * step
    return filled
