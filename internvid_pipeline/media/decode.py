"""One pass over the pictures of a file: frames in display order, counted from 0, and an account of what could not be decoded."""

from array import array
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from numpy.typing import NDArray

from internvid_pipeline.errors import DamagedMedia, MediaLimitError, is_machine_fault
from internvid_pipeline.media.container import check_length, check_size, last_words, packets_of, translated
from internvid_pipeline.media.limits import MediaLimits
from internvid_pipeline.media.times import NO_TIME, FrameTimes, display_times

# Of H.264, the smoothing of block edges is left out on B-pictures. Few others refer to those, and none for long, so nothing adds up; it
# saves a sixth of the decoding, and changes a picture by less than its JPEG does (our measurement: benchmarks/README.md). Not of HEVC:
# nearly every picture is a B-picture there, and even on those that no other refers to it left 34 dB.
_UNSMOOTHED = {"h264": "bidir"}


def without_smoothing(codec_name: str) -> dict[str, str]:
    """Options of a decoder whose pictures are scanned and shrunk, not cut into clips."""
    return {"skip_loop_filter": _UNSMOOTHED[codec_name]} if codec_name in _UNSMOOTHED else {}


class FramePass:
    """Iterate over it once; afterwards `times` and `damaged_frames` tell about the whole file.

    Every pass over the same file gives the same frames under the same numbers: one decoder thread, the same errors at the same
    packets. Memory is 16 bytes per frame beside the decoder's own.
    """

    def __init__(self, path: Path, container: InputContainer, stream: av.VideoStream, limits: MediaLimits, smoothed: bool = True) -> None:
        """smoothed: False for `without_smoothing`."""
        self._path, self._container, self._stream, self._limits = path, container, stream, limits
        options = {"max_pixels": str(limits.max_pixels)}
        stream.codec_context.options = options | ({} if smoothed else without_smoothing(stream.codec_context.name))
        self._pts, self._dts = array("q"), array("q")
        self._last_duration = 0
        self._corrupt: set[int] = set()
        self._lost_pts: list[int | None] = []
        self._lost_at: list[int] = []
        self.broken_off: str | None = None

    @property
    def num_frames(self) -> int:
        """Frames decoded so far."""
        return len(self._pts)

    def __iter__(self) -> Iterator[av.VideoFrame]:
        """Frames in display order. Raises MediaLimitError for too many or too large ones, DamagedMedia where too many packets are lost or
        nothing at all can be decoded."""
        idle = 0
        for packet in self._packets():
            if packet is not None and packet.is_corrupt:  # the demuxer knows that a part of it is missing
                self._lose(packet, "incomplete packets")
            shown = self._decoded(packet)
            idle = 0 if shown else idle + 1
            if idle > self._limits.max_idle_packets:
                raise DamagedMedia(f"{idle} packets in a row give no picture (limits.max_idle_packets)")
            for frame in shown:
                self._note(frame)
                yield frame
        if not self._pts:
            raise DamagedMedia(f"no picture can be decoded{f': {self.broken_off}' if self.broken_off else ''}")

    def numbered(self) -> Iterator[tuple[int, av.VideoFrame]]:
        """Frames with their numbers; iterate over this or over the pass itself."""
        return enumerate(self)

    def times(self) -> FrameTimes:
        """When each of the frames decoded so far is shown. Raises DamagedMedia, MediaLimitError for a video that is too long."""
        time_base = Fraction(self._stream.time_base or 1)
        pts, dts = np.array(self._pts, dtype=np.int64), np.array(self._dts, dtype=np.int64)
        times = display_times(pts, dts, self._last_duration, time_base, self._stream.average_rate)
        check_length(times.seconds(times.end_pts - int(times.pts[0])), self._limits)  # whatever the header claimed
        return times

    def damaged_frames(self, times: FrameTimes, broken_off: bool) -> NDArray[np.int64]:
        """Numbers of damaged frames, ascending: those that the decoder calls corrupt; for a packet that is incomplete or refused, the frame
        shown next after the missing one; and the last frame, where the file breaks off."""
        damaged = set(self._corrupt)
        last = times.num_frames - 1
        for pts, at in zip(self._lost_pts, self._lost_at, strict=True):
            next_shown = int(np.searchsorted(times.pts, pts)) if pts is not None and not times.repaired else at
            damaged.add(min(next_shown, last))
        if broken_off:
            damaged.add(last)
        return np.array(sorted(damaged), dtype=np.int64)

    def _packets(self) -> Iterator["av.Packet[av.VideoStream] | None"]:
        """Packets, then None or an empty packet: the sign for the decoder to give what it still holds."""
        try:
            with translated(self._path, DamagedMedia, "cannot be read on"):
                yield from packets_of(self._container, self._stream)
        except DamagedMedia as error:  # a file cut short: what came before is sound
            self.broken_off = str(error)
            yield None

    def _decoded(self, packet: "av.Packet[av.VideoStream] | None") -> list[av.VideoFrame]:
        try:
            return self._stream.codec_context.decode(packet)
        except (FFmpegError, MemoryError) as error:
            if is_machine_fault(error):
                raise
            self._lose(packet, last_words(error, self._path) if isinstance(error, FFmpegError) else str(error))
            return []

    def _lose(self, packet: "av.Packet[av.VideoStream] | None", words: str) -> None:
        self._lost_pts.append(packet.pts if packet else None)
        self._lost_at.append(len(self._pts))
        if len(self._lost_pts) > self._limits.max_lost_packets:
            raise DamagedMedia(f"more than {self._limits.max_lost_packets} packets are damaged (limits.max_lost_packets): {words}")

    def _note(self, frame: av.VideoFrame) -> None:
        check_size(frame.width, frame.height, self._limits)
        if len(self._pts) >= self._limits.max_frames:
            raise MediaLimitError(f"has more than {self._limits.max_frames} frames (limits.max_frames)")
        if frame.is_corrupt:
            self._corrupt.add(len(self._pts))
        self._pts.append(NO_TIME if frame.pts is None else frame.pts)
        self._dts.append(NO_TIME if frame.dts is None else frame.dts)
        self._last_duration = frame.duration or 0
