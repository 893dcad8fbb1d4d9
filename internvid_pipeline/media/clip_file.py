"""One clip as an mp4 file: H.264 and AAC, exact times, the same bytes on every run."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.codec.context import Flags
from av.error import FFmpegError
from av.video.frame import PictureType

from internvid_pipeline.errors import DamagedMedia, StorageError, is_machine_fault
from internvid_pipeline.media.audio import Samples, SoundReader
from internvid_pipeline.media.upright import PictureFormat

# fflags bitexact: no encoder version, no random ids. faststart: the index first, so that a reader of a byte range finds it.
_CONTAINER_OPTIONS = {"fflags": "+bitexact", "movflags": "+faststart"}
_FEED_SAMPLES = 1024  # AAC's frame
_MAX_TIMESCALE = (1 << 31) - 1


@dataclass(frozen=True)
class EncoderSettings:
    """crf, preset: x264's. audio_bit_rate: bits per second for one channel."""

    crf: int = 18
    preset: str = "veryfast"
    audio_bit_rate: int = 64_000


@dataclass(frozen=True)
class ClipTiming:
    """time_base: seconds per tick. mean_fps: frames per second, for the encoder's rate control. steady: all frames last equally long,
    within a millisecond."""

    time_base: Fraction
    mean_fps: Fraction
    steady: bool


class ClipFile:
    """Frames in, mp4 out. Times are relative to the clip's start, in the source's time base. Sound is written as far as the pictures have
    come, so that neither waits in memory. Leave by `finish`, or by `abandon` which deletes the file."""

    def __init__(self, path: Path, picture: PictureFormat, timing: ClipTiming, settings: EncoderSettings) -> None:
        self.path, self._time_base = path, timing.time_base
        # Edit lists count in the movie's time scale; at its default of milliseconds they would cut clips short by a fraction of one.
        options = _CONTAINER_OPTIONS | {"movie_timescale": str(max(1000, min(timing.time_base.denominator, _MAX_TIMESCALE)))}
        with self._writing():
            self._container = av.open(f"file:{path}", "w", format="mp4", container_options=options)
        self._video = self._add_video(picture, timing, settings)
        self._settings = settings
        self._sound: SoundReader | None = None
        self._audio: av.AudioStream | None = None
        self._sound_start = self._sound_end = self._sound_written = 0
        self._durations: dict[int, int] = {}

    def add_sound(self, sound: SoundReader, start_sample: int, end_sample: int) -> None:
        """Before the first frame. [start_sample, end_sample): of `sound`, heard with the clip's pictures."""
        self._sound, self._sound_start, self._sound_end = sound, start_sample, end_sample
        self._audio = self._container.add_stream("aac", rate=sound.rate_hz, layout=sound.layout)
        self._audio.codec_context.bit_rate = self._settings.audio_bit_rate * sound.channels
        self._audio.codec_context.flags |= Flags.bitexact
        self._audio.codec_context.thread_count = 1

    def add(self, frame: av.VideoFrame, pts: int, duration: int) -> None:
        """frame: of the PictureFormat. pts, duration: in the time base."""
        frame.pts, frame.time_base, frame.duration = pts, self._time_base, duration
        frame.pict_type = PictureType.NONE  # the source's key frames are not ours
        self._durations[pts] = duration
        self._mux_video(frame)
        self._mux_sound((pts + duration) * self._time_base)

    def finish(self) -> None:
        """After the last frame: what the encoders still hold, and the index."""
        self._mux_video(None)
        self._mux_sound(None)
        with self._writing():
            self._container.close()

    def abandon(self) -> None:
        """Closes and deletes the file."""
        try:
            self._container.close()
        except (FFmpegError, OSError) as error:
            if is_machine_fault(error):
                raise
        finally:
            if self.path.is_file():
                self.path.unlink()

    def _add_video(self, picture: PictureFormat, timing: ClipTiming, settings: EncoderSettings) -> av.VideoStream:
        options = {"crf": str(settings.crf), "preset": settings.preset}
        if not timing.steady:
            # mp4 stores decoding times. With reordered frames of unequal length the last one's would be lost, and the clip end early.
            options["bf"] = "0"
        stream = self._container.add_stream("libx264", rate=timing.mean_fps.limit_denominator(1 << 16), options=options)
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = picture.width_px, picture.height_px, "yuv420p"
        context.time_base, context.sample_aspect_ratio = self._time_base, picture.pixel_ratio
        context.colorspace, context.color_primaries = picture.colorspace, picture.color_primaries
        context.color_trc, context.color_range = picture.color_trc, picture.color_range
        context.thread_count = 1  # x264's slices and rate control depend on the number of threads
        context.flags |= Flags.bitexact
        return stream

    def _mux_video(self, frame: av.VideoFrame | None) -> None:
        for packet in self._video.encode(frame):
            packet.duration = self._durations.pop(packet.pts or 0)  # encoders guess it from the mean rate
            self._mux([packet])

    def _mux_sound(self, until_s: Fraction | None) -> None:
        """Whole AAC frames up to `until_s` of the clip; None: everything, and the end."""
        if self._sound is None or self._audio is None:
            return
        end = self._sound_end if until_s is None else min(self._sound_end, self._sound_start + int(until_s * self._sound.rate_hz))
        least = 1 if until_s is None else _FEED_SAMPLES
        while (room := end - self._sound_start - self._sound_written) >= least:
            samples = self._sound.read(self._sound_start + self._sound_written + min(room, _FEED_SAMPLES))
            if samples.shape[1] == 0:
                break
            self._encode_sound(samples)
        if until_s is None:
            self._mux(self._audio.encode(None))

    def _encode_sound(self, samples: Samples) -> None:
        assert self._sound is not None and self._audio is not None
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=self._sound.layout)
        frame.sample_rate, frame.time_base = self._sound.rate_hz, Fraction(1, self._sound.rate_hz)
        frame.pts = self._sound_written
        self._sound_written += samples.shape[1]
        self._mux(self._audio.encode(frame))

    def _mux(self, packets: "list[av.Packet[Any]]") -> None:
        with self._writing():
            self._container.mux(packets)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """What goes wrong with the file that is written is the machine's fault and never the video's."""
        try:
            yield
        except OSError as error:
            if is_machine_fault(error):
                raise OSError(error.errno, error.strerror, str(self.path)) from None
            raise StorageError(f"cannot write {self.path}: {error.strerror or error}") from error


def verify(path: Path, num_frames: int, last_pts: int, time_base: Fraction) -> None:
    """Reads a clip's packets back. Raises DamagedMedia where their number, the first or the last time is not as asked."""
    with av.open(f"file:{path}", "r", options={"protocol_whitelist": "file", "format_whitelist": "mov"}) as container:
        stream = container.streams.video[0]
        unit = Fraction(stream.time_base or 1)
        shown = [packet.pts * unit for packet in container.demux(stream) if packet.pts is not None and packet.size > 0]
    first, last = min(shown, default=Fraction(0)), max(shown, default=Fraction(0))
    if len(shown) != num_frames or first != 0 or last != last_pts * time_base:
        raise DamagedMedia(
            f"clip {path.name} came out wrong: {len(shown)} frames from {float(first):.6f} to {float(last):.6f} s, "
            f"wanted {num_frames} from 0 to {float(last_pts * time_base):.6f} s"
        )
