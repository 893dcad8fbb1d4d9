"""From the JPEGs that a clip's row points at to the arrays that models take."""

import io
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from internvid_pipeline.errors import DamagedMedia, MediaLimitError, ModelError, StorageError
from internvid_pipeline.models.base import RgbImage
from internvid_pipeline.records import ClipRecord, FrameRef, MediaRef
from internvid_pipeline.storage import Root

T = TypeVar("T")

# Kept frames are small (a few hundred pixels a side). A header that claims more than this is refused before anything is decoded.
MAX_PIXELS = 16_000_000
_MOST_GAP_BYTES = 200_000
_THUMBNAIL = (16, 16)


def evenly_spread(items: Sequence[T], count: int) -> list[T]:
    """`count` of `items` (all, if there are fewer), each from the middle of one of `count` equal stretches, in order."""
    count = min(count, len(items))
    return [items[(2 * i + 1) * len(items) // (2 * count)] for i in range(count)]


def read_frames(root: Root, clip: ClipRecord, frames: Sequence[FrameRef]) -> list[RgbImage]:
    """The pictures of `frames`, in order, each (height, width, 3) uint8.

    Raises ModelError where the clip has no frames, DamagedMedia for a broken JPEG, MediaLimitError for one that claims too many pixels,
    StorageError where the file that the row points at is gone.
    """
    jpegs = read_jpegs(root, clip, frames)
    return [decode_jpeg(data, f"frame {frame.frame} of clip {clip.clip_id}") for data, frame in zip(jpegs, frames, strict=True)]


def read_jpegs(root: Root, clip: ClipRecord, frames: Sequence[FrameRef]) -> list[bytes]:
    """The files of `frames`, in order. Neighbours in a tar are read in one go: a request to an object store costs more than the bytes
    between them. Raises ModelError where the clip has no frames, StorageError where the file that the row points at is gone."""
    if not frames:
        raise ModelError(f"clip {clip.clip_id} has no kept frames; captions and scores need at least one")
    found: dict[int, bytes] = {}
    for together in _neighbours(frames):
        first, last = frames[together[0]].media, frames[together[-1]].media
        start, end = first.offset_bytes or 0, (last.offset_bytes or 0) + (last.size_bytes or 0)
        ref = first if len(together) == 1 else MediaRef(uri=first.uri, offset_bytes=start, size_bytes=end - start)
        try:
            data = root.read_media(ref)
        except FileNotFoundError as error:
            number = frames[together[0]].frame
            raise StorageError(f"{first.uri}, which holds frame {number} of clip {clip.clip_id}, is gone from {root.uri}") from error
        for i in together:
            own = (frames[i].media.offset_bytes or 0) - start
            found[i] = data if len(together) == 1 else data[own : own + (frames[i].media.size_bytes or 0)]
    return [found[i] for i in range(len(frames))]


def _neighbours(frames: Sequence[FrameRef]) -> list[list[int]]:
    """Numbers of the frames, those together that lie in one file within `_MOST_GAP_BYTES` of each other."""
    groups: list[list[int]] = []
    for i, frame in enumerate(frames):
        before = frames[groups[-1][-1]].media if groups else None
        offset = frame.media.offset_bytes
        if before is not None and before.uri == frame.media.uri and None not in (offset, before.offset_bytes, before.size_bytes):
            gap = (offset or 0) - (before.offset_bytes or 0) - (before.size_bytes or 0)
            if 0 <= gap <= _MOST_GAP_BYTES and frame.media.size_bytes is not None:
                groups[-1].append(i)
                continue
        groups.append([i])
    return groups


def changed_frames(images: Sequence[RgbImage], min_change: float) -> list[int]:
    """Numbers of the pictures that differ from the last one taken, the first always among them. min_change: mean absolute difference of
    brightness, 0 to 255, on thumbnails of 16 x 16; 0 takes all."""
    taken: list[int] = []
    last: npt.NDArray[np.float32] | None = None
    for i, image in enumerate(images):
        small = np.asarray(Image.fromarray(image).convert("L").resize(_THUMBNAIL, Image.Resampling.BOX), dtype=np.float32)
        if last is None or np.abs(small - last).mean() >= min_change:
            taken.append(i)
            last = small
    return taken


def decode_jpeg(data: bytes, what: str) -> RgbImage:
    """A JPEG, WebP or PNG file as (height, width, 3) uint8 sRGB. what: its name in messages. Raises DamagedMedia, MediaLimitError."""
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG", "WEBP", "PNG"]) as picture:
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise MediaLimitError(f"{what} claims {width}x{height} pixels; at most {MAX_PIXELS} are decoded")
            return np.array(picture.convert("RGB"), dtype=np.uint8)  # a copy: torch warns of arrays that it may not write to
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # what PIL raises for broken bytes
        raise DamagedMedia(f"{what} is no readable picture ({len(data)} bytes): {' '.join(str(error).split())}") from error
