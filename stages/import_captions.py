"""Captions of a published list, for the clips that were cut at its times: what is there need not be computed again."""

from collections.abc import Sequence

from pydantic import Field

from internvid_pipeline.config import Section
from internvid_pipeline.records import CaptionRecord, ClipRecord, DropReason, ScanRecord, VideoRecord
from internvid_pipeline.stage import Drop, Emit, Item, Outcome, Resources, Stage
from internvid_pipeline.web.spans import request_of


class ImportCaptionsConfig(Section):
    """How a clip finds its line in the list."""

    tolerance_frames: float = Field(
        default=1.5, gt=0, le=100, description="A clip belongs to the span whose edges are at most this many frames away from its own."
    )
    language: str = Field(
        default="en", description="Language of the list's captions; those of InternVid, Panda-70M and OpenVid are English."
    )


class ImportCaptions(Stage[ImportCaptionsConfig, ClipRecord, CaptionRecord]):
    """One row per clip with a listed caption; `model` is the list's name."""

    name = "import_captions"
    config_type = ImportCaptionsConfig
    reads = ClipRecord
    joins = (VideoRecord, ScanRecord)
    writes = CaptionRecord

    @property
    def resources(self) -> Resources:
        """Tables only."""
        return Resources(cpus=0.25, memory_mb=1000, batch_size=64, load_threads=1)

    def process(self, batch: Sequence[Item[ClipRecord]]) -> list[Outcome[CaptionRecord]]:
        return [self._caption(item) for item in batch]

    def _caption(self, item: Item[ClipRecord]) -> Outcome[CaptionRecord]:
        clip, video, scan = item.record, item.joined[VideoRecord][0], item.joined[ScanRecord][0]
        start_s, end_s, video_end_s = (time_s - video.start_s for time_s in (clip.start_s, clip.end_s, scan.end_s))
        request = request_of(video.clip_requests, start_s, end_s, video_end_s, self.config.tolerance_frames / clip.fps)
        if request is None or request.caption is None:
            return Drop(DropReason.EMPTY_CAPTION, "the list has no caption for these times")
        return Emit(
            (
                CaptionRecord(
                    clip_id=clip.clip_id,
                    video_id=clip.video_id,
                    scale=request.caption_scale,
                    text=request.caption,
                    language=self.config.language,
                    model=request.list_name,
                    model_commit="",
                    prompt=None,
                    frames=(),
                    is_stand_in=False,
                ),
            )
        )
