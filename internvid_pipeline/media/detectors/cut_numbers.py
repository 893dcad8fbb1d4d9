"""Shot detectors: small frames in, numbers of the first frames of new shots out."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class ShotDetector(Protocol):
    """Given every frame of a video, in order and once."""

    def process(self, frame: int, picture: NDArray[np.uint8]) -> list[int]:
        """frame: its number, from 0. picture: uint8 [height, width, 3], BGR. Returns numbers of first frames of new shots, this one or
        earlier ones."""

    def finish(self) -> list[int]:
        """After the last frame: the shots that only the end decides."""


class ContentDetector:
    """PySceneDetect's ContentDetector: mean change of hue, saturation and brightness from frame to frame against a threshold, which
    InternVid used at 27 (InternVid, section 3.1). Frames are counted, not timed, as PySceneDetect does for a
    minimum length given as a number of frames."""

    def __init__(self, threshold: float = 27.0, min_scene_frames: int = 15) -> None:
        from scenedetect import ContentDetector as SceneDetectContent

        self._detector = SceneDetectContent(threshold=threshold, min_scene_len=min_scene_frames)
        self._last_frame = 0

    def process(self, frame: int, picture: NDArray[np.uint8]) -> list[int]:
        """See ShotDetector."""
        self._last_frame = frame
        return [cut.frame_num for cut in self._detector.process_frame(_timecode(frame), picture)]

    def finish(self) -> list[int]:
        """See ShotDetector."""
        return [cut.frame_num for cut in self._detector.post_process(_timecode(self._last_frame))]


def _timecode(frame: int) -> Any:
    from scenedetect import FrameTimecode

    return FrameTimecode(frame, fps=25.0)  # any rate: only frame numbers are compared
