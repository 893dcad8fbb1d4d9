"""The sound of a file as one gapless row of samples on the container's clock, read forward in bounded memory."""

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.container import InputContainer
from av.error import FFmpegError
from numpy.typing import NDArray

from internvid_pipeline.errors import DamagedMedia, is_machine_fault
from internvid_pipeline.media.container import packets_of, translated

# What AAC takes (ISO 14496-3, table 1.18) up to 48 kHz; other rates are resampled to 48 kHz.
AAC_RATES = (48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
# Time stamps of millisecond containers tremble by 1 ms, lost packets leave gaps of 20 ms and more. Between the two: a drift is
# corrected before it can be heard or seen (sound against picture within 5 ms).
MAX_DRIFT_S = Fraction(4, 1000)

# Sound of 1 Hz would become 48,000 samples for each one that is read; the rate may change in mid-stream.
_LEAST_RATE_HZ, _MOST_RATE_HZ = 1000, 768_000

Samples = NDArray[np.float32]


def aac_rate(source_rate: int) -> int:
    """The sample rate to write for a source's, in Hz."""
    return source_rate if source_rate in AAC_RATES else AAC_RATES[0]


class SoundReader:
    """Samples of one audio stream at `rate_hz`, with one or two `channels`. Sample n is heard at n / rate_hz seconds on the container's
    clock. Gaps are silence, overlaps are cut. Reads forward only: positions must not decrease.

    Packets that cannot be decoded leave a gap; a file that breaks off ends the sound there.
    """

    def __init__(self, path: Path, container: InputContainer, stream: av.AudioStream, rate_hz: int | None = None) -> None:
        self._path, self._container, self._stream = path, container, stream
        self.rate_hz = rate_hz or aac_rate(stream.codec_context.sample_rate)
        self.channels = min(2, max(1, stream.codec_context.layout.nb_channels))
        self.num_lost_packets = 0
        self._blocks = self._run_blocks()
        self._queue: deque[tuple[int, Samples]] = deque()
        self._position = 0
        self._ended = False

    @property
    def layout(self) -> str:
        """`mono` or `stereo`."""
        return "mono" if self.channels == 1 else "stereo"

    @property
    def has_ended(self) -> bool:
        """True where nothing is left to decode."""
        return self._ended

    def start_at(self, sample: int) -> None:
        """Go forward to `sample`. Raises ValueError for a step back."""
        if sample < self._position:
            raise ValueError(f"sound is read forward only: at {self._position}, asked for {sample}")
        self._position = sample

    def sounds_before(self, end: int) -> bool:
        """True where the source has a sample between the position and `end`."""
        self._fetch(self._position + 1)
        return bool(self._queue) and self._queue[0][0] < end

    def read(self, end: int) -> Samples:
        """float32 [channels, n]: the samples from the position to `end`; fewer where the source has ended."""
        self._fetch(end)
        last = max((start + block.shape[1] for start, block in self._queue), default=self._position)
        stop = min(end, last) if self._ended else end
        out = np.zeros((self.channels, max(0, stop - self._position)), dtype=np.float32)
        for start, block in self._queue:
            low, high = max(start, self._position), min(start + block.shape[1], stop)
            if low < high:
                out[:, low - self._position : high - self._position] = block[:, low - start : high - start]
        self._position += out.shape[1]
        return out

    def _fetch(self, end: int) -> None:
        """Decode until `end` is covered; forget what lies before the position."""
        self._forget()
        while not self._ended and (not self._queue or self._queue[-1][0] + self._queue[-1][1].shape[1] < end):
            block = next(self._blocks, None)
            if block is None:
                self._ended = True
            else:
                self._queue.append(block)
                self._forget()

    def _forget(self) -> None:
        while self._queue and self._queue[0][0] + self._queue[0][1].shape[1] <= self._position:
            self._queue.popleft()

    def _run_blocks(self) -> Iterator[tuple[int, Samples]]:
        """Blocks that never overlap: (number of the first sample, samples). Frames whose times follow on from each other are one run with
        one resampler; where times jump, a new run begins at the time stamp."""
        run: _Run | None = None
        end = -(1 << 62)
        for frame in self._frames():
            time = None if frame.pts is None or not frame.time_base else frame.pts * Fraction(frame.time_base)
            if run is None or not run.continues(frame, time):
                start = time if time is not None else run.source_end if run else self._stream_start()
                for block in run.finish() if run else ():
                    end = max(end, block[0] + block[1].shape[1])
                    yield block
                run = _Run(frame, start, self.rate_hz, self.layout)
            for number, samples in run.add(frame):
                skipped = min(max(0, end - number), samples.shape[1])
                if skipped < samples.shape[1]:
                    yield number + skipped, samples[:, skipped:]
                end = max(end, number + samples.shape[1])
        if run:
            yield from run.finish()

    def _stream_start(self) -> Fraction:
        return Fraction(self._stream.start_time or 0) * Fraction(self._stream.time_base or 1)

    def _frames(self) -> Iterator[av.AudioFrame]:
        packets: Iterator[av.Packet[av.AudioStream]] = packets_of(self._container, self._stream)
        while True:
            try:
                with translated(self._path, DamagedMedia, "sound cannot be read on"):
                    packet = next(packets, None)
                if packet is None:
                    return
                for frame in packet.decode():
                    if _LEAST_RATE_HZ <= frame.sample_rate <= _MOST_RATE_HZ:
                        yield frame
                    else:
                        self.num_lost_packets += 1
            except DamagedMedia:  # the pass over the pictures meets the same end of the file and reports it
                return
            except FFmpegError as error:
                if is_machine_fault(error):
                    raise
                self.num_lost_packets += 1


class _Run:
    """Frames that follow on from each other without a jump, through one resampler."""

    def __init__(self, first: av.AudioFrame, start: Fraction, rate_hz: int, layout: str) -> None:
        self._start, self._source_rate, self._source_samples = start, first.sample_rate, 0
        self._kind = (first.format.name, first.layout.name, first.sample_rate)
        self._resampler = AudioResampler(format="fltp", layout=layout, rate=rate_hz)
        self._next = round(start * rate_hz)

    @property
    def source_end(self) -> Fraction:
        """When the last frame added stops being heard, in seconds."""
        return self._start + Fraction(self._source_samples, self._source_rate)

    def continues(self, frame: av.AudioFrame, time: Fraction | None) -> bool:
        """True where the frame is of the same kind and begins where the run ends."""
        same_kind = (frame.format.name, frame.layout.name, frame.sample_rate) == self._kind
        return same_kind and (time is None or abs(time - self.source_end) <= MAX_DRIFT_S)

    def add(self, frame: av.AudioFrame) -> list[tuple[int, Samples]]:
        """Resampled blocks that are ready."""
        self._source_samples += frame.samples
        frame.pts = None  # the run counts samples; trembling time stamps would only disturb the resampler
        return self._numbered(self._resampler.resample(frame))

    def finish(self) -> list[tuple[int, Samples]]:
        """What the resampler still holds."""
        return self._numbered(self._resampler.resample(None))

    def _numbered(self, frames: list[av.AudioFrame]) -> list[tuple[int, Samples]]:
        blocks = []
        for frame in frames:
            if frame is None:
                continue
            samples: Samples = np.asarray(frame.to_ndarray(), dtype=np.float32)
            blocks.append((self._next, samples))
            self._next += samples.shape[1]
        return blocks
