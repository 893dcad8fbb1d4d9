"""Random draws without replacement, exactly as InternVid's published script makes them."""

import numpy as np
from numpy.typing import NDArray


def inverse_count_draw(groups: NDArray[np.integer], num_draws: int, seed: int = 42) -> NDArray[np.int64]:
    """Positions drawn from a pool in which each has the weight 1 / (size of its group): InternVid's DIV.

    groups: integer [n], the group (video) of each position; which number stands for which group does not matter. Returns int64
    [min(num_draws, n)], in the order drawn. The picks are those of div_sampling.py (OpenGVLab/InternVideo, Data/InternVid): weights
    normalised, NumPy's global generator seeded with 42, `choice` without replacement; NumPy keeps that stream for RandomState for ever
    (NEP 19). Memory: about 40 bytes per position.
    """
    _, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
    weights = 1.0 / counts[inverse]
    weights /= weights.sum()
    chosen = np.random.RandomState(seed).choice(len(groups), size=min(num_draws, len(groups)), replace=False, p=weights)
    return chosen.astype(np.int64, copy=False)


def uniform_draw(size: int, num_draws: int, seed: int = 42) -> NDArray[np.int64]:
    """int64 [min(num_draws, size)], positions drawn with equal weights, in the order drawn (NumPy's RandomState, as above)."""
    chosen = np.random.RandomState(seed).choice(size, size=min(num_draws, size), replace=False)
    return chosen.astype(np.int64, copy=False)
