"""Shot detectors: small pictures in, scores per frame out; boundaries are found from stored scores, without decoding again.

scorer = scorer("transition")             # one per video: process(frame, picture) for every frame, then finish()
boundaries("transition", scorer.finish())   # as often as one likes, with other thresholds
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from internvid_pipeline.errors import UsageError
from internvid_pipeline.media.detectors.base import Boundary, FrameScorer
from internvid_pipeline.media.detectors.pyscenedetect import DETECTION_SIDE_PX, ContentScorer, adaptive_boundaries, content_boundaries
from internvid_pipeline.media.detectors.transition import TransitionScorer, transition_boundaries
from internvid_pipeline.media.detectors.transnetv2 import ShotNetwork, TransNetV2Scorer, transnetv2_boundaries
from internvid_pipeline.media.times import FrameTimes

__all__ = [
    "DETECTION_SIDE_PX",
    "DETECTORS",
    "Boundary",
    "FrameScorer",
    "ShotNetwork",
    "boundaries",
    "scorer",
]

_RULES: dict[str, Callable[..., tuple[Boundary, ...]]] = {
    "transition": transition_boundaries,
    "content": content_boundaries,
    "adaptive": adaptive_boundaries,
    "transnetv2": transnetv2_boundaries,
}
DETECTORS = tuple(_RULES)
_COLUMNS = {
    "transition": TransitionScorer.columns,
    "content": ContentScorer.columns,
    "adaptive": ContentScorer.columns,
    "transnetv2": TransNetV2Scorer.columns,
}


def scorer(name: str, network: ShotNetwork | None = None) -> FrameScorer:
    """A new scorer for one video. network: for `transnetv2` alone, `models.transnetv2.TransNetV2()`. Raises UsageError for an unknown name,
    or where that network is missing."""
    _check(name)
    if name == "transnetv2":
        if network is None:
            raise UsageError("detector 'transnetv2' needs its network: scorer('transnetv2', network=TransNetV2())")
        return TransNetV2Scorer(network)
    return TransitionScorer() if name == "transition" else ContentScorer(name)


def boundaries(
    name: str,
    scores: Mapping[str, NDArray[np.float32]],
    times: FrameTimes | None = None,
    *,
    threshold: float | None = None,
    min_scene_frames: int | None = None,
) -> tuple[Boundary, ...]:
    """Where shots begin, in order, by the detector's rule; every boundary lies inside the video. A higher threshold never gives more of
    them by `transition`.

    scores: what the detector's scorer gave (`content` and `adaptive` share a column). times: of the frames; no rule needs them today.
    threshold, min_scene_frames: by default the detector's own. Raises UsageError for an unknown name, a missing column, a threshold that is
    no number or a negative length.
    """
    _check(name)
    missing = [column for column in _COLUMNS[name] if column not in scores]
    if missing:
        raise UsageError(
            f"detector {name!r} needs the score {missing[0]!r}; stored are {', '.join(sorted(scores)) or 'none'}: scan with it"
        )
    if threshold is not None and not np.isfinite(threshold):
        raise UsageError(f"threshold is {threshold}; a number is needed")
    if min_scene_frames is not None and min_scene_frames < 0:
        raise UsageError(f"min_scene_frames is {min_scene_frames}; 0 or more is needed")
    settings: dict[str, Any] = {"threshold": threshold, "min_scene_frames": min_scene_frames}
    return _RULES[name](scores, **{key: value for key, value in settings.items() if value is not None})


def _check(name: str) -> None:
    if name not in _RULES:
        raise UsageError(f"unknown detector {name!r}; known are {', '.join(DETECTORS)}")
