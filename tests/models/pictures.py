"""Pictures with a known look, and clips whose frames are such pictures in one file under a data set's root."""

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from internvid_pipeline.models import RgbImage
from internvid_pipeline.records import ClipRecord, FrameRef, MediaRef
from internvid_pipeline.stage import Item, Resources, Stage, WorkerContext
from internvid_pipeline.storage import Root
from tests.made_records import made_clip

RGB = {
    "red": (220, 30, 30),
    "green": (30, 180, 40),
    "blue": (30, 50, 220),
    "yellow": (230, 220, 40),
    "white": (250, 250, 250),
    "black": (8, 8, 8),
    "grey": (128, 128, 128),
    "purple": (140, 30, 200),
}


def plain(colour: str, width_px: int = 64, height_px: int = 48) -> RgbImage:
    """One colour all over."""
    return np.full((height_px, width_px, 3), RGB[colour], dtype=np.uint8)


def halves(upper: str, lower: str) -> RgbImage:
    """One colour above another."""
    return np.concatenate([plain(upper, height_px=24), plain(lower, height_px=24)])


def noise(seed: int, width_px: int = 64, height_px: int = 48) -> RgbImage:
    """Random pixels, the same for the same seed."""
    return np.random.default_rng(seed).integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)


def written(text: str, width_px: int = 320, height_px: int = 180) -> RgbImage:
    """Large black letters on white, about the lower third."""
    picture = Image.new("RGB", (width_px, height_px), (255, 255, 255))
    ImageDraw.Draw(picture).text((16, height_px * 0.6), text, fill=(0, 0, 0), font=ImageFont.load_default(size=32))
    return np.array(picture)


def jpeg(image: RgbImage) -> bytes:
    """The picture as a JPEG of high quality."""
    data = io.BytesIO()
    Image.fromarray(image).save(data, "JPEG", quality=95, subsampling=0)
    return data.getvalue()


def make_clip(root: Path, clip_id: str, images: list[RgbImage], duration_s: float = 4.0, broken: int | None = None) -> ClipRecord:
    """A clip at 25 frames per second that keeps `images`, evenly spread. broken: position of an image whose bytes are cut short."""
    root.mkdir(parents=True, exist_ok=True)
    num_frames = round(duration_s * 25)
    refs, data = [], b"front"
    for i, image in enumerate(images):
        piece = jpeg(image)
        if i == broken:
            piece = piece[: len(piece) // 2]
        frame = (2 * i + 1) * num_frames // (2 * len(images))
        media = MediaRef(uri=f"{clip_id}.tar", offset_bytes=len(data), size_bytes=len(piece))
        refs.append(FrameRef(frame=frame, time_s=frame / 25, width_px=image.shape[1], height_px=image.shape[0], media=media))
        data += piece
    (root / f"{clip_id}.tar").write_bytes(data)
    middle_frame = refs[len(refs) // 2].frame if refs else 0
    return made_clip(clip_id, f"video-of-{clip_id}", duration_s, middle_frame=middle_frame, frames=tuple(refs))


def outcomes_of(
    stage: Stage[Any, ClipRecord, Any],
    root: Path,
    clips: Sequence[ClipRecord],
    batch_size: int = 100,
    joined: Callable[[int], dict[type, tuple[Any, ...]]] = lambda number: {},
) -> list[Any]:
    """What a stage says of clips, as a worker asks it. joined: the rows of other stages of clip `number`."""
    stage.prepare_node()
    stage.setup(worker_at(root))
    items = [Item(clip, joined=joined(i)) for i, clip in enumerate(clips)]
    items = [replace(item, payload=stage.load_item(item)) for item in items]
    outcomes = [outcome for start in range(0, len(items), batch_size) for outcome in stage.process(items[start : start + batch_size])]
    stage.teardown()
    return outcomes


def worker_at(root: Path) -> WorkerContext:
    """What a stage's `setup` is given."""
    return WorkerContext(root=Root(str(root)), scratch=root / "scratch", resources=Resources())
