"""The small picture of a frame that detectors and meters look at; it is made once per frame, straight from the decoder's planes."""

from array import array
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, VideoReformatter
from numpy.typing import NDArray

LUMA_MEAN, LUMA_CHANGE = "luma_mean", "luma_change"
SMALL_SIDE_PX = 160
# PySceneDetect's own effective width (scene_manager.DEFAULT_MIN_WIDTH, 0.7.2), applied to the longer side as it does.
BGR_SIDE_PX = 256

_NEUTRAL = 128
_FULL_RANGE = 2
_BLACK, _WHITE = 16, 235  # luma of limited range (ITU-R BT.601 and BT.709)
_TO_FULL = np.clip(np.rint((np.arange(256) - _BLACK) * (255 / (_WHITE - _BLACK))), 0, 255).astype(np.uint8)
# Formats whose planes are read as they are: bits of a sample. All others go through libswscale.
_PLANAR_BITS = {f"{kind}{layout}p": 8 for kind in ("yuv", "yuvj") for layout in ("420", "422", "440", "444", "411", "410")}
_PLANAR_BITS |= {f"yuv{layout}p{bits}le": bits for layout in ("420", "422", "444") for bits in (9, 10, 12, 14)}
_PLANAR_BITS |= {"gray": 8, "gray10le": 10, "gray12le": 12}


@dataclass(slots=True)
class SmallPicture:
    """luma: uint8 [height, width], the longer side at most SMALL_SIDE_PX; black is 0 and white 255, whatever the video's range.
    chroma: uint8 [2, height', width'], U and V at about half of luma's size; 128 is neutral. bgr: uint8 [height'', width'', 3] as
    PySceneDetect sees the frame, only where a scorer asks for it."""

    luma: NDArray[np.uint8]
    chroma: NDArray[np.uint8]
    bgr: NDArray[np.uint8] | None = None


class SmallPictures:
    """Makes them all of the first frame's size, even where the video changes its size on the way.

    Each pixel is the mean of about 8 of the pixels that it covers: less noisy than a single sample, and cheaper than the
    full mean. Turned pictures are not turned: detectors do not mind.
    """

    def __init__(self, needs_bgr: bool = False) -> None:
        self._needs_bgr = needs_bgr
        self._size: tuple[int, int] = (0, 0)
        self._chroma_size: tuple[int, int] = (0, 0)
        self._bgr_size: tuple[int, int] = (0, 0)
        self._to_bgr, self._to_planar = VideoReformatter(), VideoReformatter()

    def make(self, frame: av.VideoFrame) -> SmallPicture:
        """The arrays are new ones."""
        if self._size == (0, 0):
            self._size = _bounded(frame.width, frame.height, SMALL_SIDE_PX)
            self._chroma_size = (self._size[0] + 1) // 2, (self._size[1] + 1) // 2
            self._bgr_size = _bounded(frame.width, frame.height, BGR_SIDE_PX)
        bits = _PLANAR_BITS.get(frame.format.name)
        picture = self._converted(frame) if bits is None else self._from_planes(frame, bits)
        if self._needs_bgr:
            picture.bgr = self._bgr(frame)
        return picture

    def _from_planes(self, frame: av.VideoFrame, bits: int) -> SmallPicture:
        import cv2

        planes = frame.planes
        luma = _shrunk(planes[0], self._size, bits)
        if frame.color_range != _FULL_RANGE and not frame.format.name.startswith("yuvj"):
            luma = np.asarray(cv2.LUT(luma, _TO_FULL), dtype=np.uint8)
        width, height = self._chroma_size
        chroma = np.empty((2, height, width), dtype=np.uint8)
        if len(planes) < 3:
            chroma[:] = _NEUTRAL
        else:
            chroma[0] = _shrunk(planes[1], self._chroma_size, bits)
            chroma[1] = _shrunk(planes[2], self._chroma_size, bits)
        return SmallPicture(luma, chroma)

    def _converted(self, frame: av.VideoFrame) -> SmallPicture:
        """RGB, palettes, packed and semi-planar pictures: libswscale brings them to planes of the size that is wanted."""
        small = self._to_planar.reformat(
            frame, *self._size, format="yuv420p", interpolation="AREA", dst_color_range=ColorRange.JPEG, threads=1
        )
        planes = small.planes
        chroma = np.stack([_shrunk(planes[1], self._chroma_size, 8), _shrunk(planes[2], self._chroma_size, 8)])
        return SmallPicture(_shrunk(planes[0], self._size, 8), chroma)

    def _bgr(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        """FAST_BILINEAR samples as sparsely as PySceneDetect's own resize: the boundaries are the same on all 22 real test videos.
        Smoother scalers see less noise and shift the scores."""
        small = self._to_bgr.reformat(frame, *self._bgr_size, format="bgr24", interpolation="FAST_BILINEAR", threads=1)
        return np.asarray(small.to_ndarray(), dtype=np.uint8)


def _bounded(width_px: int, height_px: int, side_px: int) -> tuple[int, int]:
    factor = max(1.0, max(width_px, height_px) / side_px)
    return max(1, round(width_px / factor)), max(1, round(height_px / factor))


def _shrunk(plane: av.video.plane.VideoPlane, size: tuple[int, int], bits: int) -> NDArray[np.uint8]:
    """A plane at `size` (width, height): rows are left out until about two per row of the result remain, blocks of 2x2 are averaged, and
    what is left is sampled linearly. Small planes are averaged in full."""
    import cv2

    data: Any = plane  # it is a buffer, whatever PyAV's type stub says
    samples: NDArray[np.uint8] | NDArray[np.uint16]
    if bits == 8:
        samples = np.frombuffer(data, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
    else:
        samples = np.frombuffer(data, np.uint16).reshape(plane.height, plane.line_size // 2)[:, : plane.width]
    width, height = size
    if plane.width >= 2 * width and plane.height >= 2 * height:
        step = plane.height // (2 * height)
        samples = samples[step // 2 :: step]
        halved = (plane.width // 2, samples.shape[0] // 2)
        samples = cv2.resize(samples[: 2 * halved[1], : 2 * halved[0]], halved, interpolation=cv2.INTER_AREA)
        small = cv2.resize(samples, size, interpolation=cv2.INTER_LINEAR)
    else:
        small = cv2.resize(samples, size, interpolation=cv2.INTER_AREA)
    if bits > 8:
        small = cv2.convertScaleAbs(small, alpha=1 / (1 << (bits - 8)))
    return np.asarray(small, dtype=np.uint8)


class LumaMeter:
    """Brightness and its change, frame by frame. Memory: 8 bytes a frame."""

    def __init__(self) -> None:
        self._means, self._changes = array("f"), array("f")
        self._previous: NDArray[np.uint8] | None = None

    def add(self, picture: SmallPicture) -> float:
        """The mean absolute difference to the frame before, 0 to 255."""
        import cv2

        luma, previous = picture.luma, self._previous
        change = 0.0 if previous is None else cv2.norm(luma, previous, cv2.NORM_L1) / luma.size
        self._means.append(cv2.mean(luma)[0])
        self._changes.append(change)
        self._previous = luma
        return float(change)

    def repeat(self) -> None:
        """A frame that was not decoded counts as the one before it."""
        self._means.append(self._means[-1])
        self._changes.append(0.0)

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """LUMA_MEAN, LUMA_CHANGE: float32 [num_frames]."""
        return {LUMA_MEAN: np.array(self._means, dtype=np.float32), LUMA_CHANGE: np.array(self._changes, dtype=np.float32)}
