"""What the packets of a video say before anything is decoded: when they are shown, where a decoder can start, which it can leave out."""

import contextlib
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from internvid_pipeline.errors import DamagedMedia
from internvid_pipeline.media import nal
from internvid_pipeline.media.container import audio_stream, open_media, packets_of, translated, video_stream
from internvid_pipeline.media.limits import MediaLimits
from internvid_pipeline.media.sound_packets import SoundIndex, SoundIndexer
from internvid_pipeline.media.times import NO_TIME

_VP9_MARKER = 2
_AV1_FRAMES, _AV1_SEQUENCE = (3, 6), 1  # OBU types: frame header, frame; sequence header


@dataclass(frozen=True)
class PacketIndex:
    """All in decoding order, [num_packets]. pts: int64, in `time_base`. starts: a decoder can start here and gives every picture shown
    from this one on. spare: no other picture needs it. shown: false for what an edit list hides.
    codec: ffmpeg's name. parameters: of the stream's header, H.264 and HEVC only. steady: the header holds for the whole stream, and every
    packet says when it is shown; where it is false nothing must be copied or skipped. sound: of the stream that clips carry, None where it
    cannot be copied."""

    pts: NDArray[np.int64]
    starts: NDArray[np.bool_]
    spare: NDArray[np.bool_]
    shown: NDArray[np.bool_]
    time_base: Fraction
    codec: str
    parameters: nal.ParameterSets | None
    steady: bool
    sound: SoundIndex | None

    def positions(self, from_pts: int, until_pts: int) -> NDArray[np.int64]:
        """int64 [n]: where the packets shown in [from_pts, until_pts) stand, in the order in which they are shown."""
        order, times = self._shown_order
        low, high = np.searchsorted(times, (from_pts, until_pts))
        return order[low:high]

    @cached_property
    def _shown_order(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        shown = np.flatnonzero(self.shown)
        order = shown[np.argsort(self.pts[shown], kind="stable")]
        return order, self.pts[order]


def index_packets(path: Path, limits: MediaLimits) -> PacketIndex | None:
    """Reads the packets of the picture once, without decoding them (about 2 % of a decode); up to where a file breaks off. None where
    there is no picture."""
    with open_media(path, limits) as container:
        stream = video_stream(container)
        if stream is None:
            return None
        sound = audio_stream(container)
        reader, sound_reader = _Reader(stream), None if sound is None else SoundIndexer(sound)
        with contextlib.suppress(DamagedMedia), translated(path, DamagedMedia, "cannot be read on"):
            for packet in packets_of(container, *([stream] if sound is None else [stream, sound])):
                if packet.size and packet.stream_index == stream.index:
                    reader.add(packet)
                elif packet.size and sound_reader is not None:
                    sound_reader.add(packet)
        return reader.index(None if sound_reader is None else sound_reader.index())


class _Reader:
    """Takes packets one after the other."""

    def __init__(self, stream: av.VideoStream) -> None:
        self._stream = stream
        self._codec = stream.codec_context.codec.canonical_name
        self._parameters = (
            nal.parameter_sets(self._codec, stream.codec_context.extradata or b"") if self._codec in ("h264", "hevc") else None
        )
        self._known = frozenset(self._parameters.sets if self._parameters else ())
        self._look: Callable[[bytes, bool], tuple[bool, bool]] = {
            "h264": self._h264,
            "hevc": self._hevc,
            "vp9": _vp9,
            "av1": _av1,
        }.get(self._codec, _plain)
        if self._codec in ("h264", "hevc") and self._parameters is None:
            self._look = _plain
        self.steady = True
        self.pts = array("q")
        self._starts, self._spare, self._shown = bytearray(), bytearray(), bytearray()

    def add(self, packet: "av.Packet[Any]") -> None:
        """In decoding order."""
        if packet.pts is None or packet.has_sidedata("new_extradata"):
            self.steady = False
        self.pts.append(NO_TIME if packet.pts is None else packet.pts)
        starts, spare = self._look(bytes(packet), packet.is_keyframe)
        self._starts.append(starts and not packet.is_corrupt)
        self._spare.append(spare)
        self._shown.append(not packet.is_discard)

    def index(self, sound: SoundIndex | None) -> PacketIndex:
        """After the last packet."""
        pts = np.frombuffer(self.pts, dtype=np.int64) if self.pts else np.empty(0, dtype=np.int64)
        starts, spare, shown = (np.frombuffer(bytes(flags), dtype=np.bool_) for flags in (self._starts, self._spare, self._shown))
        steady = self.steady and len(np.unique(pts[shown])) == int(shown.sum())
        return PacketIndex(pts, starts, spare, shown, Fraction(self._stream.time_base or 1), self._codec, self._parameters, steady, sound)

    def _note_set(self, unit: bytes) -> None:
        """A set that is not the header's: pictures after it would be read wrongly from a file that has the header alone."""
        if unit not in self._known:
            self.steady = False

    def _h264(self, data: bytes, is_key: bool) -> tuple[bool, bool]:
        assert self._parameters is not None
        is_idr, is_spare, has_slice = True, True, False
        for unit in nal.split(data, self._parameters.length_size):
            kind = unit[0] & 31
            if kind in nal.H264_SLICES:
                has_slice = True
                is_idr = is_idr and kind == nal.H264_IDR
                is_spare = is_spare and not unit[0] & 0x60
            elif kind in (nal.H264_SPS, nal.H264_PPS):
                self._note_set(unit)
        return has_slice and is_idr, has_slice and is_spare

    def _hevc(self, data: bytes, is_key: bool) -> tuple[bool, bool]:
        assert self._parameters is not None
        kinds = set()
        for unit in nal.split(data, self._parameters.length_size):
            kind = unit[0] >> 1 & 63
            if kind in nal.HEVC_SLICES:
                kinds.add(kind)
            elif kind in nal.HEVC_PARAMETER_SETS:
                self._note_set(unit)
        return bool(kinds) and kinds <= {*nal.HEVC_IDR, *nal.HEVC_OPEN_STARTS}, False


def _plain(data: bytes, is_key: bool) -> tuple[bool, bool]:
    """A codec that we do not look into: decoders start at the beginning of the file."""
    return False, False


def _vp9(data: bytes, is_key: bool) -> tuple[bool, bool]:
    """VP9 bitstream specification 6.2: marker, profile, show_existing_frame, frame_type (0: key frame)."""
    if not data or data[0] >> 6 != _VP9_MARKER:
        return False, False
    profile = (data[0] >> 5 & 1) | (data[0] >> 3 & 2)
    tail = data[0] & (0b111 if profile == 3 else 0b1111)
    show_existing, frame_type = (tail >> 2 & 1, tail >> 1 & 1) if profile == 3 else (tail >> 3 & 1, tail >> 2 & 1)
    return is_key and not show_existing and not frame_type, False


def _av1(data: bytes, is_key: bool) -> tuple[bool, bool]:
    """AV1 specification 5.3 and 5.9.2: a key frame that is shown at once, in a packet with the sequence header. Key frames shown
    later (forward key frames) leave pictures between that refer back."""
    position, has_sequence = 0, False
    while is_key and position < len(data):
        header, position = data[position], position + (2 if data[position] & 4 else 1)
        kind, size, shift = header >> 3 & 15, 0, 0
        if not header & 2:
            size = len(data) - position
        while header & 2 and position < len(data):
            byte, position = data[position], position + 1
            size |= (byte & 127) << shift
            shift += 7
            if not byte & 128:
                break
        has_sequence = has_sequence or kind == _AV1_SEQUENCE
        if kind in _AV1_FRAMES and size:
            return has_sequence and data[position] >> 4 == 0b0001, False  # not shown again, type KEY_FRAME, shown
        position += size
    return False, False
