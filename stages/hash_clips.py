"""Perceptual hashes of the kept frames of clips, by which `deduplicate_clips` finds doubles. Reads small JPEGs, decodes no video."""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from internvid_pipeline import models
from internvid_pipeline.config import Section
from internvid_pipeline.media.picture_hash import inner_box, luma, picture_hash
from internvid_pipeline.records import ClipHashRecord, ClipRecord, FrameHash
from internvid_pipeline.stage import Emit, Item, Outcome, Resources, Stage


class HashClipsConfig(Section):
    """Which frames are hashed."""

    most_frames: int = Field(
        default=32,
        ge=1,
        le=256,
        description="Most kept frames of a clip that are hashed, evenly spread; cut_clips keeps one a second, at least eight.",
    )


class HashClips(Stage[HashClipsConfig, ClipRecord, ClipHashRecord]):
    """One row per clip. A clip without frames, or with flat ones only, has a row without hashes: it can still have an exact double."""

    name = "hash_clips"
    config_type = HashClipsConfig
    reads = ClipRecord
    writes = ClipHashRecord

    @property
    def resources(self) -> Resources:
        return Resources(cpus=0.5, memory_mb=1500, batch_size=16)

    def load(self, record: ClipRecord) -> Any:
        if not record.frames:
            return ()
        frames = models.evenly_spread(record.frames, self.config.most_frames)
        pictures = models.read_frames(self.worker.root, record, frames)
        return frame_hashes(pictures, [frame.time_s - record.start_s for frame in frames])

    def process(self, batch: Sequence[Item[ClipRecord]]) -> list[Outcome[ClipHashRecord]]:
        return [Emit((self._row(item.record, item.payload),)) for item in batch]

    def _row(self, clip: ClipRecord, frames: tuple[FrameHash, ...]) -> ClipHashRecord:
        return ClipHashRecord(
            clip_id=clip.clip_id,
            video_id=clip.video_id,
            sha256=clip.media.sha256,
            duration_s=clip.duration_s,
            num_pixels=clip.width_px * clip.height_px,
            frames=frames,
        )


def frame_hashes(pictures: Sequence[models.RgbImage], times_s: Sequence[float]) -> tuple[FrameHash, ...]:
    """Hashes of a clip's frames, each uint8 [height, width, 3]; those apart that are too flat to be told from others."""
    lumas = [luma(picture) for picture in pictures]
    top, bottom, left, right = inner_box([grey for grey in lumas if grey.shape == lumas[0].shape])
    found = []
    for time_s, grey in zip(times_s, lumas, strict=True):
        whole, inner = picture_hash(grey), picture_hash(grey[top:bottom, left:right])
        if whole is not None and inner is not None:
            found.append(FrameHash(time_s=time_s, whole=whole.hex(), inner=inner.hex()))
    return tuple(found)
