"""A frame as 864 numbers: luma on a grid of 32 x 18 cells and both chroma planes on 16 x 9; and how two such frames compare.

Whatever the picture's proportions, the grid covers all of it: content is compared, not shape. In 32 x 18 cells grain and compression
have averaged out, while two shots still differ nearly everywhere.
"""

from collections.abc import Sequence

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
_AT_ONCE = 64  # frames times shifts that are compared at once: as many as the fastest cache holds


def cells(pictures: Sequence[SmallPicture]) -> Floats:
    """float32 [n, 864] of pictures of one size: luma 0 to 255 row by row, then U and V, each times 1.5."""
    number = len(pictures)
    out = np.empty((number, NUM_CELLS), np.float32)
    out[:, :NUM_LUMA] = _shrunk([picture.luma for picture in pictures], (COLUMNS, ROWS))
    half = (NUM_CELLS - NUM_LUMA) // 2
    for plane, start in enumerate((NUM_LUMA, NUM_LUMA + half)):
        out[:, start : start + half] = _shrunk([picture.chroma[plane] for picture in pictures], _CHROMA)
    out[:, NUM_LUMA:] *= np.float32(_CHROMA_WEIGHT)
    return out


def _shrunk(planes: Sequence[NDArray[np.uint8]], size: tuple[int, int]) -> NDArray[np.uint8]:
    """One below the other, so that all are made smaller in one call: rows of cells never straddle two of them."""
    columns, rows = size
    stacked = np.concatenate(planes)
    return np.asarray(cv2.resize(stacked, (columns, rows * len(planes)), interpolation=cv2.INTER_AREA).reshape(len(planes), -1), np.uint8)


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
        y, x = np.mgrid[:rows, :columns]
        self.shifts = np.array([(dy, dx) for dy in range(-reach[0], reach[0] + 1) for dx in range(-reach[1], reach[1] + 1)])
        places = [(np.clip(y + dy, 0, rows - 1) * columns + np.clip(x + dx, 0, columns - 1)).ravel() for dy, dx in self.shifts]
        self.sources = np.array(places)
        self._from = np.ascontiguousarray(self.sources.T)
        self._in_blocks = (rows // block[0], block[0], columns // block[1], block[1])

    def match(self, before: Floats, after: Floats) -> tuple[Floats, NDArray[np.int64]]:
        """Mean absolute difference, float32 [n], that is left of `after` [n, rows * columns] once each of its blocks is taken from the best
        place in `before`; and which of `shifts` (rows, columns) suits the whole frame best: its cells then come from `sources`. Values are
        rounded to 0 to 255."""
        number, num_shifts = len(before), len(self.shifts)
        if number == 0:
            return np.zeros(0, np.float32), np.zeros(0, np.int64)
        old, new = _levels(before), _levels(after)
        block_rows, height, block_columns, width = self._in_blocks
        least = np.full((block_rows * block_columns, number), np.iinfo(np.uint16).max, np.uint16)
        sums = np.empty((num_shifts, number), np.uint32)
        at_once = max(1, _AT_ONCE // number)
        for start in range(0, num_shifts, at_once):
            there = np.take(old, self._from[:, start : start + at_once], axis=0, mode="clip")  # [cells, shifts, n]
            here = np.repeat(new[:, None], there.shape[1], axis=1)
            difference = np.maximum(there, here)
            difference -= np.minimum(there, here, out=there)
            rows = difference.reshape(block_rows, height, -1)
            rows = _added([rows[:, row] for row in range(height)]).reshape(block_rows * block_columns, width, -1)
            blocks = _added([rows[:, column] for column in range(width)]).reshape(len(least), -1, number)
            np.minimum(least, blocks.min(axis=1), out=least)
            sums[start : start + at_once] = blocks.sum(axis=0, dtype=np.uint32)
        return least.mean(axis=0, dtype=np.float32) / np.float32(height * width), sums.argmin(axis=0)

    def residual(self, before: Floats, after: Floats) -> Floats:
        """The first answer of `match`."""
        return self.match(before, after)[0]


def _added(parts: Sequence[NDArray[np.uint16]]) -> NDArray[np.uint16]:
    total = parts[0] + parts[1]
    for part in parts[2:]:
        total += part
    return total


def _levels(frames: Floats) -> NDArray[np.uint16]:
    """[cells, n] of frames [n, cells]: with the frames last, every step of a comparison works on whole runs of memory."""
    return np.ascontiguousarray(np.clip(np.rint(frames), 0, 255).astype(np.uint16).T)


NEAR = BlockMatch(ROWS, COLUMNS, reach=(2, 3), block=(3, 4))
FAR = BlockMatch(ROWS // 2, COLUMNS // 2, reach=(3, 4), block=(3, 4))
