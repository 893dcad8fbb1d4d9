"""From evidence to likelihood: a small network per question, whose numbers lie beside this module in transition_weights.json.

They are fitted, not set by hand: benchmarks/fit_transition.py says on what, and fits others.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np

from internvid_pipeline.media.detectors.grid import Floats


@dataclass(frozen=True)
class Weights:
    """mean, spread: [inputs], of the evidence. layers: (matrix [outputs, inputs], offset [outputs]) in order, tanh between them."""

    mean: Floats
    spread: Floats
    layers: tuple[tuple[Floats, Floats], ...]


@lru_cache(maxsize=1)
def loaded_weights() -> dict[str, Weights]:
    """By question: cut, coarse, window."""
    text = resources.files(__package__).joinpath("transition_weights.json").read_text(encoding="utf-8")
    return {name: stored_weights(stored) for name, stored in json.loads(text).items()}


def stored_weights(stored: dict[str, Any]) -> Weights:
    """Of the numbers of one question, as in the file."""

    def floats(values: object) -> Floats:
        return np.asarray(values, dtype=np.float32)

    layers = tuple((floats(matrix), floats(offset)) for matrix, offset in stored["layers"])
    return Weights(floats(stored["mean"]), floats(stored["spread"]), layers)


def likelihoods(weights: Weights, evidence: Floats) -> Floats:
    """float32 [n], 0 to 1, of evidence [n, inputs]."""
    values = (evidence - weights.mean) / weights.spread
    for number, (matrix, offset) in enumerate(weights.layers):
        values = (np.tanh(values) if number else values) @ matrix.T + offset
    return np.asarray(1 / (1 + np.exp(-np.clip(values[:, 0], -40, 40))), np.float32)
