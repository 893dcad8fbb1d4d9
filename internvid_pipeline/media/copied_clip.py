"""A clip whose packets are copied, but for frames at its edges, which come encoded anew."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from internvid_pipeline.errors import DamagedMedia
from internvid_pipeline.media import nal
from internvid_pipeline.media.clip_file import ClipFile, ClipSound, verify
from internvid_pipeline.media.clip_sound import PacketSource
from internvid_pipeline.media.cut_plan import CutPlan
from internvid_pipeline.media.edge_encoder import EdgeEncoder
from internvid_pipeline.media.packets import PacketIndex
from internvid_pipeline.media.times import FrameTimes

_FOUR_BYTES = 4
_TAGS = {"hevc": "hvc1"}  # ffmpeg's own choice, hev1, is not played by Apple's players
_DROPPED = (nal.H264_SPS, nal.H264_PPS, *nal.H264_NOT_STORED)


class CopiedClip:
    """Head, copied packets, tail, in this order; then `finish`, or at any time `file.abandon`."""

    def __init__(
        self,
        path: Path,
        plan: CutPlan,
        times: FrameTimes,
        index: PacketIndex,
        source: PacketSource,
        edges: EdgeEncoder | None,
        sound: ClipSound | None,
    ) -> None:
        self._plan, self._times, self._index, self._source, self._edges = plan, times, index, source, edges
        self._shown = times.pts[plan.start_frame : plan.end_frame]
        self._start_pts, self._end_pts = int(self._shown[0]), times.end_of(plan.end_frame - 1)
        self._delay = self._most_delay()
        self._written = 0
        self.file = ClipFile(path, times.time_base, sound)
        template = source.stream
        assert isinstance(template, av.VideoStream)
        self._stream = self.file.container.add_stream_from_template(template, opaque=True)
        self._stream.time_base = times.time_base
        if template.sample_aspect_ratio:
            self._stream.codec_context.sample_aspect_ratio = template.sample_aspect_ratio
        if edges is not None:
            self._stream.codec_context.extradata = edges.header
        if index.codec in _TAGS:
            self._stream.codec_context.codec_tag = _TAGS[index.codec]
        self.file.open_sound()

    def write_edge(self, frames: Iterator[tuple[int, av.VideoFrame]]) -> None:
        """The head (before `copy`) or the tail (after it): frames with their numbers."""
        if self._edges is None:
            return
        for pts, data, is_key in self._edges.encode((int(self._times.pts[number]), frame) for number, frame in frames):
            packet: av.Packet[Any] = av.Packet(data)
            packet.is_keyframe = is_key
            self._mux(packet, pts, int(np.searchsorted(self._shown, pts)))

    def copy(self) -> None:
        """The packets that are copied."""
        plan, index = self._plan, self._index
        first_pts = int(index.pts[plan.first_packet])
        places = np.searchsorted(self._shown, index.pts[plan.first_packet : plan.end_packet]).tolist()
        for number, packet in self._source.take(plan.first_packet, plan.end_packet):
            if packet.pts is None or packet.pts != index.pts[number]:
                raise DamagedMedia(f"reads differently the second time: packet {number} is of {packet.pts}, was of {index.pts[number]}")
            if packet.pts >= first_pts:
                self._mux(self._stored(packet, bool(index.starts[number])), packet.pts, places[number - plan.first_packet])

    def finish(self) -> None:
        """Raises DamagedMedia where the clip came out wrong."""
        self.file.mux((), None)
        self.file.finish()
        last_pts = int(self._shown[-1]) - self._start_pts
        verify(self.file.path, len(self._shown), last_pts, self._end_pts - self._start_pts, self._times.time_base)

    def _most_delay(self) -> int:
        """How much earlier than it is shown a packet must be decoded, in ticks, so that decoding times can be the sorted display times."""
        copied = self._copied_pts()
        return int((np.sort(copied) - copied).max(initial=0))

    def _copied_pts(self) -> NDArray[np.int64]:
        pts = self._index.pts[self._plan.first_packet : self._plan.end_packet]
        copied: NDArray[np.int64] = pts[pts >= pts[0]]
        return copied

    def _stored(self, packet: "av.Packet[Any]", is_start: bool) -> "av.Packet[Any]":
        parameters = self._index.parameters
        if self._edges is None or parameters is None or (parameters.length_size == _FOUR_BYTES and not is_start):
            data = bytes(packet)
        else:
            data = nal.length_prefixed(unit for unit in nal.split(bytes(packet), parameters.length_size) if unit[0] & 31 not in _DROPPED)
        stored: av.Packet[Any] = av.Packet(data)
        stored.is_keyframe = is_start
        return stored

    def _mux(self, packet: "av.Packet[Any]", pts: int, place: int) -> None:
        """In decoding order. place: among the clip's frames."""
        decoded_at = int(self._shown[self._written]) - self._start_pts - self._delay
        self._written += 1
        duration = self._times.end_of(self._plan.start_frame + place) - pts
        if self._written == len(self._shown):  # mp4 counts in decoding order: the last packet there lasts as long as the last one shown
            duration = self._end_pts - int(self._shown[-1])
        packet.pts, packet.dts, packet.duration = pts - self._start_pts, decoded_at, duration
        packet.time_base, packet.stream = self._times.time_base, self._stream
        self.file.mux([packet], max(0, decoded_at))
