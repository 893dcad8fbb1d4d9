"""How a picture is to be turned to stand upright, from the display matrix that phones write."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import av
from av.sidedata.sidedata import Type as SideDataType


@dataclass(frozen=True)
class Orientation:
    """rotation_deg: counter-clockwise turn that shows the picture upright, as the file states it. filters: names and arguments of
    libavfilter's filters that do it exactly, without resampling; turns that are no multiple of 90 go to the nearest one."""

    rotation_deg: int = 0
    filters: tuple[tuple[str, str], ...] = ()

    @property
    def swaps_sides(self) -> bool:
        """True where width and height change places."""
        return any(name == "transpose" for name, _ in self.filters)


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """Of the first frame of a stream. The cases are those of ffmpeg's own `-autorotate` (fftools/ffmpeg_filter.c), mirrored pictures
    included."""
    sides: Iterable[Any] = frame.side_data
    matrix_bytes = next((bytes(side) for side in sides if side.type == SideDataType.DISPLAYMATRIX), b"")
    if len(matrix_bytes) < 36:
        return Orientation()
    matrix = struct.unpack("<9i", matrix_bytes[:36])
    rotation_deg = round(frame.rotation)
    clockwise_quarters = round(-rotation_deg / 90) % 4
    filters: tuple[tuple[str, str], ...]
    if clockwise_quarters == 1:
        filters = (("transpose", "cclock_flip" if matrix[3] > 0 else "clock"),)
    elif clockwise_quarters == 3:
        filters = (("transpose", "clock_flip" if matrix[3] < 0 else "cclock"),)
    elif clockwise_quarters == 2:
        filters = (*([("hflip", "")] if matrix[0] < 0 else []), *([("vflip", "")] if matrix[4] < 0 else []))
    else:
        filters = (("vflip", ""),) if matrix[4] < 0 else ()
    return Orientation(rotation_deg, filters)
