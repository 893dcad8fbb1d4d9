"""The sound of one clip as AAC packets: copied from the source, or encoded again."""

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.codec.context import Flags
from av.container import InputContainer, OutputContainer

from internvid_pipeline.errors import DamagedMedia
from internvid_pipeline.media.audio import SoundReader
from internvid_pipeline.media.container import packets_of, translated
from internvid_pipeline.media.sound_packets import AAC_SAMPLES, SoundIndex

_END = 1 << 62


class EncodedSound:
    """Samples [start_sample, end_sample) of `sound`."""

    def __init__(self, sound: SoundReader, start_sample: int, end_sample: int, bit_rate: int) -> None:
        self._sound, self._start, self._end, self._bit_rate = sound, start_sample, end_sample, bit_rate
        self._written = 0
        self._stream: av.AudioStream | None = None

    def open(self, container: OutputContainer) -> None:
        """See ClipSound."""
        self._stream = container.add_stream("aac", rate=self._sound.rate_hz, layout=self._sound.layout)
        self._stream.codec_context.bit_rate = self._bit_rate * self._sound.channels
        self._stream.codec_context.flags |= Flags.bitexact
        self._stream.codec_context.thread_count = 1

    def until(self, seconds: Fraction | None) -> "list[av.Packet[Any]]":
        """See ClipSound. Whole AAC frames only, but for the last."""
        assert self._stream is not None
        end = self._end if seconds is None else min(self._end, self._start + int(seconds * self._sound.rate_hz))
        least = 1 if seconds is None else AAC_SAMPLES
        packets: list[av.Packet[Any]] = []
        while (room := end - self._start - self._written) >= least:
            samples = self._sound.read(self._start + self._written + min(room, AAC_SAMPLES))
            if samples.shape[1] == 0:
                break
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=self._sound.layout)
            frame.sample_rate, frame.time_base, frame.pts = self._sound.rate_hz, Fraction(1, self._sound.rate_hz), self._written
            self._written += samples.shape[1]
            packets += self._stream.encode(frame)
        return packets + (self._stream.encode(None) if seconds is None else [])


class PacketSource:
    """Packets of one stream by their number, read forward once."""

    def __init__(self, path: Path, container: InputContainer, stream: "av.VideoStream | av.AudioStream") -> None:
        self.stream = stream
        self._packets = self._read(path, container)
        self._ahead: deque[tuple[int, av.Packet[Any]]] = deque()
        self._next = 0

    def take(self, first: int, end: int) -> "Iterator[tuple[int, av.Packet[Any]]]":
        """Packets [first, end) with their numbers. A packet that was taken already is given again only if it is among the last two."""
        yield from [pair for pair in self._ahead if first <= pair[0] < end]
        while self._next < end:
            packet = next(self._packets, None)
            if packet is None:
                raise DamagedMedia(f"reads differently the second time: {self._next} packets, more the first time")
            number, self._next = self._next, self._next + 1
            if number >= first - 2:
                self._ahead.append((number, packet))
                while len(self._ahead) > 2:
                    self._ahead.popleft()
            if number >= first:
                yield number, packet

    def _read(self, path: Path, container: InputContainer) -> "Iterator[av.Packet[Any]]":
        with translated(path, DamagedMedia, "cannot be read on"):
            for packet in packets_of(container, self.stream):
                if packet.size:
                    yield packet


class CopiedSound:
    """Packets [first, end) of the source, of which [start_sample, end_sample) is heard: the edit list hides what comes before, and the
    last packet is stated to be as long as it is heard."""

    def __init__(self, source: PacketSource, index: SoundIndex, packets: tuple[int, int], start_sample: int, end_sample: int) -> None:
        self._source, self._index, self._start, self._end = source, index, start_sample, end_sample
        self._first, self._last = packets[0], packets[1] - 1
        self._next = packets[0]
        self._stream: av.AudioStream | None = None

    def open(self, container: OutputContainer) -> None:
        """See ClipSound."""
        template = self._source.stream
        assert isinstance(template, av.AudioStream)
        self._stream = container.add_stream_from_template(template, opaque=True)
        self._stream.time_base = Fraction(1, self._index.rate_hz)

    def until(self, seconds: Fraction | None) -> "list[av.Packet[Any]]":
        """See ClipSound."""
        limit = _END if seconds is None else self._start + int(seconds * self._index.rate_hz)
        end = min(self._last + 1, int(np.searchsorted(self._index.start, limit)))
        if end <= self._next:
            return []
        packets = [self._placed(number, packet) for number, packet in self._source.take(self._next, end)]
        self._next = end
        return packets

    def _placed(self, number: int, packet: "av.Packet[Any]") -> "av.Packet[Any]":
        placed: av.Packet[Any] = av.Packet(bytes(packet))
        assert self._stream is not None
        start = int(self._index.start[number])
        placed.pts = placed.dts = start - self._start
        placed.duration = min(AAC_SAMPLES, self._end - start) if number == self._last else AAC_SAMPLES
        placed.time_base, placed.stream, placed.is_keyframe = Fraction(1, self._index.rate_hz), self._stream, True
        return placed
