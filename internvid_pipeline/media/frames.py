"""Which frames of a clip models will look at, and how they are kept: small upright sRGB JPEG files."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation, VideoReformatter

from internvid_pipeline.media.times import FrameTimes

_HDR = (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)  # PQ and HLG: shown as they are, they look grey and flat
_UNSPECIFIED_COLORSPACE = 2
_HD_HEIGHT_PX = 720
# Exact and the same on every processor; AREA averages, so that fine text stays readable when it is made smaller.
_SCALING = Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
_FULL_CHROMA = Interpolation.FULL_CHR_H_INT  # not for HDR: with it, libswscale 9.5 turns the mapped picture magenta


@dataclass(frozen=True)
class FrameChoice:
    """frames: numbers of the frames to keep, ascending, `middle` among them. middle: the frame on screen at half of the clip's time."""

    frames: tuple[int, ...]
    middle: int


@dataclass(frozen=True)
class KeptFrame:
    """A frame that was written to `path`."""

    frame: int
    time_s: float
    width_px: int
    height_px: int
    path: Path


def choose_frames(times: FrameTimes, start: int, end: int, per_second: float, minimum: int) -> FrameChoice:
    """Frames of [start, end) in equal steps of time: `per_second`, at least `minimum`, and the middle one (InternVid, section 3.2: the
    middle frame for the coarse caption, frames at a low rate for the fine one). Where the clip has no more frames than that: all."""
    first, last = int(times.pts[start]), times.end_of(end - 1)
    shown = times.pts[start:end]
    middle = start + int(np.searchsorted(shown, first + (last - first) // 2, side="right")) - 1
    wanted = max(minimum, int((last - first) * times.time_base * Fraction(per_second)), 1)
    if wanted >= end - start:
        return FrameChoice(tuple(range(start, end)), middle)
    steps = (np.arange(wanted) + 0.5) / wanted
    by_time = start + np.searchsorted(shown, first + np.floor(steps * (last - first)).astype(np.int64), side="right") - 1
    if len(np.unique(by_time)) < minimum:  # one frame may fill most of a clip of variable frame rate
        by_time = start + np.floor(steps * (end - start)).astype(np.int64)
    return FrameChoice(tuple(sorted({*(int(frame) for frame in by_time), middle})), middle)


class FrameSaver:
    """Writes upright frames as JPEG. max_side_px: of the longer side, never enlarged. jpeg_quality: Pillow's, 1 to 95."""

    def __init__(self, max_side_px: int, jpeg_quality: int) -> None:
        self._max_side_px, self._jpeg_quality = max_side_px, jpeg_quality
        self._reformatter = VideoReformatter()

    def save(self, frame: av.VideoFrame, pixel_ratio: Fraction, number: int, time_s: float, path: Path) -> KeptFrame:
        """frame: upright. pixel_ratio: width/height of one of its pixels; the JPEG's are square. HDR is mapped to sRGB."""
        from PIL import Image

        width, height = square_size(frame.width, frame.height, pixel_ratio, self._max_side_px)
        is_hdr = frame.color_trc in _HDR
        rgb = self._reformatter.reformat(
            frame,
            width,
            height,
            format="rgb24",
            interpolation=_SCALING if is_hdr else _SCALING | _FULL_CHROMA,
            src_colorspace=_colorspace(frame),
            dst_color_range=ColorRange.JPEG,
            dst_color_trc=ColorTrc.IEC61966_2_1 if is_hdr else None,
            dst_color_primaries=ColorPrimaries.BT709 if is_hdr else None,
            threads=1,
        )
        Image.fromarray(np.asarray(rgb.to_ndarray(), dtype=np.uint8)).save(path, "JPEG", quality=self._jpeg_quality)
        return KeptFrame(number, time_s, width, height, path)


def square_size(width_px: int, height_px: int, pixel_ratio: Fraction, max_side_px: int | None) -> tuple[int, int]:
    """Size with square pixels, the longer side at most `max_side_px`; a side that would be stretched is kept and the other one made
    smaller, so that nothing is enlarged."""
    width, height = (Fraction(width_px), height_px / pixel_ratio) if pixel_ratio > 1 else (width_px * pixel_ratio, Fraction(height_px))
    scale = min(Fraction(1), Fraction(max_side_px) / max(width, height)) if max_side_px else Fraction(1)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _colorspace(frame: av.VideoFrame) -> int | None:
    """Untagged pictures are BT.709 in HD and BT.601 below, as players (mpv, VLC) assume."""
    if frame.colorspace != _UNSPECIFIED_COLORSPACE:
        return None
    return int(Colorspace.ITU709 if frame.height >= _HD_HEIGHT_PX else Colorspace.ITU601)
