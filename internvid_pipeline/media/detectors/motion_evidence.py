"""What tells a camera's motion from a transition: turning, zooming and blur, over frames picked from a window."""

import numpy as np
from numpy.typing import NDArray

from internvid_pipeline.media.detectors import grid
from internvid_pipeline.media.detectors.grid import NUM_LUMA, Floats


def motion(frames: Floats) -> tuple[Floats, Floats]:
    """Of frames [n, m, 864]: how much of the change from each to the next motion explains (a camera that turns: most of it; a dissolve:
    little), and how long the largest stride is, in cells of 16 x 9."""
    number, marks = frames.shape[:2]
    halves = grid.halved(frames.reshape(number * marks, -1)).reshape(number, marks, -1)
    before, after = halves[:, :-1].reshape(number * (marks - 1), -1), halves[:, 1:].reshape(number * (marks - 1), -1)
    left, shift = grid.FAR.match(before, after)
    still = np.abs(before - after).mean(axis=1).reshape(number, -1)
    stride = np.hypot(*grid.FAR.shifts[shift].T).reshape(number, -1)
    explained = left.reshape(number, -1).sum(axis=1) / (still.sum(axis=1) + 5)
    return explained, np.sort(stride, axis=1)[:, -2:].mean(axis=1).astype(np.float32)


_SCALES = (1.3, 1.7, 2.3, 3.0)


def _grown() -> NDArray[np.int64]:
    """[scales, 144]: from which cell of 16 x 9 each one comes when the middle of the picture is made larger."""
    y, x = np.mgrid[: grid.ROWS // 2, : grid.COLUMNS // 2].astype(np.float32)
    middle_y, middle_x, across = (grid.ROWS // 2 - 1) / 2, (grid.COLUMNS // 2 - 1) / 2, grid.COLUMNS // 2
    found = [np.rint(middle_y + (y - middle_y) / scale) * across + np.rint(middle_x + (x - middle_x) / scale) for scale in _SCALES]
    return np.array(found, np.int64).reshape(len(_SCALES), -1)


_GROWN = _grown()


def zoomed(a: Floats, b: Floats) -> Floats:
    """Least difference that a zoom in or out leaves between halved frames [n, 144], moved by up to three cells, against their spread."""
    least = np.full(len(a), np.float32(np.inf))
    for cells in _GROWN:
        for old, new in ((a, b), (b, a)):
            least = np.minimum(least, grid.FAR.residual(old[:, cells], new))
    return np.asarray(least / grid.HALVED_SPREAD, np.float32)


def blurs(frames: Floats) -> Floats:
    """Of frames [n, m, 864]: the least sharpness inside against that of the blunter end."""
    sharp = _edges(frames)
    return np.asarray(sharp[:, 1:-1].min(axis=1) / (np.minimum(sharp[:, 0], sharp[:, -1]) + 1), np.float32)


def _edges(frames: Floats) -> Floats:
    """Mean luma difference between neighbouring cells, [n, m] of frames [n, m, 864]: motion blur takes it away."""
    luma = frames[:, :, :NUM_LUMA].reshape(*frames.shape[:2], grid.ROWS, grid.COLUMNS)
    return np.asarray(np.abs(np.diff(luma, axis=3)).mean(axis=(2, 3)) + np.abs(np.diff(luma, axis=2)).mean(axis=(2, 3)), np.float32)
