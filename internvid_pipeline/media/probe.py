"""What a file says about itself, and what its first frame shows."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer

from internvid_pipeline.media.container import audio_stream, open_media, video_stream
from internvid_pipeline.media.decode import FramePass
from internvid_pipeline.media.limits import MediaLimits
from internvid_pipeline.media.orientation import Orientation, orientation_of

_ABSURD_PIXEL_RATIO = 20  # a pixel more than 20 times as wide as high (or the reverse) is a broken header


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """The picture. width_px, height_px: as coded, before rotation. sample_aspect_ratio: width/height of one pixel as coded.
    start_s: container's time of the first frame. fps, num_frames, duration_s: as the container states them, None if it does not."""

    codec: str
    pixel_format: str
    width_px: int
    height_px: int
    sample_aspect_ratio: Fraction
    orientation: Orientation
    fps: float | None
    num_frames: int | None
    start_s: float
    duration_s: float | None


@dataclass(frozen=True, kw_only=True)
class MediaInfo:
    """container: ffmpeg's name of the format. video: None where the file has no picture (cover art is none). audio_codec: of the
    stream that clips will carry, None where there is none."""

    container: str
    video: VideoInfo | None
    audio_codec: str | None
    num_audio_streams: int


def probe(path: Path, limits: MediaLimits | None = None) -> MediaInfo:
    """Reads the header and decodes up to the first frame. Raises UnreadableMedia, MediaLimitError, DamagedMedia."""
    limits = limits or MediaLimits()
    container = open_media(path, limits)
    try:
        stream = video_stream(container)
        sound = audio_stream(container)
        return MediaInfo(
            container=container.format.name,
            video=None if stream is None else _video_info(path, container, stream, limits),
            audio_codec=None if sound is None else sound.codec_context.codec.canonical_name,
            num_audio_streams=len(container.streams.audio),
        )
    finally:
        container.close()


def pixel_ratio(stream: av.VideoStream) -> Fraction:
    """Width/height of one pixel as coded; 1 where the file says nothing or nonsense."""
    ratio = stream.sample_aspect_ratio
    if not ratio or ratio <= 0 or not Fraction(1, _ABSURD_PIXEL_RATIO) <= ratio <= _ABSURD_PIXEL_RATIO:
        return Fraction(1)
    return Fraction(ratio)


def _video_info(path: Path, container: InputContainer, stream: av.VideoStream, limits: MediaLimits) -> VideoInfo:
    frames = FramePass(path, container, stream, limits)
    first = next(iter(frames))
    times = frames.times()
    length = stream.duration * Fraction(stream.time_base or 1) if stream.duration else Fraction(container.duration or 0, 1_000_000)
    return VideoInfo(
        codec=stream.codec_context.codec.canonical_name,
        pixel_format=first.format.name,
        width_px=first.width,
        height_px=first.height,
        sample_aspect_ratio=pixel_ratio(stream),
        orientation=orientation_of(first),
        fps=float(stream.average_rate) if stream.average_rate else None,
        num_frames=stream.frames or None,
        start_s=times.seconds(int(times.pts[0])),
        duration_s=float(length) if length > 0 else None,
    )
