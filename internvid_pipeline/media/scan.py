"""One decode of a whole video: shot boundaries, brightness, motion, damage, and the exact time of every frame."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from internvid_pipeline.errors import UnreadableMedia
from internvid_pipeline.media.container import open_media, video_stream
from internvid_pipeline.media.decode import FramePass
from internvid_pipeline.media.detectors import DETECTION_SIDE_PX, ShotDetector
from internvid_pipeline.media.limits import MediaLimits
from internvid_pipeline.media.orientation import Orientation, orientation_of
from internvid_pipeline.media.probe import pixel_ratio
from internvid_pipeline.media.times import FrameTimes
from internvid_pipeline.media.truncation import missing_end


@dataclass(frozen=True)
class Shot:
    """Frames [start_frame, end_frame) of a video. luma_mean, luma_max: mean brightness of the shot, and of its brightest frame, 0 to 255.
    motion: mean absolute luma difference of neighbouring frames inside it, 0 to 255. num_damaged: its damaged frames."""

    start_frame: int
    end_frame: int
    luma_mean: float
    luma_max: float
    motion: float
    num_damaged: int


@dataclass(frozen=True)
class VideoScan:
    """times: of every frame. cuts: numbers of the first frames of new shots, without 0. luma_mean: float32 [num_frames], 0 to 255, of the
    small frames. luma_change: float32 [num_frames], mean absolute luma difference to the frame before, 0 for the first. damaged: int64,
    numbers of damaged frames. interlaced: some frame is. broken_off: why the file is known to end too early, None where it is not."""

    times: FrameTimes
    cuts: tuple[int, ...]
    luma_mean: NDArray[np.float32]
    luma_change: NDArray[np.float32]
    damaged: NDArray[np.int64]
    interlaced: bool
    orientation: Orientation
    sample_aspect_ratio: Fraction
    broken_off: str | None

    def shots(self) -> list[Shot]:
        """The video cut at `cuts`, without gaps."""
        return [self._shot(start, end) for start, end in pairwise((0, *self.cuts, self.times.num_frames))]

    def _shot(self, start: int, end: int) -> Shot:
        change = self.luma_change[start + 1 : end]
        return Shot(
            start_frame=start,
            end_frame=end,
            luma_mean=float(self.luma_mean[start:end].mean(dtype=np.float64)),
            luma_max=float(self.luma_mean[start:end].max()),
            motion=float(change.mean(dtype=np.float64)) if len(change) else 0.0,
            num_damaged=int(np.searchsorted(self.damaged, end) - np.searchsorted(self.damaged, start)),
        )


def scan_video(path: Path, detector: ShotDetector, limits: MediaLimits | None = None) -> VideoScan:
    """Decodes the file once, in memory that grows by 24 bytes a frame. Raises UnreadableMedia, MediaLimitError, DamagedMedia."""
    limits = limits or MediaLimits()
    container = open_media(path, limits)
    try:
        stream = video_stream(container)
        if stream is None:
            raise UnreadableMedia("has no video stream")
        return _scan(path, container, stream, detector, limits)
    finally:
        container.close()


def _scan(path: Path, container: InputContainer, stream: av.VideoStream, detector: ShotDetector, limits: MediaLimits) -> VideoScan:
    frames = FramePass(path, container, stream, limits)
    meter = _LumaMeter()
    cuts: set[int] = set()
    interlaced = False
    orientation: Orientation | None = None
    for number, (frame, picture) in enumerate(_small_pictures(frames)):
        orientation = orientation or orientation_of(frame)
        interlaced = interlaced or frame.interlaced_frame
        cuts.update(detector.process(number, picture))
        meter.add(picture)
    cuts.update(detector.finish())
    times = frames.times()
    broken_off = frames.broken_off or missing_end(path, container, stream, times.seconds(times.end_pts), limits)
    return VideoScan(
        times=times,
        cuts=tuple(sorted(cut for cut in cuts if 0 < cut < times.num_frames)),
        luma_mean=np.array(meter.means, dtype=np.float32),
        luma_change=np.array(meter.changes, dtype=np.float32),
        damaged=frames.damaged_frames(times, broken_off is not None),
        interlaced=interlaced,
        orientation=orientation or Orientation(),
        sample_aspect_ratio=pixel_ratio(stream),
        broken_off=broken_off,
    )


def _small_pictures(frames: FramePass) -> Iterator[tuple[av.VideoFrame, NDArray[np.uint8]]]:
    """Frames with their small BGR pictures, all of the first one's size even where the video changes its size on the way.

    FAST_BILINEAR samples as sparsely as PySceneDetect's own resize: the boundaries are the same on all 22 real test videos. Smoother
    scalers see less noise and shift the scores (s02, s04)."""
    reformatter = VideoReformatter()
    size: tuple[int, int] | None = None
    for frame in frames:
        size = size or _detection_size(frame.width, frame.height)
        small = reformatter.reformat(frame, *size, format="bgr24", interpolation="FAST_BILINEAR", threads=1)
        picture: NDArray[np.uint8] = np.asarray(small.to_ndarray(), dtype=np.uint8)
        yield frame, picture


def _detection_size(width_px: int, height_px: int) -> tuple[int, int]:
    factor = max(1.0, max(width_px, height_px) / DETECTION_SIDE_PX)
    return max(1, round(width_px / factor)), max(1, round(height_px / factor))


class _LumaMeter:
    """Brightness and change of brightness of small BGR pictures, frame by frame."""

    def __init__(self) -> None:
        self.means, self.changes = array("f"), array("f")
        self._previous: NDArray[np.uint8] | None = None

    def add(self, picture: NDArray[np.uint8]) -> None:
        import cv2

        luma: NDArray[np.uint8] = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), dtype=np.uint8)
        self.means.append(float(luma.mean()))
        self.changes.append(0.0 if self._previous is None else float(cv2.absdiff(luma, self._previous).mean()))
        self._previous = luma
