"""Which frames of a clip models will look at, and how they are kept: small upright sRGB pictures."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation, VideoReformatter
from numpy.typing import NDArray

from internvid_pipeline.media.orientation import Orientation
from internvid_pipeline.media.times import FrameTimes

_HDR = (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)  # PQ and HLG: shown as they are, they look grey and flat
_UNSPECIFIED_COLORSPACE = 2
_HD_HEIGHT_PX = 720
_YUV = ("yuv", "nv12", "p010")
_INTERLACED_FORMATS = ("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv411p")
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


@dataclass(frozen=True, slots=True)
class ShrunkFrame:
    """A frame at the size in which it will be kept, not yet turned: planes of YUV 4:2:0 (half the bytes of RGB, and as much colour as the
    JPEG will hold), of YUV 4:4:4 and 10 bits for HDR; or BGR."""

    picture: av.VideoFrame
    colorspace: int | None
    is_hdr: bool


class FrameSaver:
    """Writes frames as upright sRGB pictures. max_side_px: of the longer side, never enlarged. quality: libjpeg's and libwebp's, 1 to 95.
    orientation: the turn that frames still need; none where they are upright already.

    `shrink` and `write` are apart because most of the frames that the scan shrinks are not written in the end.
    """

    def __init__(self, max_side_px: int, quality: int, orientation: Orientation | None = None) -> None:
        self._max_side_px, self._quality = max_side_px, quality
        self._orientation = orientation or Orientation()
        self._shrinker, self._converter = VideoReformatter(), VideoReformatter()

    def save(self, frame: av.VideoFrame, pixel_ratio: Fraction, number: int, time_s: float, path: Path) -> KeptFrame:
        """pixel_ratio: width/height of one of the frame's pixels; the picture's are square. HDR is mapped to sRGB. path: its suffix
        says which format."""
        return self.write(self.shrink(frame, pixel_ratio), number, time_s, path)

    def shrink(self, frame: av.VideoFrame, pixel_ratio: Fraction) -> ShrunkFrame:
        """The frame at its final size, in memory of its own. See `save`."""
        size = square_size(frame.width, frame.height, pixel_ratio, self._max_side_px)
        if frame.interlaced_frame and (field := _upper_field(frame)) is not None:
            frame = field
        is_hdr = frame.color_trc in _HDR
        colorspace = _colorspace(frame)
        planar = "yuv444p10le" if is_hdr else "yuv420p"
        as_large = (frame.width, frame.height) == size  # then nothing is averaged: chroma keeps the resolution that it has
        if not frame.format.name.startswith(_YUV) or (as_large and frame.format.name != planar):
            return ShrunkFrame(self._bgr(self._shrinker, frame, size, colorspace, is_hdr), None, False)
        color_range = frame.color_range if is_hdr else ColorRange.MPEG
        small = self._shrinker.reformat(frame, *size, format=planar, interpolation=_SCALING, dst_color_range=color_range, threads=1)
        small.colorspace, small.color_range = frame.colorspace, color_range
        small.color_primaries, small.color_trc = frame.color_primaries, frame.color_trc
        return ShrunkFrame(small, colorspace, is_hdr)

    def write(self, shrunk: ShrunkFrame, number: int, time_s: float, path: Path) -> KeptFrame:
        """Turns and encodes. number, time_s: what the result says about the frame."""
        import cv2

        picture = shrunk.picture
        size = (picture.width, picture.height)
        if shrunk.is_hdr:
            picture = self._bgr(self._converter, picture, size, shrunk.colorspace, True)
        elif picture.format.name != "bgr24":
            picture = self._converter.reformat(
                picture,
                format="bgr24",
                interpolation=Interpolation.AREA,  # JPEG halves the chroma again: repeating it is exact, and ten times as fast
                src_colorspace=shrunk.colorspace,
                src_color_range=ColorRange.MPEG,
                dst_color_range=ColorRange.JPEG,
                threads=1,
            )
        upright = turned(np.asarray(picture.to_ndarray(), dtype=np.uint8), self._orientation)
        quality = {".jpg": cv2.IMWRITE_JPEG_QUALITY, ".webp": cv2.IMWRITE_WEBP_QUALITY}.get(path.suffix)
        encoded, data = cv2.imencode(path.suffix, upright, [] if quality is None else [quality, self._quality])
        assert encoded  # a picture of 8 bits in memory: nothing that an encoder could refuse
        picture_bytes: Any = data
        path.write_bytes(picture_bytes)
        return KeptFrame(number, time_s, upright.shape[1], upright.shape[0], path)

    def _bgr(
        self, reformatter: VideoReformatter, frame: av.VideoFrame, size: tuple[int, int], colorspace: int | None, is_hdr: bool
    ) -> av.VideoFrame:
        return reformatter.reformat(
            frame,
            *size,
            format="bgr24",
            interpolation=_SCALING if is_hdr else _SCALING | _FULL_CHROMA,
            src_colorspace=colorspace,
            dst_color_range=ColorRange.JPEG,
            dst_color_trc=ColorTrc.IEC61966_2_1 if is_hdr else None,
            dst_color_primaries=ColorPrimaries.BT709 if is_hdr else None,
            threads=1,
        )


def turned(picture: NDArray[np.uint8], orientation: Orientation) -> NDArray[np.uint8]:
    """A picture [height, width, 3] turned upright, exactly as libavfilter's filters of the same names do."""
    for name, argument in orientation.filters:
        picture = _TURNS[argument if name == "transpose" else name](picture)
    return np.ascontiguousarray(picture)


_TURNS: Mapping[str, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    "hflip": lambda picture: picture[:, ::-1],
    "vflip": lambda picture: picture[::-1],
    "clock": lambda picture: picture[::-1].swapaxes(0, 1),
    "cclock": lambda picture: picture.swapaxes(0, 1)[::-1],
    "cclock_flip": lambda picture: picture.swapaxes(0, 1),
    "clock_flip": lambda picture: picture[::-1, ::-1].swapaxes(0, 1),
}


def _upper_field(frame: av.VideoFrame) -> av.VideoFrame | None:
    """Every second row of an interlaced frame, so that moving edges show no combs; None for formats that interlaced video does not have."""
    if frame.format.name not in _INTERLACED_FORMATS or frame.height < 4:
        return None
    height = frame.height // 4 * 2  # even, for the chroma planes
    field = av.VideoFrame(frame.width, height, frame.format.name)
    target: Any  # planes are buffers, whatever PyAV's type stub says
    source: Any
    for target, source in zip(field.planes, frame.planes, strict=True):
        rows = np.frombuffer(source, np.uint8).reshape(source.height, source.line_size)
        view = np.frombuffer(target, np.uint8).reshape(target.height, target.line_size)
        view[:, : target.width] = rows[: 2 * target.height : 2, : target.width]
    field.colorspace, field.color_range = frame.colorspace, frame.color_range
    field.color_primaries, field.color_trc = frame.color_primaries, frame.color_trc
    return field


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
