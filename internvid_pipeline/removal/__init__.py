"""Taking videos out of a data set: of its tables, media, shards and indexes, for good."""

from internvid_pipeline.removal.remove import RemovalReport, remove_videos

__all__ = ["RemovalReport", "remove_videos"]
