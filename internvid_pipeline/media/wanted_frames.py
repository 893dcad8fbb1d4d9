"""Decoding of chosen frames only: from the key frame before, without the frames that no other one needs."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from numpy.typing import NDArray

from internvid_pipeline.errors import DamagedMedia, is_machine_fault
from internvid_pipeline.media.container import check_size, packets_of, translated
from internvid_pipeline.media.decode import FramePass
from internvid_pipeline.media.limits import MediaLimits
from internvid_pipeline.media.packets import PacketIndex
from internvid_pipeline.media.times import FrameTimes

Range = tuple[int, int]


def wanted_frames(
    path: Path,
    container: InputContainer,
    stream: av.VideoStream,
    limits: MediaLimits,
    index: PacketIndex | None,
    times: FrameTimes,
    ranges: Sequence[Range],
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Frames of `ranges` (ascending, apart) with their numbers, in order; some may be missing where the file decodes differently than
    it did for `times`. One pass over the packets; what lies far from the ranges is not decoded. Frames are told by their pts; where
    packets and times do not correspond, everything is decoded and frames are counted. Raises MediaLimitError, DamagedMedia."""
    if not ranges:
        return
    wanted = np.zeros(times.num_frames, dtype=np.bool_)
    for start, end in ranges:
        wanted[start:end] = True
    if index is None or not index.steady or times.repaired:
        last = ranges[-1][1]
        for number, frame in enumerate(FramePass(path, container, stream, limits)):
            if number < times.num_frames and wanted[number]:
                yield number, frame
            if number + 1 >= last:
                return
        return
    yield from _by_time(path, container, stream, limits, index, times, ranges, wanted)


def _by_time(
    path: Path,
    container: InputContainer,
    stream: av.VideoStream,
    limits: MediaLimits,
    index: PacketIndex,
    times: FrameTimes,
    ranges: Sequence[Range],
    wanted: NDArray[np.bool_],
) -> Iterator[tuple[int, av.VideoFrame]]:
    decoded = _packets_to_decode(index, times, ranges)
    context = stream.codec_context
    context.options = {"max_pixels": str(limits.max_pixels)}
    shown = memoryview(times.pts.data)  # gives plain numbers: ten times as fast as a search by numpy for each frame
    last = int(np.flatnonzero(decoded.fed).max(initial=-1))
    for position, packet in enumerate(_packets(path, container, stream)):
        if position > last:
            break
        if packet.pts != index.pts[position]:
            raise DamagedMedia(f"reads differently the second time: packet {position} is of {packet.pts}, was of {index.pts[position]}")
        if not decoded.fed[position]:
            continue
        frames = _decode(context, packet)
        if decoded.drained[position]:
            frames += _decode(context, None)
            context.flush_buffers()
        for frame in frames:
            number = len(shown) if frame.pts is None else bisect_left(shown, frame.pts)
            if number < len(shown) and shown[number] == frame.pts and wanted[number]:
                check_size(frame.width, frame.height, limits)
                yield number, frame


class _Decoded:
    """fed: packets that the decoder gets. drained: those after which it gives all it holds, since the next ones are left out."""

    def __init__(self, num_packets: int) -> None:
        self.fed = np.zeros(num_packets, dtype=np.bool_)
        self.drained = np.zeros(num_packets, dtype=np.bool_)


def _packets_to_decode(index: PacketIndex, times: FrameTimes, ranges: Sequence[Range]) -> _Decoded:
    out = _Decoded(len(index.pts))
    starts = np.flatnonzero(index.starts)
    needed = np.zeros(len(index.pts), dtype=np.bool_)
    chain_end = 0  # the decoder holds everything that it needs up to here, exclusive
    for start, end in ranges:
        first_pts = int(times.pts[start])
        ours = index.positions(first_pts, int(times.pts[end - 1]) + 1)
        if len(ours) == 0:
            continue
        needed[ours] = True
        first, last = int(ours.min()), int(ours.max())
        before = starts[(starts <= first) & (index.pts[starts] <= first_pts)]
        entry = int(before[-1]) if len(before) else 0
        if entry > chain_end > 0:
            out.drained[chain_end - 1] = True
        out.fed[max(entry, chain_end) : last + 1] = True
        chain_end = max(chain_end, last + 1)
    if chain_end:
        out.drained[chain_end - 1] = True
    out.fed &= needed | ~index.spare
    return out


def _packets(path: Path, container: InputContainer, stream: av.VideoStream) -> "Iterator[av.Packet[av.VideoStream]]":
    with translated(path, DamagedMedia, "cannot be read on"):
        for packet in packets_of(container, stream):
            if packet.size:
                yield packet


def _decode(context: av.VideoCodecContext, packet: "av.Packet[av.VideoStream] | None") -> list[av.VideoFrame]:
    try:
        return context.decode(packet)
    except (FFmpegError, MemoryError) as error:
        if is_machine_fault(error):
            raise
        return []  # the scan met the same and marked the frame; where one is missing, its clip says so
