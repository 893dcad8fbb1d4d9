"""Is there a hard cut between frame n - 1 and frame n? A jump that stands out from the changes around it, that no change of light
explains, and after which the old view does not come back (flashes, strobes, a finger before the lens)."""

import numpy as np
from numpy.typing import NDArray

from internvid_pipeline.media.detectors import change, grid
from internvid_pipeline.media.detectors.grid import NUM_LUMA, Floats
from internvid_pipeline.media.detectors.window_evidence import Track

EVIDENCE = ("moved", "ratio", "comes_back", "like_later", "unlike", "matched", "shape", "chroma", "share")
REACH = 12  # frames on either side that are looked at
MIN_RATIO, MIN_JUMP = 1.4, 3.0  # below, nothing is looked at: all cuts of our made corpus lie above
_NEIGHBOURS = 6
_QUIET = 2.0
_GAPS = (2, 4, 6, 8, 12)


def jumps(changes: Floats) -> Floats:
    """float32 [n] of changes [n, 8]: change left after block motion, in luma and some chroma."""
    return changes[:, change.MOVED] + np.float32(0.3) * changes[:, change.CHROMA]


def ratios(values: Floats) -> Floats:
    """Each jump against the mean of the larger half of its twelve neighbours: doubled frames (telecine, stop motion) do not count."""
    number = len(values)
    padded = np.pad(values, _NEIGHBOURS, constant_values=np.nan)
    near = np.stack([padded[k : k + number] for k in range(2 * _NEIGHBOURS + 1) if k != _NEIGHBOURS], axis=1)
    missing = np.isnan(near).sum(axis=1)
    ordered = np.sort(np.where(np.isnan(near), np.float32(-1), near), axis=1)[:, ::-1]
    keep = np.maximum((2 * _NEIGHBOURS - missing + 1) // 2, 1)
    sums = np.maximum(ordered, 0).cumsum(axis=1)
    return np.asarray(values / (_QUIET + sums[np.arange(number), keep - 1] / keep), np.float32)


def evidence(track: Track, at: NDArray[np.int64], jump: Floats, ratio: Floats) -> Floats:
    """float32 [n, 9] for the frames `at` of the track. jump, ratio: theirs."""
    a, b = track.frames[at - 1], track.frames[at]
    comes_back, like_later = _comes_back(track, at, a, b)
    luma, shape, chroma = grid.colour_distances(track.quantiles[at - 1], track.quantiles[at])
    del luma
    half_a, half_b = grid.halved(a), grid.halved(b)
    matched = (grid.FAR.residual(half_a, half_b) + grid.FAR.residual(half_b, half_a)) / (2 * grid.HALVED_SPREAD)
    blocks = np.abs(a - b)[:, :NUM_LUMA].reshape(len(at), grid.ROWS // 3, 3, grid.COLUMNS // 4, 4).mean(axis=(2, 4))
    columns = [
        np.log(track.changes[at, change.MOVED] + 1),
        np.log(ratio),
        np.log(np.minimum(comes_back, 1) + 0.05),
        np.log(like_later + 0.03),
        np.log(grid.unlikeness(a, b) + 0.03),
        np.log(matched + 0.03),
        np.log(shape + 1),
        np.log(chroma + 1),
        (blocks > 10).mean(axis=(1, 2)),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def _comes_back(track: Track, at: NDArray[np.int64], a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Least difference across the jump, over some frames, against the jump itself; and the least unlikeness. Means are taken out."""
    pairs = [(at - 1, at + gap) for gap in _GAPS] + [(at - 1 - gap, at) for gap in _GAPS]
    old, new = (np.stack(numbers) for numbers in zip(*pairs, strict=True))  # [comparisons, n]
    there = (old >= 0) & (new < len(track))
    first, second = track.frames[old[there]], track.frames[new[there]]
    left, unlike = np.full(old.shape, np.float32(np.inf)), np.ones(old.shape, np.float32)
    left[there], unlike[there] = _residual(first, second), grid.unlikeness(first, second)
    least = left.min(axis=0) / np.maximum(_residual(a, b), 0.5)
    return np.minimum(least, 1.0).astype(np.float32), unlike.min(axis=0)


def _residual(a: Floats, b: Floats) -> Floats:
    luma_a, luma_b = a[:, :NUM_LUMA], b[:, :NUM_LUMA]
    return grid.NEAR.residual(luma_a - luma_a.mean(axis=1, keepdims=True) + 128, luma_b - luma_b.mean(axis=1, keepdims=True) + 128)
