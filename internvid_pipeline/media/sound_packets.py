"""Sound in AAC that can be copied packet by packet: which packets lie where, told before anything is decoded.

Encoding stereo anew costs more CPU time than decoding the pictures of 480p (benchmarks/README.md, what clips cost), so packets are copied
wherever that is exact: an edit list trims the first packet to the sample, and one packet before it lets the decoder settle.
"""

from array import array
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from internvid_pipeline.media.audio import AAC_RATES, MAX_DRIFT_S

AAC_SAMPLES = 1024  # per packet of AAC-LC
_LOW_COMPLEXITY = 2  # audio object type, ISO 14496-3 table 1.17
_ASC_RATES = (96000, 88200, 64000, *AAC_RATES, 7350)
_SBR_SYNC = 0x2B7


@dataclass(frozen=True)
class SoundIndex:
    """start: int64 [num_packets], number of each packet's first sample at `rate_hz` on the container's clock. run: int64 [num_packets],
    equal for packets that follow on from each other without a gap. damaged: of the demuxer's knowing."""

    start: NDArray[np.int64]
    run: NDArray[np.int64]
    damaged: NDArray[np.bool_]
    rate_hz: int

    def sounds(self, start_sample: int, end_sample: int) -> bool:
        """True where some packet sounds in [start_sample, end_sample)."""
        first, end = np.searchsorted(self.start, (start_sample - AAC_SAMPLES + 1, end_sample))
        return bool(first < end)

    def span(self, start_sample: int, end_sample: int) -> tuple[int, int] | None:
        """Packets [first, end) that sound in [start_sample, end_sample), and one before where there is one; None where they have a gap
        and cannot be copied as they are, or where there are none."""
        first, end = np.searchsorted(self.start, (start_sample - AAC_SAMPLES + 1, end_sample))
        if first >= end or self.damaged[first:end].any() or self.run[first] != self.run[end - 1]:
            return None
        if first > 0 and self.run[first - 1] == self.run[first]:
            first -= 1
        elif self.start[first] < start_sample and first > 0:
            return None
        return int(first), int(end)


class SoundIndexer:
    """Given all packets of an audio stream, in order."""

    def __init__(self, stream: av.AudioStream) -> None:
        self._stream, self._times, self._damaged = stream, array("q"), bytearray()
        self._usable = _is_plain_aac(stream)
        self._checked = False

    def add(self, packet: "av.Packet[Any]") -> None:
        """The next packet."""
        if not self._usable:
            return
        if packet.pts is None or packet.has_sidedata("new_extradata"):
            self._usable = False
            return
        if not self._checked:
            self._checked, self._usable = True, _gives_plain_frames(self._stream, packet)
        self._times.append(packet.pts)
        self._damaged.append(packet.is_corrupt)

    def index(self) -> SoundIndex | None:
        """None where the packets cannot be copied."""
        if not self._usable or not self._times:
            return None
        rate_hz = self._stream.codec_context.sample_rate
        unit = Fraction(self._stream.time_base or 1) * rate_hz
        stated = [int(time * unit) if unit.denominator == 1 else round(time * unit) for time in self._times]
        start, run = _runs(stated, int(MAX_DRIFT_S * rate_hz))
        if (np.diff(start) <= 0).any():
            return None
        return SoundIndex(start, run, np.frombuffer(bytes(self._damaged), dtype=np.bool_), rate_hz)


def _runs(stated: list[int], most_drift: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Times trembling by a few milliseconds are counted on from the start of their run, as `audio.SoundReader` does."""
    start, run = np.empty(len(stated), dtype=np.int64), np.empty(len(stated), dtype=np.int64)
    expected, number = stated[0], 0
    for position, time in enumerate(stated):
        if abs(time - expected) > most_drift:
            expected, number = time, number + 1
        start[position], run[position] = expected, number
        expected += AAC_SAMPLES
    return start, run


def _is_plain_aac(stream: av.AudioStream) -> bool:
    """AAC-LC in one or two channels, with a header, without the extensions that double the rate."""
    context = stream.codec_context
    header = context.extradata or b""
    if context.codec.canonical_name != "aac" or len(header) < 2 or context.layout.nb_channels not in (1, 2):
        return False
    bits = int.from_bytes(header[:2], "big")
    rate_number = bits >> 7 & 15
    extended = any(int.from_bytes(header[k : k + 2], "big") >> 5 == _SBR_SYNC for k in range(2, len(header) - 1)) and bool(
        header[-1] & 0x80
    )
    rate = _ASC_RATES[rate_number] if rate_number < len(_ASC_RATES) else 0
    return bits >> 11 == _LOW_COMPLEXITY and rate == context.sample_rate and rate in AAC_RATES and not extended


def _gives_plain_frames(stream: av.AudioStream, packet: "av.Packet[Any]") -> bool:
    """Extensions that the header does not mention show when a packet is decoded."""
    try:
        frames = [*stream.codec_context.decode(packet), *stream.codec_context.decode(None)]
    except FFmpegError:
        return False
    return all(frame.sample_rate == stream.codec_context.sample_rate and frame.samples <= AAC_SAMPLES for frame in frames)
