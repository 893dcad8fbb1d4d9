"""Where somebody speaks: Silero's voice activity model, fed block by block in bounded memory.

The model is faster-whisper's own copy (MIT, 2 MB, on the CPU); spans are found by Silero's rules (`get_speech_timestamps`), as a state
machine that needs no more than the last few seconds: the same spans as over the whole file at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from internvid_pipeline.config.model import Section
from internvid_pipeline.models.weights import needs_package

RATE_HZ = 16_000
FRAME = 512  # samples that get one probability: 32 ms
_CONTEXT = 64  # samples of the frame before that the model sees
_STATE = (1, 1, 128)
_LEAST_PAUSE_S = 0.098  # where a too long span may be cut (Silero)

Samples = NDArray[np.float32]
Span = tuple[int, int]


class VoiceConfig(Section):
    """When a sound is speech. Defaults are faster-whisper's for batches, but for `min_speech_s`, which is Silero's."""

    threshold: float = Field(default=0.5, gt=0, lt=1, description="Speech begins at this probability; it ends 0.15 below.")
    min_speech_s: float = Field(default=0.25, ge=0, le=10, description="Shorter sounds are no speech; 0.25 s is Silero's default.")
    min_silence_s: float = Field(default=0.16, ge=0.03, le=10, description="Speech ends when it is silent for so long.")
    pad_s: float = Field(default=0.4, ge=0, le=5, description="Kept before and after, so that no first or last sound is cut off.")
    max_speech_s: float = Field(
        default=30.0,
        ge=5,
        le=30,
        description="Longer speech is cut, at a pause if there is one; 30 s is all that Whisper hears at once.",
    )


class SileroVoice:
    """Probability of speech for each 32 ms, in one pass over a stream of samples."""

    def __init__(self) -> None:
        """Raises SetupError where faster-whisper or onnxruntime is missing."""
        with needs_package("voice activity", "speech"):
            from faster_whisper.vad import get_vad_model
        self._session: Any = get_vad_model().session
        self._hidden, self._cell = np.zeros(_STATE, np.float32), np.zeros(_STATE, np.float32)
        self._before = np.zeros(_CONTEXT, np.float32)
        self._rest = np.zeros(0, np.float32)

    def feed(self, samples: Samples) -> Samples:
        """Probabilities of the frames that `samples` completes."""
        waiting = np.concatenate([self._rest, samples]) if self._rest.size else samples
        count = waiting.shape[0] // FRAME
        self._rest = waiting[count * FRAME :].copy()
        return self._run(waiting[: count * FRAME].reshape(count, FRAME)) if count else np.zeros(0, np.float32)

    def finish(self) -> Samples:
        """The last probability, of what is left filled up with silence."""
        return self.feed(np.zeros(FRAME - self._rest.shape[0], np.float32))

    def _run(self, frames: Samples) -> Samples:
        tails = frames[:, -_CONTEXT:]
        contexts = np.concatenate([self._before[None], tails[:-1]])
        self._before = tails[-1].copy()
        inputs = {"input": np.concatenate([contexts, frames], axis=1), "h": self._hidden, "c": self._cell}
        found, self._hidden, self._cell = self._session.run(None, inputs)
        return np.asarray(found, dtype=np.float32).reshape(-1)


@dataclass(slots=True)
class _Open:
    """A stretch of speech under way, in samples. quiet: since when it is silent. pause_end, after_pause: the last pause in it at which it
    could be cut, and where speech went on after it."""

    start: int
    quiet: int = 0
    pause_end: int = 0
    after_pause: int = 0


class SpeechSpans:
    """Spans of speech out of probabilities: in samples from the first frame, padded, in order, none overlapping. A span is given out as
    soon as nothing that follows can change it."""

    def __init__(self, config: VoiceConfig) -> None:
        self._threshold = config.threshold
        self._end_threshold = max(config.threshold - 0.15, 0.01)
        self._min_speech = RATE_HZ * config.min_speech_s
        self._pad = round(RATE_HZ * config.pad_s)
        self._max_speech = RATE_HZ * config.max_speech_s - FRAME - 2 * self._pad
        self._min_silence = RATE_HZ * config.min_silence_s
        self._least_pause = RATE_HZ * _LEAST_PAUSE_S
        self._frame = 0
        self._open: _Open | None = None
        self._waiting: Span | None = None  # its end is not known before the next one's start
        self._first = True

    @property
    def needed_from(self) -> int:
        """Samples before this one will not be asked for any more."""
        opened = [self._open.start] if self._open else []
        starts = [self._frame * FRAME, *opened, *([self._waiting[0] + self._pad] if self._waiting else [])]
        return max(0, min(starts) - self._pad)

    def feed(self, probabilities: Samples) -> Iterator[Span]:
        """Spans that are final now."""
        for probability in probabilities.tolist():
            ended = self._step(probability, self._frame * FRAME)
            if ended is not None:
                yield from self._padded(ended)
            self._frame += 1
            yield from self._released()

    def finish(self, length: int) -> Iterator[Span]:
        """The last spans of a stream of `length` samples."""
        if self._open is not None and length - self._open.start > self._min_speech:
            yield from self._padded((self._open.start, length))
        if self._waiting is not None:
            yield self._waiting[0], min(length, self._waiting[1] + self._pad)
        self._open = self._waiting = None

    def _step(self, probability: float, now: int) -> Span | None:
        """Goes one frame on; returns a span that ends here."""
        speech = self._open
        if probability >= self._threshold:
            if speech is None:
                self._open = _Open(now)
                return None
            if speech.quiet:
                speech.quiet = 0
                if speech.after_pause < speech.pause_end:
                    speech.after_pause = now
        if speech is None:
            return None
        if now - speech.start > self._max_speech:
            if not speech.pause_end:
                self._open = None
                return speech.start, now
            self._open = None if speech.after_pause < speech.pause_end else _Open(speech.after_pause)
            if self._open is not None and probability < self._end_threshold:
                self._open.quiet = now
            return speech.start, speech.pause_end
        if probability < self._end_threshold:
            speech.quiet = speech.quiet or now
            if now - speech.quiet > self._least_pause:
                speech.pause_end = speech.quiet
            if now - speech.quiet >= self._min_silence:
                self._open = None
                return (speech.start, speech.quiet) if speech.quiet - speech.start > self._min_speech else None
        return None

    def _padded(self, span: Span) -> Iterator[Span]:
        """Takes a raw span in; gives out the one before it, whose end is known now: each side gets its pad, or half of a short pause."""
        start, end = span
        if self._waiting is not None:
            before, before_end = self._waiting
            silence = start - before_end
            if silence < 2 * self._pad:
                yield before, before_end + silence // 2
                start = max(0, start - silence // 2)
            else:
                yield before, before_end + self._pad
                start = max(0, start - self._pad)
        else:
            start = max(0, start - self._pad)
        self._waiting = start, end

    def _released(self) -> Iterator[Span]:
        """The waiting span, once it is silent for so long that whatever follows leaves it its whole pad."""
        if self._waiting is not None and self._open is None and self._frame * FRAME - self._waiting[1] >= 2 * self._pad:
            yield self._waiting[0], self._waiting[1] + self._pad
            self._waiting = None
