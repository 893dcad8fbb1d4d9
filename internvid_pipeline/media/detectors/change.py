"""What changes from each frame to the next, and how much of it a moving camera or a changing light explains."""

import numpy as np

from internvid_pipeline.media.detectors.grid import COLUMNS, NEAR, NUM_LUMA, ROWS, Floats

# Columns of `changes`.
LUMA, CHROMA, MOVED, ENERGY, CAMERA, LIGHT, RIGHT, DOWN = range(8)
NUM_CHANGES = 8
_STILL = 1.0  # levels of luma; below, motion is not looked for
_RIDGE = 50.0  # keeps the motion of flat pictures at zero
_Y, _X = np.mgrid[:ROWS, :COLUMNS].astype(np.float32)
_X, _Y = (_X - (COLUMNS - 1) / 2) / (COLUMNS / 2), (_Y - (ROWS - 1) / 2) / (COLUMNS / 2)


def changes(before: Floats, after: Floats) -> Floats:
    """float32 [n, 8] of frames [n, 864] and the ones after them: mean absolute change of luma and of chroma; change of luma left after
    block motion; its mean square; the same left after camera motion, and after camera motion and light; motion to the right and down, in
    picture widths."""
    out = np.empty((len(before), NUM_CHANGES), np.float32)
    difference = np.abs(after - before)
    out[:, LUMA], out[:, CHROMA] = difference[:, :NUM_LUMA].mean(axis=1), difference[:, NUM_LUMA:].mean(axis=1)
    old, new = before[:, :NUM_LUMA], after[:, :NUM_LUMA]
    out[:, MOVED] = out[:, LUMA]
    shift = np.full(len(before), len(NEAR.shifts) // 2)
    moving = out[:, LUMA] > _STILL
    if moving.any():
        out[moving, MOVED], shift[moving] = NEAR.match(old[moving], new[moving])
    shifted = np.take_along_axis(old, NEAR.sources[shift], axis=1)
    out[:, ENERGY:] = _explained(shifted, new)
    out[:, ENERGY] = np.square(new - old).mean(axis=1)
    out[:, RIGHT] -= NEAR.shifts[shift, 1] / COLUMNS
    out[:, DOWN] -= NEAR.shifts[shift, 0] / COLUMNS
    return out


def _explained(before: Floats, after: Floats) -> Floats:
    """Least squares of the brightness change on the gradients of shift, zoom, turn (Horn and Schunck's constraint), gain and offset."""
    number = len(before)
    mean = (before + after).reshape(number, ROWS, COLUMNS) * np.float32(0.5)
    parts = np.zeros((number, 6, ROWS, COLUMNS), np.float32)
    right, down = parts[:, 0], parts[:, 1]
    np.subtract(mean[:, :, 2:], mean[:, :, :-2], out=right[:, :, 1:-1])
    np.subtract(mean[:, 2:], mean[:, :-2], out=down[:, 1:-1])
    parts[:, :2] *= np.float32(0.5)
    np.multiply(right, _X, out=parts[:, 2])
    parts[:, 2] += down * _Y
    np.multiply(right, _Y, out=parts[:, 3])
    parts[:, 3] -= down * _X
    np.subtract(mean, mean.mean(axis=(1, 2), keepdims=True), out=parts[:, 4])
    parts[:, 5] = 1.0
    gradients = parts.reshape(number, 6, NUM_LUMA)
    change = after - before
    moment = np.matmul(gradients, change[:, :, None])[:, :, 0]
    gram = np.matmul(gradients, gradients.transpose(0, 2, 1)) + _RIDGE * np.eye(6, dtype=np.float32)
    energy = np.einsum("nk,nk->n", change, change)
    out = np.empty((number, 5), np.float32)
    out[:, 0] = energy
    for column, size in ((1, 4), (2, 6)):
        factors = np.linalg.solve(gram[:, :size, :size], moment[:, :size, None])[:, :, 0]
        explained = 2 * np.einsum("nk,nk->n", factors, moment[:, :size])
        explained -= np.einsum("nj,njk,nk->n", factors, gram[:, :size, :size], factors)
        out[:, column] = np.maximum(energy - explained, 0.0)
        if size == 4:
            out[:, 3:] = -factors[:, :2] / COLUMNS
    out[:, :3] /= NUM_LUMA
    return out
