"""What one decode of a whole video gives: scores for shot detectors, brightness, motion, damage, the exact time of every frame, and the
frames that models will look at."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from internvid_pipeline.media.detectors.base import Boundary
from internvid_pipeline.media.frames import KeptFrame
from internvid_pipeline.media.orientation import Orientation
from internvid_pipeline.media.times import FrameTimes


@dataclass(frozen=True)
class Shot:
    """Frames [start_frame, end_frame) of a video. luma_mean, luma_max: mean brightness of the shot, and of its brightest frame, 0 to 255.
    motion: mean absolute luma difference of neighbouring frames inside it, 0 to 255. num_damaged: its damaged frames."""

    start_frame: int
    end_frame: int
    luma_mean: float
    luma_max: float
    motion: float
    num_damaged: int


@dataclass(frozen=True)
class VideoScan:
    """times: of every frame. scores: what the detectors measured, float32 [num_frames] by column. luma_mean: float32 [num_frames], 0
    (black) to 255 (white), of the small pictures. luma_change: float32 [num_frames], mean absolute luma difference to the frame before, 0
    for the first. damaged: int64, numbers of damaged frames. interlaced: some frame is. broken_off: why the file is known to end too
    early, None where it is not. detectors: names of those whose scores are there, the one that placed the frames first. fast: frames that
    no other refers to were not decoded; their luma is that of the frame before. kept: frames for models, in time order."""

    times: FrameTimes
    scores: Mapping[str, NDArray[np.float32]]
    luma_mean: NDArray[np.float32]
    luma_change: NDArray[np.float32]
    damaged: NDArray[np.int64]
    interlaced: bool
    orientation: Orientation
    sample_aspect_ratio: Fraction
    broken_off: str | None
    detectors: tuple[str, ...] = ()
    fast: bool = False
    kept: tuple[KeptFrame, ...] = field(default=(), compare=False)

    @property
    def num_frames(self) -> int:
        """How many frames the video has."""
        return self.times.num_frames

    def shots(self, boundaries: Iterable[Boundary]) -> list[Shot]:
        """The video cut at the boundaries, without gaps."""
        inner = sorted({boundary.frame for boundary in boundaries})
        edges = (0, *(frame for frame in inner if 0 < frame < self.num_frames), self.num_frames)
        return [self.shot(start, end) for start, end in pairwise(edges)]

    def shot(self, start: int, end: int) -> Shot:
        """Frames [start, end) as a shot. A change into its first frame is not its motion."""
        change = self.luma_change[start + 1 : end]
        return Shot(
            start_frame=start,
            end_frame=end,
            luma_mean=float(self.luma_mean[start:end].mean(dtype=np.float64)),
            luma_max=float(self.luma_mean[start:end].max()),
            motion=float(change.mean(dtype=np.float64)) if len(change) else 0.0,
            num_damaged=int(np.searchsorted(self.damaged, end) - np.searchsorted(self.damaged, start)),
        )

    def black(self, max_luma: float) -> list[tuple[int, int]]:
        """Stretches [start, end) of frames whose mean brightness is at most `max_luma`."""
        return _stretches(self.luma_mean <= max_luma)

    def frozen(self, max_change: float) -> list[tuple[int, int]]:
        """Stretches [start, end) of at least two frames in which no frame differs from the one before by more than `max_change`."""
        still = self.luma_change <= max_change
        still[:1] = False
        return [(start - 1, end) for start, end in _stretches(still)]


def _stretches(where: NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], where, [False]]).astype(np.int8)))
    return [(int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True)]
