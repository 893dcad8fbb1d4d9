"""The fast pass: pictures that no other refers to are not decoded; where they are shown is known from the packets.

All pictures that others refer to are decoded as in the full pass, so that frames kept for models are the same in both. Near a key frame,
and after a packet so large that it may begin a shot, everything is decoded, so that most cuts are found exactly at once.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from internvid_pipeline.errors import DamagedMedia
from internvid_pipeline.media.container import check_length, open_media, packets_of, translated, video_stream
from internvid_pipeline.media.decode import FramePass
from internvid_pipeline.media.limits import MediaLimits
from internvid_pipeline.media.times import FrameTimes, display_times

# What was tried and is sound: the container knows every packet's time, and the decoder tells pictures without followers by their header.
_CODECS = ("h264", "hevc")
_CONTAINERS = ("mov", "matroska")
_REORDERED = 8  # packets after a possible cut that are decoded in full: B-frames shown before it come after it in the file
_LARGE = 2.0  # times the largest of the packets before
_MEMORY = 12
_MOST_SKIPPED = 16  # in a row; more are not a pattern of B-frames


class DoubtfulTimes(Exception):
    """The packets do not tell which frames there are; the full pass must be made."""


@dataclass(frozen=True)
class FastPlan:
    """pts: int64, of all frames that will be shown, ascending. in_full: pts of packets to be decoded whatever they are. last_duration: of
    the last one, 0 where unknown."""

    pts: NDArray[np.int64]
    in_full: frozenset[int]
    last_duration: int


def fast_plan(path: Path, limits: MediaLimits) -> FastPlan | None:
    """From one reading of the packets, without decoding; None where the fast pass cannot be made."""
    with open_media(path, limits) as container:
        stream = video_stream(container)
        if stream is None or stream.codec_context.name not in _CODECS or not container.format.name.startswith(_CONTAINERS):
            return None
        try:
            with translated(path, DamagedMedia, "cannot be read on"):
                return _plan(container, stream, limits)
        except DamagedMedia:
            return None


def _plan(container: InputContainer, stream: av.VideoStream, limits: MediaLimits) -> FastPlan | None:
    shown: dict[int, int] = {}
    in_full: set[int] = set()
    sizes: deque[int] = deque([1 << 30], maxlen=_MEMORY)
    first_key: int | None = None
    until = 0
    for number, packet in enumerate(packets_of(container, stream)):
        if packet.size == 0:
            continue
        pts = packet.pts
        if pts is None or packet.is_corrupt or pts in shown or number > limits.max_frames:
            return None
        if first_key is None:
            if not packet.is_keyframe:
                return None
            first_key = pts
        if pts < first_key and not packet.is_discard:
            return None
        if packet.is_keyframe or packet.size > _LARGE * max(sizes):
            until = number + _REORDERED
        if not packet.is_keyframe:
            sizes.append(packet.size)
        if number <= until:
            in_full.add(pts)
        if not packet.is_discard:
            shown[pts] = packet.duration or 0
    if not shown:
        return None
    ordered = np.array(sorted(shown), dtype=np.int64)
    return FastPlan(ordered, frozenset(in_full), shown[int(ordered[-1])])


class FastPass(FramePass):
    """Iterate over `numbered` once. Raises DoubtfulTimes, besides what FramePass raises, where a picture is damaged or unexpected."""

    def __init__(self, path: Path, container: InputContainer, stream: av.VideoStream, limits: MediaLimits, plan: FastPlan) -> None:
        super().__init__(path, container, stream, limits, smoothed=False)
        self._plan = plan
        self.decoded: list[int] = []

    @property
    def num_frames(self) -> int:
        return len(self._plan.pts)

    def numbered(self) -> Iterator[tuple[int, av.VideoFrame]]:
        known = {int(pts): number for number, pts in enumerate(self._plan.pts)}
        last = -1
        for frame in self:
            number = known.get(frame.pts, -1) if frame.pts is not None else -1
            if not last < number <= last + 1 + _MOST_SKIPPED or frame.is_corrupt:
                raise DoubtfulTimes
            last = number
            self.decoded.append(number)
            yield number, frame
        if self.broken_off or last + 1 + _MOST_SKIPPED < len(known):
            raise DoubtfulTimes

    def times(self) -> FrameTimes:
        plan, stream = self._plan, self._stream
        times = display_times(plan.pts, plan.pts, plan.last_duration, Fraction(stream.time_base or 1), stream.average_rate)
        check_length(times.seconds(times.end_pts - int(times.pts[0])), self._limits)
        return times

    def _decoded(self, packet: "av.Packet[av.VideoStream] | None") -> list[av.VideoFrame]:
        if packet is not None:
            in_full = packet.pts is None or packet.pts in self._plan.in_full
            self._stream.codec_context.skip_frame = "DEFAULT" if in_full else "NONREF"
        return super()._decoded(packet)

    def _lose(self, packet: "av.Packet[av.VideoStream] | None", words: str) -> None:
        raise DoubtfulTimes
