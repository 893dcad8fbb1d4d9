"""Is there a gradual transition between frames a and b? Numbers that tell transitions from single takes.

A transition leads between frames that are unrelated, however they are shifted or lit; things are calm on both sides; and what is seen in
between is made of both ends. A camera's motion explains its own changes; what passes before the lens leaves the first view behind it.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from internvid_pipeline.media.detectors import change, grid, motion_evidence
from internvid_pipeline.media.detectors.grid import NUM_LUMA, Floats

Numbers = NDArray[np.int64]

COARSE = (
    "difference",
    "luma",
    "shape",
    "chroma",
    "unlike",
    "share",
    "calm_before",
    "calm_after",
    "moved",
    "camera",
    "light",
    "travel",
    "width",
)
FINE = (
    "matched", "returns", "path", "steps", "outside", "back", "mixed", "dip", "rises", "early", "late", "peak",
    "calmer_before", "calmer_after", "moves", "strides", "either", "zoomed", "blurs",
)  # fmt: skip
MIN_DIFFERENCE = 8.0  # mean absolute difference of a window's ends; with less, nobody would see a new shot
MIN_COARSE = 0.15
_MIN_UNLIKENESS = 0.15  # 99.8 % of the transitions of our made corpus lie above
PLAIN = 10.0  # standard deviation of luma
_MIN_SIDE = 2  # frames
_SAMPLES = 7  # frames looked at inside a window
_TOLERANCE = 4.0


@dataclass(frozen=True)
class Track:
    """A stretch of a video. frames: [n, 864]. changes: [n, 8], from the frame before. quantiles: [n, 40]."""

    frames: Floats
    changes: Floats
    quantiles: Floats

    def __len__(self) -> int:
        return len(self.frames)

    @cached_property
    def summed(self) -> NDArray[np.float64]:
        """[n + 1, 8]: changes summed over the frames before each one."""
        return np.concatenate([np.zeros((1, change.NUM_CHANGES)), self.changes.cumsum(axis=0, dtype=np.float64)])


def side_of(width: Numbers) -> Numbers:
    """Frames beside a window that should be calm."""
    return np.maximum(2, width // 2)


def possible(track: Track, starts: Numbers, width: Numbers) -> NDArray[np.bool_]:
    """bool [n], of windows (starts, starts + width), both [n]: what no weights need to decide. The ends differ, and by more than light. At
    the very start and end of a video nothing shows that it was calm there: then only a fade from or to a plain picture counts, for nobody
    begins a video in the middle of a dissolve."""
    ends = starts + width
    # Two frames differ by no more than all changes between them together: most windows need no look at the frames.
    steps = track.summed[ends + 1] - track.summed[starts + 1]
    luma_share = NUM_LUMA / grid.NUM_CELLS
    out = luma_share * steps[:, change.LUMA] + (1 - luma_share) * steps[:, change.CHROMA] >= MIN_DIFFERENCE - 0.01
    for look in (_ends_differ, _has_sides):
        out[out] = look(track, starts[out], width[out])
    return np.asarray(out, np.bool_)


def _ends_differ(track: Track, starts: Numbers, width: Numbers) -> NDArray[np.bool_]:
    a, b = track.frames[starts], track.frames[starts + width]
    out = np.asarray(np.abs(a - b).mean(axis=1) >= MIN_DIFFERENCE, np.bool_)
    out[out] = grid.unlikeness(a[out], b[out]) >= _MIN_UNLIKENESS
    return out


def _has_sides(track: Track, starts: Numbers, width: Numbers) -> NDArray[np.bool_]:
    ends = starts + width
    begins, stops = starts >= _MIN_SIDE, ends + _MIN_SIDE < len(track)
    begins[~begins] = track.frames[starts[~begins], :NUM_LUMA].std(axis=1) < PLAIN
    stops[~stops] = track.frames[ends[~stops], :NUM_LUMA].std(axis=1) < PLAIN
    return np.asarray(begins & stops, np.bool_)


def coarse(track: Track, starts: Numbers, width: Numbers) -> Floats:
    """float32 [n, 13]: what is cheap to tell of the windows (starts, starts + width), both [n]."""
    ends = starts + width
    a, b = track.frames[starts], track.frames[ends]
    difference = np.abs(a - b)
    luma, shape, chroma = grid.colour_distances(track.quantiles[starts], track.quantiles[ends])
    inside, before, after = _sums(track, starts, width)
    total = inside + 1e-3
    activity = inside[:, change.LUMA] / width.astype(np.float32) + 0.5
    blocks = difference[:, :NUM_LUMA].reshape(len(starts), grid.ROWS // 3, 3, grid.COLUMNS // 4, 4).mean(axis=(2, 4))
    columns = [
        _log(difference.mean(axis=1)),
        _log(luma),
        _log(shape),
        _log(chroma),
        _log(grid.unlikeness(a, b)),
        (blocks > 12).mean(axis=(1, 2)),
        _log(before[:, change.LUMA] / activity),
        _log(after[:, change.LUMA] / activity),
        _log(total[:, change.MOVED] / total[:, change.LUMA]),
        _log(total[:, change.CAMERA] / total[:, change.ENERGY]),
        _log(total[:, change.LIGHT] / total[:, change.ENERGY]),
        _log(np.hypot(inside[:, change.RIGHT], inside[:, change.DOWN])),
        np.log(width),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def fine(track: Track, starts: Numbers, width: int) -> Floats:
    """float32 [n, 19]: what takes longer, of windows of one width."""
    ends = starts + width
    a, b = track.frames[starts], track.frames[ends]
    distance = np.maximum(np.abs(a - b).mean(axis=1), 0.1)
    inner = starts[:, None] + np.unique(np.round(np.linspace(0, width, _SAMPLES + 2)).astype(np.int64))
    frames = track.frames[inner]
    steps = np.diff(frames, axis=1)
    path = np.abs(steps).mean(axis=2).sum(axis=1) / distance
    back = np.maximum(0, -steps * np.sign(b - a)[:, None] - 3).mean(axis=2).sum(axis=1) / distance
    weights = _weights(frames[:, 1:-1], a, b)
    half_a, half_b = grid.halved(a), grid.halved(b)
    matched = (grid.FAR.residual(half_a, half_b) + grid.FAR.residual(half_b, half_a)) / (2 * grid.HALVED_SPREAD)
    inside, before, after = _sums(track, starts, np.full_like(starts, width))
    moved = inside[:, change.MOVED] / width + 0.5
    peak = np.array([track.changes[start + 1 : start + width + 1, change.LUMA].max() for start in starts])
    mixed, dip = _mixed(frames[:, 1:-1, :NUM_LUMA], a[:, :NUM_LUMA], b[:, :NUM_LUMA])
    columns = [
        _log(matched),
        _log(_returns(track, starts, width)),
        _log(path),
        _log(_step_unlikeness(track, starts, width)),
        _log(_outside(frames[:, 1:-1, :NUM_LUMA], a[:, :NUM_LUMA], b[:, :NUM_LUMA])),
        _log(back),
        _log(mixed),
        _log(dip),
        _rises(weights),
        np.clip(weights[:, 0], -2, 2),
        np.clip(weights[:, -1], -2, 2),
        _log(peak / (inside[:, change.LUMA] + 1)),
        _log(before[:, change.MOVED] / moved),
        _log(after[:, change.MOVED] / moved),
        *(_log(one) for one in motion_evidence.motion(frames)),
        _log(_either(frames, a, b)),
        _log(motion_evidence.zoomed(half_a, half_b)),
        _log(motion_evidence.blurs(frames)),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def extent(track: Track, start: int, width: int) -> tuple[int, int, int]:
    """First frame of the transition, frame where it is half done, and first frame after it."""
    a, b = track.frames[start], track.frames[start + width]
    weights = _weights(track.frames[None, start : start + width + 1], a[None], b[None])[0]
    weights = np.convolve(np.pad(weights, 1, mode="edge"), np.ones(3) / 3, mode="valid")
    middle = int(np.argmax(weights >= 0.5))
    first = int(np.flatnonzero(weights[: middle + 1] <= 0.1)[-1]) + 1 if (weights[: middle + 1] <= 0.1).any() else 0
    done = np.flatnonzero(weights[middle:] >= 0.9)
    end = middle + int(done[0]) if len(done) else width
    return start + min(first, middle), start + middle, start + max(end, middle + 1)


def _sums(track: Track, starts: Numbers, width: Numbers) -> tuple[Floats, Floats, Floats]:
    """Changes summed over the windows, and their means over what lies before and after: [n, 8] each; zero where nothing does."""
    total = track.summed
    ends, side, last = starts + width, side_of(width), len(track)
    inside = total[ends + 1] - total[starts + 1]
    low, high = np.maximum(starts - side + 1, 0), np.minimum(ends + 1 + side, last)
    before = (total[starts + 1] - total[low]) / np.maximum(starts + 1 - low, 1)[:, None]
    after = (total[high] - total[ends + 1]) / np.maximum(high - ends - 1, 1)[:, None]
    return inside.astype(np.float32), before.astype(np.float32), after.astype(np.float32)


def _weights(frames: Floats, a: Floats, b: Floats) -> Floats:
    """How far each of the frames [n, m, 864] lies on the way from a to b, both [n, 864]."""
    way = b - a
    length = np.maximum(np.einsum("nk,nk->n", way, way), 1.0)
    return np.asarray(np.einsum("nmk,nk->nm", frames - a[:, None], way) / length[:, None], np.float32)


def _rises(weights: Floats) -> Floats:
    """Correlation of the weights [n, m] with time."""
    time = np.arange(weights.shape[1]) - (weights.shape[1] - 1) / 2
    centred = weights - weights.mean(axis=1, keepdims=True)
    spread = np.sqrt((centred**2).sum(axis=1) * (time**2).sum())
    return np.asarray(np.where(spread > 1e-6, (centred * time).sum(axis=1) / np.maximum(spread, 1e-6), 0.0), np.float32)


def _mixed(frames: Floats, a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """The part of the structure of `frames` [n, m, 576] that no mixture of both ends (each faded by its own weight) gives; and the least
    contrast among them against that of the ends: fades through black or white dip."""
    ends = np.stack([a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)], axis=1)
    inner = frames - frames.mean(axis=2, keepdims=True)
    gram = np.matmul(ends, ends.transpose(0, 2, 1)) + 50.0 * np.eye(2, dtype=np.float32)
    factors = np.clip(np.linalg.solve(gram, np.matmul(ends, inner.transpose(0, 2, 1))), 0.0, 1.2)
    rest = np.abs(inner - np.matmul(factors.transpose(0, 2, 1), ends)).mean(axis=(1, 2))
    contrast = ends.std(axis=2).min(axis=1) + 3.0
    return rest / (np.abs(ends).mean(axis=(1, 2)) + 2.0), inner.std(axis=2).min(axis=1) / contrast


def _outside(frames: Floats, a: Floats, b: Floats) -> Floats:
    """How far luma leaves the range between both ends (or their neighbours), against their difference."""
    box = np.ones((3, 3), np.uint8)
    low = np.stack([cv2.erode(one.reshape(grid.ROWS, grid.COLUMNS), box).ravel() for one in np.minimum(a, b)])[:, None] - _TOLERANCE
    high = np.stack([cv2.dilate(one.reshape(grid.ROWS, grid.COLUMNS), box).ravel() for one in np.maximum(a, b)])[:, None] + _TOLERANCE
    excess = np.maximum(frames - high, 0) + np.maximum(low - frames, 0)
    return np.asarray(excess.mean(axis=(1, 2)) / np.maximum(np.abs(a - b).mean(axis=1), 0.1), np.float32)


def _either(frames: Floats, a: Floats, b: Floats) -> Floats:
    """What is left of the luma of inner frames when each block is taken from the one end or the other, or from both mixed, against what the
    nearer end alone leaves: a wipe or a dissolve leaves little, a camera that passes other things much."""
    inner = frames[:, 1:-1]
    weights = np.clip(_weights(inner, a, b), 0, 1)[:, :, None]
    luma, a, b = inner[:, :, :NUM_LUMA], a[:, None, :NUM_LUMA], b[:, None, :NUM_LUMA]
    parts = [np.abs(luma - a), np.abs(luma - b), np.abs(luma - a - weights * (b - a))]
    blocks = [part.reshape(*luma.shape[:2], grid.ROWS // 3, 3, grid.COLUMNS // 4, 4).mean(axis=(3, 5)) for part in parts]
    least = np.minimum(np.minimum(blocks[0], blocks[1]), blocks[2]).mean(axis=(2, 3))
    alone = np.minimum(blocks[0].mean(axis=(2, 3)), blocks[1].mean(axis=(2, 3)))
    return np.asarray(least.sum(axis=1) / (alone.sum(axis=1) + 3), np.float32)


def _returns(track: Track, starts: Numbers, width: int) -> Floats:
    """Least unlikeness of the first end to what comes after the window, and of the second to what was before it."""
    a, b = track.frames[starts], track.frames[starts + width]
    least = np.ones(len(starts), np.float32)
    for halves in (1, 2, 3, 4):
        later, earlier = starts + width + halves * width // 2, starts - halves * width // 2
        for end, others in ((a, later), (b, earlier)):
            there = (others >= 0) & (others < len(track))
            least[there] = np.minimum(least[there], grid.unlikeness(end[there], track.frames[others[there]]))
    return least


def _step_unlikeness(track: Track, starts: Numbers, width: int) -> Floats:
    marks = starts[:, None] + np.round(np.linspace(0, width, 6)).astype(np.int64)
    pairs = grid.unlikeness(track.frames[marks[:, :-1].ravel()], track.frames[marks[:, 1:].ravel()])
    return np.asarray(pairs.reshape(len(starts), 5).mean(axis=1), np.float32)


def _log(values: NDArray[Any]) -> Floats:
    return np.asarray(np.log(np.maximum(values, 0.0) + 0.03), np.float32)
