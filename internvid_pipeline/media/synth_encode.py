"""Shots to a video file whose truth is known: the same bytes on every call on the same machine, complete or not there at all."""

import os
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from internvid_pipeline.errors import UsageError
from internvid_pipeline.media.synth_audio import Sound
from internvid_pipeline.media.synth_scenes import Frame, Scene

if TYPE_CHECKING:
    from av import VideoFrame, VideoStream
    from av.container import OutputContainer

_CONTAINERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm", ".avi": "avi", ".ts": "mpegts"}
_SAMPLES_PER_FRAME = 1024
# One thread: x264 decides by slices, which depend on the number of threads. CRF 20 leaves edges sharp enough to read letters.
_ENCODER_OPTIONS = {"libx264": {"preset": "veryfast", "crf": "20"}}


@dataclass(frozen=True)
class Shot:
    """`num_frames` frames of one scene."""

    scene: Scene
    num_frames: int


@dataclass(frozen=True)
class MadeVideo:
    """A made file and the truth about it.

    cuts: number of the first frame of every shot but the first, counted from 0 in display order. num_frames: 0 where the file holds
    no readable video. fps: mean frames per second, 0 likewise. note: what is seen and heard, in words.
    """

    path: Path
    cuts: tuple[int, ...]
    num_frames: int
    fps: float
    note: str


@dataclass(frozen=True, kw_only=True)
class VideoSettings:
    """How a video is encoded.

    fps: frames per second. size_px: (width, height) as shown, upright. audio: padded with silence or cut to the length of the
    pictures; AAC (Opus in webm). codec: libavcodec's name. gop_frames: most frames from one key frame to the next. rotation_deg:
    counter-clockwise turn, a multiple of 90, that players are told to make; the pictures are stored turned the other way.
    frame_durations_ms: variable frame rate, the pattern repeats; `fps` then only guides the encoder. note: the file's comment.
    """

    fps: int | Fraction = 25
    size_px: tuple[int, int] = (320, 180)
    audio: Sound | None = None
    codec: str = "libx264"
    gop_frames: int = 50
    rotation_deg: int = 0
    frame_durations_ms: tuple[int, ...] | None = None
    note: str = ""

    @property
    def time_base(self) -> Fraction:
        """Seconds per tick of the pictures' times."""
        return Fraction(1, 1000) if self.frame_durations_ms else 1 / Fraction(self.fps)

    def ticks(self, num_frames: int) -> list[int]:
        """When each of `num_frames` frames begins, and when the last one ends, in ticks of `time_base`."""
        return [0, *accumulate(islice(cycle(self.frame_durations_ms or (1,)), num_frames))]


def make_video(
    path: str | os.PathLike[str],
    shots: Sequence[Shot],
    *,
    fps: int | Fraction = 25,
    size_px: tuple[int, int] = (320, 180),
    audio: Sound | None = None,
    codec: str = "libx264",
    gop_frames: int = 50,
    rotation_deg: int = 0,
    frame_durations_ms: tuple[int, ...] | None = None,
    note: str = "",
) -> MadeVideo:
    """Encode the shots one after the other into `path`; its suffix chooses the container (mp4, mov, mkv, webm, avi, ts).

    The other arguments are those of `VideoSettings`. Raises UsageError.
    """
    settings = VideoSettings(
        fps=fps,
        size_px=size_px,
        audio=audio,
        codec=codec,
        gop_frames=gop_frames,
        rotation_deg=rotation_deg,
        frame_durations_ms=frame_durations_ms,
        note=note,
    )
    return encode(Path(path), shots, settings)


def encode(path: Path, shots: Sequence[Shot], settings: VideoSettings) -> MadeVideo:
    """`make_video` with its settings in one piece. Raises UsageError."""
    _check(path, shots, settings)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        _write(unfinished, path.suffix, shots, settings)
        unfinished.replace(path)  # a run that dies half-way leaves no file that looks complete
    finally:
        unfinished.unlink(missing_ok=True)
    return truth(path, shots, settings)


def truth(path: Path, shots: Sequence[Shot], settings: VideoSettings) -> MadeVideo:
    """What `encode` returns for these arguments, without making anything."""
    *cuts, num_frames = accumulate(shot.num_frames for shot in shots)
    duration_s = settings.ticks(num_frames)[-1] * settings.time_base
    return MadeVideo(path, tuple(cuts), num_frames, float(num_frames / duration_s), settings.note)


def _check(path: Path, shots: Sequence[Shot], settings: VideoSettings) -> None:
    lengths, (width_px, height_px) = [shot.num_frames for shot in shots], settings.size_px
    if path.suffix not in _CONTAINERS:
        raise UsageError(f"{path.name!r} cannot be made: its suffix should be one of {', '.join(_CONTAINERS)}")
    if not lengths or min(lengths) < 1:
        raise UsageError(f"{path.name!r} cannot be made of shots of {lengths} frames; give one shot or more, of one frame or more")
    if width_px % 2 or height_px % 2 or min(width_px, height_px) < 16:
        raise UsageError(f"{path.name!r} cannot be made in {width_px}x{height_px} pixels; both sides should be even and at least 16")
    if settings.rotation_deg % 90:
        raise UsageError(f"{path.name!r} cannot be turned by {settings.rotation_deg} degrees; give a multiple of 90")
    if settings.frame_durations_ms is not None and min(settings.frame_durations_ms, default=0) < 1:
        raise UsageError(f"{path.name!r} cannot have frames of {settings.frame_durations_ms} ms; give one duration or more, of 1 or more")


