"""Decoded frames to frames as they are written: upright, progressive, 4:2:0 of 8 or 10 bits, of one even size. One frame out for each
frame in."""

from dataclasses import dataclass
from fractions import Fraction

import av
from av.error import EOFError as FFmpegEOFError
from av.error import FFmpegError
from av.filter import Graph

from internvid_pipeline.media.frames import square_size
from internvid_pipeline.media.orientation import Orientation

_EAGAIN = 11
_COUNTER = Fraction(1, 1000)  # frames go through the filters by number; their times are the caller's business
_FLAGS = "bicubic+accurate_rnd+full_chroma_int+bitexact"  # the same pixels on every processor
_MIN_DEINTERLACE_PX = 4  # bwdif refuses smaller pictures
_RGB_COLORSPACE = 0
_FULL_RANGE = 2
_DEEP_FORMAT = "yuv420p10le"


@dataclass(frozen=True)
class PictureFormat:
    """Of the frames that come out; sources of more than 8 bits get 10. pixel_ratio: width/height of one pixel. Colour tags are ffmpeg's
    numbers."""

    width_px: int
    height_px: int
    pixel_ratio: Fraction
    colorspace: int
    color_primaries: int
    color_trc: int
    color_range: int
    pixel_format: str = "yuv420p"

    @property
    def bits(self) -> int:
        """Of a sample."""
        return 10 if self.pixel_format == _DEEP_FORMAT else 8


def output_format(first: av.VideoFrame, orientation: Orientation, pixel_ratio: Fraction, max_side_px: int | None) -> PictureFormat:
    """For a clip that begins with the frame `first`. Odd sides lose their last row or column rather than being resampled; pixels keep their
    shape unless `max_side_px` asks for another size, and then they become square."""
    width, height = (first.height, first.width) if orientation.swaps_sides else (first.width, first.height)
    ratio = 1 / pixel_ratio if orientation.swaps_sides else pixel_ratio
    if max_side_px is not None and max(width, height) > max_side_px:
        width, height = square_size(width, height, ratio, max_side_px)
        ratio = Fraction(1)
    is_rgb = first.format.is_rgb or first.colorspace == _RGB_COLORSPACE
    full_range = first.color_range == _FULL_RANGE or first.format.name.startswith("yuvj")
    return PictureFormat(
        width_px=max(2, width // 2 * 2),
        height_px=max(2, height // 2 * 2),
        pixel_ratio=ratio,
        colorspace=1 if is_rgb else first.colorspace,  # 1: BT.709
        color_primaries=first.color_primaries,
        color_trc=first.color_trc,
        color_range=1 if is_rgb or not full_range else _FULL_RANGE,
        pixel_format=_DEEP_FORMAT if max(part.bits for part in first.format.components) > 8 else "yuv420p",
    )


class Upright:
    """Turns, deinterlaces and resizes. Frames come out in order, some calls later where the deinterlacer looks ahead; `finish` gives the
    rest. A video that changes its size or pixel format on the way is brought to the size of the clip's first frame."""

    def __init__(self, target: PictureFormat, orientation: Orientation, deinterlace: bool) -> None:
        self._target, self._orientation, self._deinterlace = target, orientation, deinterlace
        self._num_in = 0
        self._graph: Graph | None = None
        self._kind: tuple[object, ...] = ()

    def add(self, frame: av.VideoFrame) -> list[av.VideoFrame]:
        """Frames that are ready."""
        if self._graph is None and self._fits(frame):
            return [frame]
        kind = (frame.width, frame.height, frame.format.name, frame.colorspace, frame.color_range)
        ready: list[av.VideoFrame] = []
        if kind != self._kind:
            ready = self.finish()
            self._graph, self._kind = self._build(frame), kind
        assert self._graph is not None
        frame.pts, frame.time_base = self._num_in, _COUNTER
        self._num_in += 1
        self._graph.vpush(frame)
        return ready + self._pull()

    def finish(self) -> list[av.VideoFrame]:
        """The frames still inside."""
        if self._graph is None:
            return []
        self._graph.vpush(None)
        ready = self._pull()
        self._graph, self._kind = None, ()
        return ready

    def _fits(self, frame: av.VideoFrame) -> bool:
        """True where the frame is already as it should be."""
        target = self._target
        if self._deinterlace or self._orientation.filters or frame.colorspace == _RGB_COLORSPACE:
            return False
        same_range = (frame.color_range == _FULL_RANGE) == (target.color_range == _FULL_RANGE)
        same_size = (frame.width, frame.height) == (target.width_px, target.height_px)
        return same_size and same_range and frame.format.name == target.pixel_format

    def _pull(self) -> list[av.VideoFrame]:
        assert self._graph is not None
        ready = []
        while True:
            try:
                ready.append(self._graph.vpull())
            except FFmpegEOFError:
                return ready
            except FFmpegError as error:
                if error.errno != _EAGAIN:
                    raise
                return ready

    def _build(self, frame: av.VideoFrame) -> Graph:
        graph = Graph()
        graph.threads = 1
        source = f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:time_base={_COUNTER}:pixel_aspect=1/1"
        colours = f":colorspace={frame.colorspace}:range={frame.color_range}"
        nodes = [graph.add("buffer", source + colours)]
        nodes += [graph.add(name, arguments) for name, arguments in self._filters(frame)]
        nodes.append(graph.add("buffersink"))
        graph.link_nodes(*nodes).configure()
        return graph

    def _filters(self, frame: av.VideoFrame) -> list[tuple[str, str]]:
        target = self._target
        filters: list[tuple[str, str]] = []
        if self._deinterlace and min(frame.width, frame.height) >= _MIN_DEINTERLACE_PX:
            filters.append(("bwdif", "mode=send_frame:parity=auto:deint=interlaced"))
        filters += self._orientation.filters
        width, height = (frame.height, frame.width) if self._orientation.swaps_sides else (frame.width, frame.height)
        wanted = (target.width_px, target.height_px)
        if (width, height) != wanted and (width // 2 * 2, height // 2 * 2) == wanted:
            filters.append(("crop", f"{target.width_px}:{target.height_px}:0:0:exact=1"))
        is_full = target.color_range == _FULL_RANGE
        colours = f":out_range={'pc' if is_full else 'tv'}"
        if frame.format.is_rgb or frame.colorspace == _RGB_COLORSPACE:
            colours += ":out_color_matrix=bt709"
        filters.append(("scale", f"{target.width_px}:{target.height_px}:flags={_FLAGS}{colours}"))
        filters.append(("format", target.pixel_format))
        return filters
