"""Files of kept frames: which formats there are, and how one is told from its bytes."""

from typing import Literal

FrameFormat = Literal["jpeg", "webp", "png"]
_SUFFIXES: dict[FrameFormat, str] = {"jpeg": ".jpg", "webp": ".webp", "png": ".png"}


def frame_suffix(frame_format: FrameFormat) -> str:
    """Of the files, with its dot."""
    return _SUFFIXES[frame_format]


def frame_format(data: bytes) -> FrameFormat:
    """Of a frame that this project wrote, by its first bytes."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return "png" if data[:4] == b"\x89PNG" else "jpeg"
