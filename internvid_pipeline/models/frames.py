"""From the JPEGs that a clip's row points at to the arrays that models take."""

import io
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from PIL import Image

from internvid_pipeline.errors import DamagedMedia, MediaLimitError, ModelError, StorageError
from internvid_pipeline.models.base import RgbImage
from internvid_pipeline.records import ClipRecord, FrameRef
from internvid_pipeline.storage import Root

T = TypeVar("T")

# Kept frames are small (a few hundred pixels a side). A header that claims more than this is refused before anything is decoded.
MAX_PIXELS = 16_000_000


def evenly_spread(items: Sequence[T], count: int) -> list[T]:
    """`count` of `items` (all, if there are fewer), each from the middle of one of `count` equal stretches, in order."""
    count = min(count, len(items))
    return [items[(2 * i + 1) * len(items) // (2 * count)] for i in range(count)]


def read_frames(root: Root, clip: ClipRecord, frames: Sequence[FrameRef]) -> list[RgbImage]:
    """The pictures of `frames`, in order, each (height, width, 3) uint8.

    Raises ModelError where the clip has no frames, DamagedMedia for a broken JPEG, MediaLimitError for one that claims too many pixels,
    StorageError where the file that the row points at is gone.
    """
    if not frames:
        raise ModelError(f"clip {clip.clip_id} has no kept frames; captions and scores need at least one")
    return [_read_frame(root, clip, frame) for frame in frames]


def _read_frame(root: Root, clip: ClipRecord, frame: FrameRef) -> RgbImage:
    try:
        data = root.read_media(frame.media)
    except FileNotFoundError as error:
        raise StorageError(f"{frame.media.uri}, which holds frame {frame.frame} of clip {clip.clip_id}, is gone from {root.uri}") from error
    return decode_jpeg(data, f"frame {frame.frame} of clip {clip.clip_id}")


def decode_jpeg(data: bytes, what: str) -> RgbImage:
    """A JPEG as (height, width, 3) uint8 sRGB. what: its name in messages. Raises DamagedMedia, MediaLimitError."""
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as picture:
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise MediaLimitError(f"{what} claims {width}x{height} pixels; at most {MAX_PIXELS} are decoded")
            return np.array(picture.convert("RGB"), dtype=np.uint8)  # a copy: torch warns of arrays that it may not write to
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # what PIL raises for broken bytes
        raise DamagedMedia(f"{what} is no readable JPEG ({len(data)} bytes): {' '.join(str(error).split())}") from error
