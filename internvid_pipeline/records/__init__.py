"""The rows of all tables: one frozen type per table, each with its Arrow schema (`schema_of`)."""

from internvid_pipeline.records.arrow import from_row, from_table, schema_of, to_table
from internvid_pipeline.records.candidate import CandidateRecord
from internvid_pipeline.records.caption import CaptionRecord, CaptionScale
from internvid_pipeline.records.clip import ClipRecord, FrameRef
from internvid_pipeline.records.clip_request import ClipRequest, ListedScore
from internvid_pipeline.records.duplicate import ClipHashRecord, DuplicateRecord, FrameHash
from internvid_pipeline.records.embedding import EmbeddingRecord, stored_vectors
from internvid_pipeline.records.loss import DropReason, DropRecord, FailureRecord
from internvid_pipeline.records.mark import MarkRecord
from internvid_pipeline.records.media_ref import MediaRef
from internvid_pipeline.records.scan import ScanRecord
from internvid_pipeline.records.score import ScoreRecord
from internvid_pipeline.records.selection import SampleRecord, SelectionRecord
from internvid_pipeline.records.source import SourceRecord
from internvid_pipeline.records.speech import (
    ClipTranscript,
    LanguageEvidence,
    SpeechRecord,
    SpeechSource,
    SpokenWord,
    TranscriptRecord,
    Utterance,
)
from internvid_pipeline.records.video import Chapter, SubtitleRef, VideoRecord

__all__ = [
    "CandidateRecord",
    "CaptionRecord",
    "CaptionScale",
    "Chapter",
    "ClipHashRecord",
    "ClipRecord",
    "ClipRequest",
    "ClipTranscript",
    "DropReason",
    "DropRecord",
    "DuplicateRecord",
    "EmbeddingRecord",
    "FailureRecord",
    "FrameHash",
    "FrameRef",
    "LanguageEvidence",
    "ListedScore",
    "MarkRecord",
    "MediaRef",
    "SampleRecord",
    "ScanRecord",
    "ScoreRecord",
    "SelectionRecord",
    "SourceRecord",
    "SpeechRecord",
    "SpeechSource",
    "SpokenWord",
    "SubtitleRef",
    "TranscriptRecord",
    "Utterance",
    "VideoRecord",
    "from_row",
    "from_table",
    "schema_of",
    "stored_vectors",
    "to_table",
]
