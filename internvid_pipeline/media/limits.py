"""Bounds on what a stranger's file may ask of the decoder, and of the time that it may take."""

from pydantic import Field

from internvid_pipeline.config.model import Section

_START_S, _FULL_HD_PX = 120.0, 1920 * 1080  # a worker's start, a slow network disk
_USUAL_BYTES_PER_S = 50_000  # 0.4 Mbit/s: lower than most videos, so that the estimate is rather too long
_MOST_BYTES_PER_S = 1_000_000  # 8 Mbit/s: a file that claims to be shorter than this makes it is not believed
_LEAST_BYTES_PER_S = 250  # 25 pictures of 10 bytes, the least that any codec and container need for one


class MediaLimits(Section):
    """A file that claims more than this is refused before it is decoded, or as soon as it shows it. Defaults leave room for every
    real video that we know of: 8K, five hours, high-speed cameras."""

    max_side_px: int = Field(default=16384, ge=16, le=65535, description="Longest side of a picture, as coded. 16384: twice 8K.")
    max_pixels: int = Field(default=1 << 26, ge=256, le=1 << 30, description="Pixels of one picture; 67 million: twice 8K UHD (7680x4320).")
    max_streams: int = Field(default=64, ge=1, le=1000, description="Streams in one file, sound and subtitles in many languages included.")
    max_duration_s: float = Field(default=86400.0, gt=0, description="Length that a file may claim; a day.")
    max_fps: float = Field(default=1000.0, gt=0, description="Average frame rate that a file may claim; telephones' slow motion has 960.")
    max_frames: int = Field(default=10_000_000, ge=1, description="Frames that are decoded; 10 million: a day at 115 frames a second.")
    max_lost_packets: int = Field(
        default=1000, ge=0, description="Packets that may be damaged before the whole file counts as damaged; each marks one frame."
    )
    max_idle_packets: int = Field(
        default=10_000, ge=100, description="Packets in a row that give no picture; decoders hold back a few dozen, edit lists skip a GOP."
    )
    max_edits: int = Field(
        default=1000, ge=1, description="Entries of an mp4's edit list; ffmpeg's time grows with their square (9 s for 5,000)."
    )
    min_audio_hz: int = Field(default=1000, ge=1, description="Sample rate of sound; speech codecs begin at 4,000 Hz.")
    max_audio_hz: int = Field(default=768_000, ge=8000, description="Sample rate of sound; studio formats end at 768,000 Hz.")
    max_audio_channels: int = Field(default=64, ge=1, le=255, description="Channels of one sound stream; 22.2 has 24, ambisonics up to 64.")
    probe_bytes: int = Field(
        default=5_000_000, ge=100_000, le=1 << 30, description="Bytes read to find out the streams; 5 million is ffmpeg's default."
    )
    probe_s: float = Field(default=10.0, gt=0, le=600, description="Seconds of media read for that; streams that begin later are missed.")
    max_work_s: float = Field(
        default=86400.0, gt=0, description="Wall-clock seconds that one video may take in one stage, however long it claims to be; a day."
    )


def work_deadline_s(
    limits: MediaLimits, per_second_s: float, duration_s: float | None, size_bytes: int | None, width_px: int, height_px: int
) -> float:
    """Wall-clock seconds that a stage may spend on a video: 120, and `per_second_s` for each second of Full HD, more for larger pictures.

    duration_s: as the file claims, None where it does not. It is believed only as far as the file's size allows: at least a second per
    million bytes (a live recording may claim none at all), at most one per 250 bytes (a few kilobytes may claim a day). size_bytes:
    None where unknown. Never more than `limits.max_work_s`: what is small on disk may still be endless to decode."""
    if size_bytes is None:
        seconds = min(duration_s if duration_s and duration_s > 0 else limits.max_duration_s, limits.max_duration_s)
    else:
        claimed = duration_s if duration_s and duration_s > 0 else size_bytes / _USUAL_BYTES_PER_S
        seconds = min(max(claimed, size_bytes / _MOST_BYTES_PER_S), max(1.0, size_bytes / _LEAST_BYTES_PER_S))
    return min(_START_S + per_second_s * seconds * max(1.0, width_px * height_px / _FULL_HD_PX), limits.max_work_s)
