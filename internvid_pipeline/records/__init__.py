"""The rows of all tables: one frozen type per table, each with its Arrow schema (`schema_of`)."""

from internvid_pipeline.records.arrow import from_row, from_table, schema_of, to_table
from internvid_pipeline.records.caption import CaptionRecord, CaptionScale
from internvid_pipeline.records.clip import ClipRecord, FrameRef
from internvid_pipeline.records.loss import DropReason, DropRecord, FailureRecord
from internvid_pipeline.records.media_ref import MediaRef
from internvid_pipeline.records.score import ScoreRecord
from internvid_pipeline.records.selection import SampleRecord, SelectionRecord
from internvid_pipeline.records.source import SourceRecord
from internvid_pipeline.records.video import VideoRecord

__all__ = [
    "CaptionRecord",
    "CaptionScale",
    "ClipRecord",
    "DropReason",
    "DropRecord",
    "FailureRecord",
    "FrameRef",
    "MediaRef",
    "SampleRecord",
    "ScoreRecord",
    "SelectionRecord",
    "SourceRecord",
    "VideoRecord",
    "from_row",
    "from_table",
    "schema_of",
    "to_table",
]
