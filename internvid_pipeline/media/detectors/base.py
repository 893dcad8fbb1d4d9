"""What a detector is: a scorer that looks at every frame once, and a rule that turns its scores into boundaries."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from internvid_pipeline.media.small import SmallPicture


class FrameScorer(Protocol):
    """One object per video, in bounded memory. name: of the detector. columns: of its scores. needs_bgr: it looks at `SmallPicture.bgr`."""

    name: str
    columns: tuple[str, ...]
    needs_bgr: bool

    def process(self, frame: int, picture: SmallPicture) -> None:
        """Every frame in order, from 0. A frame that the fast scan did not decode comes as the very picture object of the frame before
        it. Its arrays are never written again: keep them as you like, but not more than a few."""

    def finish(self) -> Mapping[str, NDArray[np.float32]]:
        """The scores by column, float32 [num_frames] each."""


@dataclass(frozen=True, slots=True)
class Boundary:
    """Where one shot ends and the next begins. frame: first frame of the new shot; of a gradual transition the frame where it is half
    done. first_frame, end_frame: the transition is [first_frame, end_frame); for a cut both are `frame`."""

    frame: int
    kind: Literal["cut", "gradual"]
    first_frame: int
    end_frame: int
    score: float