def _write(target: Path, suffix: str, shots: Sequence[Shot], settings: VideoSettings) -> None:
    import av

    num_frames = sum(shot.num_frames for shot in shots)
    ticks = settings.ticks(num_frames)
    # `bitexact` leaves the muxer's version, random track numbers and times of day out of the file.
    with av.open(str(target), "w", format=_CONTAINERS[suffix], options={"fflags": "+bitexact"}) as container:
        container.metadata["comment"] = settings.note
        video = _add_video(container, settings)
        sound = _SoundTrack(container, settings.audio, suffix) if settings.audio else None
        for index, picture in enumerate(_pictures(shots, settings)):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = ticks[index], settings.time_base
            _mux_pictures(container, video, frame, ticks)
            if sound:
                sound.mux_until(ticks[index + 1] * settings.time_base)
        _mux_pictures(container, video, None, ticks)
        if sound:
            sound.finish()


def _add_video(container: "OutputContainer", settings: VideoSettings) -> "VideoStream":
    import av

    from internvid_pipeline.media.thread_priority import open_encoder

    try:
        stream = container.add_stream(settings.codec, rate=settings.fps, options=dict(_ENCODER_OPTIONS.get(settings.codec, {})))
    except ValueError as error:  # PyAV's word for both an unknown encoder and one that the container cannot hold
        raise UsageError(f"codec {settings.codec!r} cannot be used here ({error}); name a video encoder such as libx264") from error
    if not isinstance(stream, av.VideoStream):
        raise UsageError(f"codec {settings.codec!r} does not encode video; name a video encoder such as libx264")
    quarter_turns = settings.rotation_deg // 90
    stream.width, stream.height = settings.size_px if quarter_turns % 2 == 0 else settings.size_px[::-1]
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = settings.time_base
    stream.codec_context.gop_size = settings.gop_frames
    stream.codec_context.thread_count = 1
    if settings.frame_durations_ms:
        stream.codec_context.max_b_frames = 0  # mp4 keeps decoding times: with reordered frames the last duration would be lost
    if quarter_turns % 4:
        stream.set_display_rotation(settings.rotation_deg)
    open_encoder(stream.codec_context)
    return stream


def _pictures(shots: Sequence[Shot], settings: VideoSettings) -> Iterator[Frame]:
    """Frames as they are stored: turned clockwise by what the player will turn back."""
    width_px, height_px = settings.size_px
    for shot in shots:
        for picture in shot.scene(shot.num_frames, width_px, height_px, float(settings.fps)):
            yield np.rot90(picture, -(settings.rotation_deg // 90))


def _mux_pictures(container: "OutputContainer", stream: "VideoStream", frame: "VideoFrame | None", ticks: Sequence[int]) -> None:
    for packet in stream.encode(frame):
        # Encoders guess durations from the rate; at a variable rate only we know the last frame's.
        shown = bisect_left(ticks, packet.pts if packet.pts is not None else 0)
        packet.duration = ticks[shown + 1] - ticks[shown]
        container.mux(packet)


class _SoundTrack:
    """Feeds samples to the encoder as the pictures advance, so that the two lie side by side in the file."""

    def __init__(self, container: "OutputContainer", sound: Sound, suffix: str) -> None:
        codec: Literal["libopus", "aac"] = "libopus" if suffix == ".webm" else "aac"
        self._stream = container.add_stream(codec, rate=sound.sample_rate_hz, layout="mono")
        self._container, self._sound = container, sound
        self._position = self._end = 0  # samples: written, and shown by the pictures so far

    def mux_until(self, time_s: Fraction) -> None:
        """Write whole audio frames up to `time_s`."""
        self._end = round(time_s * self._sound.sample_rate_hz)
        while self._position + _SAMPLES_PER_FRAME <= self._end:
            self._feed(_SAMPLES_PER_FRAME)

    def finish(self) -> None:
        """Write what is left, up to the end of the pictures."""
        if self._end > self._position:
            self._feed(self._end - self._position)
        self._container.mux(self._stream.encode(None))

    def _feed(self, num_samples: int) -> None:
        import av

        chunk = np.zeros((1, num_samples), np.int16)
        heard = self._sound.samples[self._position : self._position + num_samples]
        chunk[0, : len(heard)] = heard
        frame = av.AudioFrame.from_ndarray(chunk, format="s16", layout="mono")
        frame.sample_rate = self._sound.sample_rate_hz
        frame.pts, frame.time_base = self._position, Fraction(1, self._sound.sample_rate_hz)
        self._container.mux(self._stream.encode(frame))
        self._position += num_samples
