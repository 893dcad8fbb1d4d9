"""Frames encoded so that they stand in one H.264 stream with copied packets: parameter sets under a number of their own, both in the
header, so that every decoder knows both from the start (ISO/IEC 14496-15 allows 31 sequence sets in avcC)."""

from collections.abc import Iterator
from fractions import Fraction

import av
from av.codec.context import Flags
from av.video.frame import PictureType

from internvid_pipeline.media import nal
from internvid_pipeline.media.video_encoders import EncoderSettings, x264_options

JOINED_FORMATS = ("yuv420p", "yuvj420p")
_BITS = 8
_SETS = (nal.H264_SPS, nal.H264_PPS)
_MOST_SETS, _MOST_SET_BYTES = 30, 4096  # avcC: 31 sequence sets; real ones are of some dozen bytes
# One key frame at the start and no look-ahead: an edge is a few seconds at most. No reordering: one packet for each frame at once.
_EDGE_TOOLS = ("keyint=infinite", "scenecut=0", "bframes=0", "rc-lookahead=0", "mbtree=0")


def fits_beside(parameters: nal.ParameterSets | None) -> bool:
    """True where the header of an mp4 file has room for these sets and ours."""
    if parameters is None or not all(len(unit) <= _MOST_SET_BYTES for unit in parameters.sets):
        return False
    numbers = {nal.set_number(unit) for unit in parameters.sets if unit[0] & 31 in _SETS}
    kinds = {unit[0] & 31 for unit in parameters.sets}
    return set(_SETS) <= kinds and len(parameters.sets) <= _MOST_SETS and not numbers >= set(range(32))


class EdgeEncoder:
    """Encodes the frames of one edge after the other, each beginning with a key frame. header: of the clip (avcC)."""

    def __init__(
        self, source: av.VideoCodecContext, parameters: nal.ParameterSets, time_base: Fraction, fps: Fraction, settings: EncoderSettings
    ) -> None:
        """source: decoder of the video. parameters: its header. time_base: of the times given to `encode`. fps: mean."""
        self._source, self._time_base, self._fps, self._settings = source, time_base, fps, settings
        theirs = [unit for unit in parameters.sets if unit[0] & 31 in _SETS]
        taken = {nal.set_number(unit) for unit in theirs}
        self._number = next(number for number in range(31, -1, -1) if number not in taken)
        own = list(nal.split_start_codes(self._open().extradata or b""))
        self.header = nal.avcc(*([unit for unit in theirs + own if unit[0] & 31 == kind] for kind in _SETS))

    def encode(self, frames: Iterator[tuple[int, av.VideoFrame]]) -> Iterator[tuple[int, bytes, bool]]:
        """frames: with their pts. Yields pts, packet as mp4 stores it, and whether it is a key frame."""
        context = None
        for pts, frame in frames:
            context = context or self._open()
            frame.pts, frame.time_base, frame.pict_type = pts, self._time_base, PictureType.NONE
            yield from self._stored(context.encode(frame))
        if context is not None:
            yield from self._stored(context.encode(None))

    def _stored(self, packets: "list[av.Packet[av.VideoStream]]") -> Iterator[tuple[int, bytes, bool]]:
        """Slices only: x264's remarks and delimiters are left out."""
        for packet in packets:
            units = [unit for unit in nal.split_start_codes(bytes(packet)) if unit[0] & 31 in nal.H264_SLICES]
            yield packet.pts or 0, nal.length_prefixed(units), packet.is_keyframe

    def _open(self) -> av.VideoCodecContext:
        context = av.CodecContext.create("libx264", "w")
        assert isinstance(context, av.VideoCodecContext)
        source = self._source
        context.width, context.height, context.pix_fmt = source.width, source.height, source.pix_fmt
        context.framerate, context.time_base = self._fps, self._time_base
        if source.sample_aspect_ratio:
            context.sample_aspect_ratio = source.sample_aspect_ratio
        context.colorspace, context.color_primaries = source.colorspace, source.color_primaries
        context.color_trc, context.color_range = source.color_trc, source.color_range
        context.thread_count = 1
        context.flags |= Flags.bitexact | Flags.global_header
        context.options = x264_options(self._settings, _BITS, (f"sps-id={self._number}", *_EDGE_TOOLS))
        context.open()
        return context
