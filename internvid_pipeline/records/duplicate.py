"""Rows that duplicates are found by, and what was found."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameHash:
    """Perceptual hashes of one frame, 128 bits each as 32 hexadecimal digits. time_s: since the clip's beginning. whole: of the whole
    picture. inner: of what is left without black bars, the same as `whole` where there are none."""

    time_s: float
    whole: str
    inner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipHashRecord:
    """sha256: of the clip's file, None where it is not known. frames: of its kept frames, in time order, those apart that are too flat to
    be told from others. duration_s, num_pixels: of the clip, by which it is decided which of several is kept."""

    clip_id: str
    video_id: str
    sha256: str | None
    duration_s: float
    num_pixels: int
    frames: tuple[FrameHash, ...]

    @property
    def item_id(self) -> str:
        """Name of this row in drops, failures and messages."""
        return self.clip_id


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateRecord:
    """What is known of a clip's doubles. duplicate_of: the clip that is kept in its place, or `excluded:<id>` of an exclusion set; None for
    one that is kept. duplicate_group: name of the group, which is the kept clip's id; None for a clip that has no double.
    duplicate_method: `exact`, `near`, `mirrored`, `semantic`; None where duplicate_of is. duplicate_similarity: 1 for exact; share of equal
    bits of matching frames; cosine."""

    clip_id: str
    video_id: str
    duplicate_of: str | None
    duplicate_group: str | None
    duplicate_method: str | None
    duplicate_similarity: float | None

    @property
    def item_id(self) -> str:
        """Name of this row in drops, failures and messages."""
        return self.clip_id
