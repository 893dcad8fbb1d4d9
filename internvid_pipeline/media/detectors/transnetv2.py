"""TransNetV2 as a second opinion (T. Soucek and J. Lokoc, "TransNet V2: An effective deep network architecture for fast shot
transition detection", arXiv 2008.04838). The network itself is handed in: `models/transnetv2.py` loads it."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from internvid_pipeline.media.detectors.base import Boundary
from internvid_pipeline.media.small import SmallPicture

CUT_COLUMN, TRANSITION_COLUMN = "transnetv2", "transnetv2_all"
SIZE_PX = (48, 27)
_WINDOW, _STEP, _MARGIN = 100, 50, 25  # of the authors' inference code: of each window of 100 the middle 50 count
THRESHOLD = 0.5  # the paper's, section 4


class ShotNetwork(Protocol):
    """frames: uint8 [100, 27, 48, 3], RGB. Returns float32 [2, 100], 0 to 1: how likely each frame is the one that stands for a
    transition, and how likely it belongs to one."""

    def __call__(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See the class."""


class TransNetV2Scorer:
    """Every frame in 48x27 RGB through the network, in windows of 100 that overlap by half; the ends are padded with the first and last
    frame, as the authors do. Memory: 100 small frames."""

    name = "transnetv2"
    columns: tuple[str, ...] = (CUT_COLUMN, TRANSITION_COLUMN)
    needs_bgr = True

    def __init__(self, network: ShotNetwork) -> None:
        self._network = network
        self._waiting: list[NDArray[np.uint8]] = []
        self._scores: list[NDArray[np.float32]] = []
        self._num_frames = 0

    def process(self, frame: int, picture: SmallPicture) -> None:
        """See FrameScorer."""
        import cv2

        if picture.bgr is None:
            raise ValueError("picture.bgr is None; this scorer needs it")
        small: NDArray[np.uint8] = np.asarray(cv2.resize(picture.bgr, SIZE_PX, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        small = small[..., ::-1]
        if not self._num_frames:
            self._waiting = [small] * _MARGIN
        self._num_frames += 1
        self._add(small)

    def finish(self) -> Mapping[str, NDArray[np.float32]]:
        """See FrameScorer."""
        while self._num_frames and len(self._scores) * _STEP < self._num_frames:
            self._add(self._waiting[-1])
        both = np.concatenate(self._scores, axis=1)[:, : self._num_frames] if self._scores else np.zeros((2, 0), np.float32)
        return {CUT_COLUMN: both[0].astype(np.float32), TRANSITION_COLUMN: both[1].astype(np.float32)}

    def _add(self, small: NDArray[np.uint8]) -> None:
        self._waiting.append(small)
        if len(self._waiting) == _WINDOW:
            self._scores.append(self._network(np.stack(self._waiting))[:, _MARGIN : _MARGIN + _STEP])
            del self._waiting[:_STEP]


def transnetv2_boundaries(
    scores: Mapping[str, NDArray[np.float32]], threshold: float = THRESHOLD, min_scene_frames: int = 0
) -> tuple[Boundary, ...]:
    """One boundary per run of frames at or above the threshold, at its highest. The network marks the last frame of the old shot, so
    that the new one begins a frame later; a run that the second head sees as long is gradual."""
    single, both = scores[CUT_COLUMN], scores[TRANSITION_COLUMN]
    found: list[Boundary] = []
    for start, end in _runs(single >= threshold):
        peak = start + int(single[start:end].argmax())
        if peak + 1 >= len(single) or (found and peak + 1 - found[-1].frame < min_scene_frames):
            continue
        first, last = _extent(both >= threshold, peak)
        score = float(single[peak])
        if last - first <= 2:
            found.append(Boundary(peak + 1, "cut", peak + 1, peak + 1, score))
        else:
            found.append(Boundary(peak + 1, "gradual", first, max(last, peak + 2), score))
    return tuple(found)


def _runs(above: NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], above, [False]]).astype(np.int8)))
    return [(int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True)]


def _extent(inside: NDArray[np.bool_], peak: int) -> tuple[int, int]:
    first = last = peak
    while first > 0 and inside[first - 1]:
        first -= 1
    while last < len(inside) and inside[last]:
        last += 1
    return first, last
