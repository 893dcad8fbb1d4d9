"""PySceneDetect's Content and Adaptive detectors with the decoding taken out: its frame score is stored, its own rules read it later."""

from array import array
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from internvid_pipeline.media.detectors.base import Boundary
from internvid_pipeline.media.small import SmallPicture

# PySceneDetect's own effective width (scene_manager.DEFAULT_MIN_WIDTH, 0.7.2), applied to the longer side as it does.
DETECTION_SIDE_PX = 256
CONTENT_COLUMN = "content"
# PySceneDetect 0.7.2, detectors/content_detector.py and adaptive_detector.py; 27 is also InternVid's (section 3.1).
CONTENT_THRESHOLD, ADAPTIVE_THRESHOLD, ADAPTIVE_MIN_CONTENT, MIN_SCENE_FRAMES = 27.0, 3.0, 15.0, 15


class ContentScorer:
    """PySceneDetect's frame score: the mean absolute change of hue, saturation and value (OpenCV's 8-bit HSV) from the frame before,
    their mean, 0 to 255; 0 for the first frame. The same column serves `content` and `adaptive`."""

    columns: tuple[str, ...] = (CONTENT_COLUMN,)
    needs_bgr = True

    def __init__(self, name: str = "content") -> None:
        self.name = name
        self._scores = array("f")
        self._picture: SmallPicture | None = None
        self._hsv: NDArray[np.uint8] | None = None

    def process(self, frame: int, picture: SmallPicture) -> None:
        """See FrameScorer."""
        import cv2

        if picture is self._picture:
            self._scores.append(0.0)
            return
        if picture.bgr is None:
            raise ValueError("picture.bgr is None; this scorer needs it")
        hsv: NDArray[np.uint8] = np.asarray(cv2.cvtColor(picture.bgr, cv2.COLOR_BGR2HSV), dtype=np.uint8)
        change = 0.0 if self._hsv is None else sum(cv2.sumElems(cv2.absdiff(hsv, self._hsv))[:3]) / (3.0 * hsv.shape[0] * hsv.shape[1])
        self._scores.append(change)
        self._picture, self._hsv = picture, hsv

    def finish(self) -> Mapping[str, NDArray[np.float32]]:
        """See FrameScorer."""
        return {CONTENT_COLUMN: np.array(self._scores, dtype=np.float32)}


def content_boundaries(
    scores: Mapping[str, NDArray[np.float32]], threshold: float = CONTENT_THRESHOLD, min_scene_frames: int = MIN_SCENE_FRAMES
) -> tuple[Boundary, ...]:
    """Where PySceneDetect's ContentDetector cuts a video of these scores, its flash filter included (mode "merge")."""
    from scenedetect import ContentDetector

    class Stored(ContentDetector):  # type: ignore[misc]
        def _calculate_frame_score(self, timecode: Any, frame_img: Any) -> float:
            return float(frame_img)

    return _run(Stored(threshold=threshold, min_scene_len=min_scene_frames), scores[CONTENT_COLUMN])


def adaptive_boundaries(
    scores: Mapping[str, NDArray[np.float32]],
    threshold: float = ADAPTIVE_THRESHOLD,
    min_scene_frames: int = MIN_SCENE_FRAMES,
    min_content: float = ADAPTIVE_MIN_CONTENT,
) -> tuple[Boundary, ...]:
    """Where PySceneDetect's AdaptiveDetector cuts: the score at least `min_content`, and `threshold` times the mean of its four
    neighbours. The filter of short scenes lets the first of two close cuts stand."""
    from scenedetect import AdaptiveDetector

    class Stored(AdaptiveDetector):  # type: ignore[misc]
        def _calculate_frame_score(self, timecode: Any, frame_img: Any) -> float:
            return float(frame_img)

    detector = Stored(adaptive_threshold=threshold, min_scene_len=min_scene_frames, min_content_val=min_content)
    return _run(detector, scores[CONTENT_COLUMN])


class _FrameNumber(int):
    """Stands for PySceneDetect's FrameTimecode, which takes twenty times as long to make: its rules subtract and compare only.
    frame_rate: any; minimum lengths are in frames."""

    frame_rate = 1


def _run(detector: Any, scores: NDArray[np.float32]) -> tuple[Boundary, ...]:
    found: set[int] = set()
    for number, score in enumerate(scores.tolist()):
        found.update(int(cut) for cut in detector.process_frame(_FrameNumber(number), score))
    found.update(int(cut) for cut in detector.post_process(_FrameNumber(max(0, len(scores) - 1))))
    return tuple(Boundary(cut, "cut", cut, cut, float(scores[cut])) for cut in sorted(found) if 0 < cut < len(scores))
