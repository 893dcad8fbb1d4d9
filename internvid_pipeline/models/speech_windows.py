"""From a stream of sound to pieces of speech of up to 30 s, ready for a recogniser, and from times in a piece to times in the stream."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from internvid_pipeline.models.base import Sound
from internvid_pipeline.models.voice import RATE_HZ, SileroVoice, Span, SpeechSpans, VoiceConfig


class Block(Protocol):
    """A stretch of sound; see `media.speech_audio.SoundBlock`."""

    @property
    def start(self) -> int:
        """Number of the first sample on the stream's clock."""

    @property
    def samples(self) -> Sound:
        """float32 (n,)."""


@dataclass(frozen=True, slots=True)
class SpeechWindow:
    """spans: where it comes from, in samples on the stream's clock. samples: the spans' sound, one after the other, without the
    silence between them."""

    spans: tuple[Span, ...]
    samples: Sound

    @classmethod
    def of(cls, parts: Sequence["SpeechWindow"]) -> "SpeechWindow":
        """Windows that follow each other, as one."""
        spans = tuple(span for part in parts for span in part.spans)
        return cls(spans, np.concatenate([part.samples for part in parts]))

    @property
    def spans_s(self) -> list[tuple[float, float]]:
        """The spans in seconds."""
        return [(start / RATE_HZ, end / RATE_HZ) for start, end in self.spans]

    def in_stream(self, start_s: float, end_s: float) -> tuple[float, float]:
        """A word's times in the window as times in the stream: both within the span that holds the word's middle."""
        ends = np.cumsum([end - start for start, end in self.spans])
        middle = min(max((start_s + end_s) / 2 * RATE_HZ, 0), float(ends[-1]))
        number = min(bisect_right(ends.tolist(), middle), len(self.spans) - 1)
        first, last = self.spans[number]
        offset = first - (int(ends[number - 1]) if number else 0)
        times = [min(max(time_s * RATE_HZ + offset, first), last) / RATE_HZ for time_s in (start_s, end_s)]
        return times[0], max(times)

    def parts(self) -> list["SpeechWindow"]:
        """Each span as a window of its own."""
        ends = np.cumsum([end - start for start, end in self.spans])
        return [SpeechWindow((span,), self.samples[end - (span[1] - span[0]) : end]) for span, end in zip(self.spans, ends, strict=True)]


def speech_windows(blocks: Iterable[Block], voice: VoiceConfig, max_gap_s: float) -> Iterator[SpeechWindow]:
    """Spans of speech, those less than `max_gap_s` apart together in windows of up to 30 s, as faster-whisper does in its batches. Memory:
    a window, a span and a block."""
    waiting: list[tuple[Span, Sound]] = []
    for span, samples in _spans(blocks, voice):
        if waiting:
            length = sum(end - start for (start, end), _ in waiting)
            is_far = span[0] - waiting[-1][0][1] > max_gap_s * RATE_HZ
            if is_far or length + span[1] - span[0] > voice.max_speech_s * RATE_HZ:
                yield _window(waiting)
                waiting = []
        waiting.append((span, samples))
    if waiting:
        yield _window(waiting)


def _window(waiting: list[tuple[Span, Sound]]) -> SpeechWindow:
    return SpeechWindow(tuple(span for span, _ in waiting), np.concatenate([samples for _, samples in waiting]))


def _spans(blocks: Iterable[Block], voice: VoiceConfig) -> Iterator[tuple[Span, Sound]]:
    """Spans on the stream's clock with their sound; where blocks leave out a stretch, speech ends and begins anew."""
    listener: _Listener | None = None
    for block in blocks:
        if listener is not None and listener.end != block.start:
            yield from listener.finish()
            listener = None
        if listener is None:
            listener = _Listener(block.start, voice)
        yield from listener.feed(block.samples)
    if listener is not None:
        yield from listener.finish()


class _Listener:
    """Voice activity over one gapless run of samples that begins at `base`; keeps the samples that a span may still ask for."""

    def __init__(self, base: int, voice: VoiceConfig) -> None:
        self._base = base
        self._voice = SileroVoice()
        self._finder = SpeechSpans(voice)
        self._held = np.zeros(0, np.float32)
        self._held_from = 0

    @property
    def end(self) -> int:
        """Where the run ends so far, on the stream's clock."""
        return self._base + self._held_from + self._held.shape[0]

    def feed(self, samples: Sound) -> Iterator[tuple[Span, Sound]]:
        self._held = np.concatenate([self._held, samples])
        for span in self._finder.feed(self._voice.feed(samples)):
            yield self._given(span)
        unneeded = min(self._finder.needed_from - self._held_from, self._held.shape[0])
        if unneeded > 0:
            self._held, self._held_from = self._held[unneeded:].copy(), self._held_from + unneeded

    def finish(self) -> Iterator[tuple[Span, Sound]]:
        length = self._held_from + self._held.shape[0]
        for span in [*self._finder.feed(self._voice.finish()), *self._finder.finish(length)]:
            yield self._given((span[0], min(span[1], length)))

    def _given(self, span: Span) -> tuple[Span, Sound]:
        start, end = span
        return (start + self._base, end + self._base), self._held[start - self._held_from : end - self._held_from].copy()
