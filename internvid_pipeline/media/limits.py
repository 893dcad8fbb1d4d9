"""Bounds on what a stranger's file may ask of the decoder."""

from pydantic import Field

from internvid_pipeline.config.model import Section


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
