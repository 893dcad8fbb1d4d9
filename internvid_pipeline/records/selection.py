"""Rows of what a selection keeps, and of where it lies in the shards."""

from dataclasses import dataclass

from internvid_pipeline.records.media_ref import MediaRef


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionRecord:
    """A clip that a selection keeps. caption, caption_scale: the text that goes into the shard's `.txt`."""

    clip_id: str
    video_id: str
    selection: str
    caption: str
    caption_scale: str

    @property
    def item_id(self) -> str:
        """Name of this row in drops, failures and messages: a clip may be in several selections."""
        return f"{self.clip_id}/{self.selection}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRecord:
    """A sample in a shard. shard: file name. index: position in the shard, from 0. media: the bytes of all parts of the sample,
    tar headers included, in the shard."""

    clip_id: str
    video_id: str
    selection: str
    shard: str
    index: int
    media: MediaRef

    @property
    def item_id(self) -> str:
        """Name of this row in drops, failures and messages: a clip may be in several selections."""
        return f"{self.clip_id}/{self.selection}"
