"""A frame as 864 numbers: luma on a grid of 32 x 18 cells and both chroma planes on 16 x 9; and how two such frames compare.

Whatever the picture's proportions, the grid covers all of it: content is compared, not shape. In 32 x 18 cells grain and compression
have averaged out, while two shots still differ nearly everywhere.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from internvid_pipeline.media.small import SmallPicture

Floats = NDArray[np.float32]

COLUMNS, ROWS = 32, 18
NUM_LUMA = COLUMNS * ROWS
_CHROMA = (COLUMNS // 2, ROWS // 2)
NUM_CELLS = NUM_LUMA + 2 * _CHROMA[0] * _CHROMA[1]
_CHROMA_WEIGHT = 1.5  # chroma spans a narrower range than luma
_DARK = 24.0  # video black is 16: cells darker than this in both frames are bars
HALVED_SPREAD = 40.0
_FLAT_VARIANCE = 36.0  # structure below six levels of luma is noise


def cells(picture: SmallPicture) -> Floats:
    """float32 [864]: luma 0 to 255 row by row, then U and V, each times 1.5."""
    luma = cv2.resize(picture.luma, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA).ravel()
    planes = [cv2.resize(plane, _CHROMA, interpolation=cv2.INTER_AREA).ravel() for plane in picture.chroma]
    return np.concatenate([luma.astype(np.float32), *(_CHROMA_WEIGHT * plane.astype(np.float32) for plane in planes)])


def quantiles(frames: Floats) -> Floats:
    """float32 [n, 40] of frames [n, 864]: 24 quantiles of luma, 8 of each chroma plane. They stay the same when things only move."""
    luma = np.sort(frames[:, :NUM_LUMA], axis=1)[:, 10::24]
    half = (NUM_CELLS - NUM_LUMA) // 2
    chroma = [np.sort(frames[:, start : start + half], axis=1)[:, 6::18] for start in (NUM_LUMA, NUM_LUMA + half)]
    return np.concatenate([luma, *chroma], axis=1)


def colour_distances(a: Floats, b: Floats) -> tuple[Floats, Floats, Floats]:
    """Of quantiles [n, 40]: mean distance in luma, the same after the mean is taken out, and in chroma (both planes added). This is the
    Wasserstein distance of the histograms."""
    luma_a, luma_b = a[:, :24], b[:, :24]
    centred = (luma_a - luma_a.mean(axis=1, keepdims=True)) - (luma_b - luma_b.mean(axis=1, keepdims=True))
    return np.abs(luma_a - luma_b).mean(axis=1), np.abs(centred).mean(axis=1), 2 * np.abs(a[:, 24:] - b[:, 24:]).mean(axis=1)


def unlikeness(a: Floats, b: Floats) -> Floats:
    """Of frames [n, 864]: the part of their luma's structure that gain and offset do not carry over from one to the other. 0: the same
    picture in another light; 1: unrelated. Dark bars are left out."""
    luma_a, luma_b = a[:, :NUM_LUMA], b[:, :NUM_LUMA]
    seen = (np.maximum(luma_a, luma_b) > _DARK).astype(np.float32)
    count = np.maximum(seen.sum(axis=1), 1.0)
    mean_a, mean_b = (luma_a * seen).sum(axis=1) / count, (luma_b * seen).sum(axis=1) / count
    centred_a, centred_b = (luma_a - mean_a[:, None]) * seen, (luma_b - mean_b[:, None]) * seen
    covariance = _dot(centred_a, centred_b) / count
    spread = (_dot(centred_a, centred_a) / count + _FLAT_VARIANCE) * (_dot(centred_b, centred_b) / count + _FLAT_VARIANCE)
    return np.where(count < 40, 0.0, 1.0 - np.maximum(covariance, 0.0) / np.sqrt(spread)).astype(np.float32)


def _dot(a: Floats, b: Floats) -> Floats:
    return np.asarray(np.einsum("nk,nk->n", a, b), np.float32)


def halved(frames: Floats) -> Floats:
    """Luma of frames [n, 864] on 16 x 9 cells, float32 [n, 144], with mean 128 and standard deviation 40 (of flat ones less)."""
    luma = frames[:, :NUM_LUMA]
    luma = (luma - luma.mean(axis=1, keepdims=True)) / np.maximum(luma.std(axis=1, keepdims=True), np.float32(6.0))
    coarse = luma.reshape(-1, ROWS // 2, 2, COLUMNS // 2, 2).mean(axis=(2, 4)).reshape(len(frames), -1)
    return np.asarray(128 + HALVED_SPREAD * coarse, np.float32)


class BlockMatch:
    """Best match of each block of one frame within another, as in motion estimation. rows, columns: of the frames. reach: how far a block
    may have come from, in cells (rows, columns). block: its size in cells (rows, columns)."""

    def __init__(self, rows: int, columns: int, reach: tuple[int, int], block: tuple[int, int]) -> None:
        self._size, self._reach = (rows, columns), reach
        y, x = np.mgrid[:rows, :columns]
        self.shifts = np.array([(dy, dx) for dy in range(-reach[0], reach[0] + 1) for dx in range(-reach[1], reach[1] + 1)])
        places = [(np.clip(y + dy, 0, rows - 1) * columns + np.clip(x + dx, 0, columns - 1)).ravel() for dy, dx in self.shifts]
        self.sources = np.array(places)
        self._blocks = (columns // block[1], len(self.shifts) * (rows // block[0]))

    def match(self, before: Floats, after: Floats) -> tuple[Floats, NDArray[np.int64]]:
        """Mean absolute difference, float32 [n], that is left of `after` [n, rows * columns] once each of its blocks is taken from the best
        place in `before`; and which of `shifts` (rows, columns) suits the whole frame best: its cells then come from `sources`. Values are
        rounded to 0 to 255."""
        left, best = np.empty(len(before), np.float32), np.empty(len(before), np.int64)
        old = np.clip(np.rint(before), 0, 255).astype(np.uint8).reshape(-1, *self._size)
        new = np.clip(np.rint(after), 0, 255).astype(np.uint8).reshape(-1, *self._size)
        for number in range(len(left)):
            blocks = self._differences(old[number], new[number])
            left[number] = blocks.min(axis=0).mean()
            best[number] = blocks.sum(axis=1).argmin()
        return left, best

    def residual(self, before: Floats, after: Floats) -> Floats:
        """The first answer of `match`."""
        return self.match(before, after)[0]

    def _differences(self, old: NDArray[np.uint8], new: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """[shifts, blocks]"""
        shifted = old.ravel()[self.sources].reshape(-1, self._size[1])
        difference = cv2.absdiff(shifted, np.tile(new, (len(self.shifts), 1)))
        blocks = cv2.resize(difference, self._blocks, interpolation=cv2.INTER_AREA)  # the means of whole blocks
        return np.asarray(blocks.reshape(len(self.shifts), -1), dtype=np.uint8)


NEAR = BlockMatch(ROWS, COLUMNS, reach=(2, 3), block=(3, 4))
FAR = BlockMatch(ROWS // 2, COLUMNS // 2, reach=(3, 4), block=(3, 4))
