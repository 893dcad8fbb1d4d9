"""Scores of a published list, for the clips that were cut at its times."""

from collections.abc import Sequence

from pydantic import Field

from internvid_pipeline.config import Section
from internvid_pipeline.records import ClipRecord, DropReason, ScanRecord, ScoreRecord, VideoRecord
from internvid_pipeline.stage import Drop, Emit, Item, Outcome, Resources, Stage
from internvid_pipeline.web.spans import request_of

# InternVid scores four frames of a clip: the greatest aesthetic score, one similarity of all (arXiv:2307.06942, section 3.3).
_FRAMES, _REDUCED = {"aesthetic": 4, "umt_sim": 4}, {"aesthetic": "max"}


class ImportScoresConfig(Section):
    """How a clip finds its line in the list."""

    tolerance_frames: float = Field(
        default=1.5, gt=0, le=100, description="A clip belongs to the span whose edges are at most this many frames away from its own."
    )


class ImportScores(Stage[ImportScoresConfig, ClipRecord, ScoreRecord]):
    """One row per clip and listed score (`aesthetic`, `umt_sim`, `matching`, …); `model` is the list's name."""

    name = "import_scores"
    config_type = ImportScoresConfig
    reads = ClipRecord
    joins = (VideoRecord, ScanRecord)
    writes = ScoreRecord

    @property
    def resources(self) -> Resources:
        """Tables only."""
        return Resources(cpus=0.25, memory_mb=1000, batch_size=64, load_threads=1)

    def process(self, batch: Sequence[Item[ClipRecord]]) -> list[Outcome[ScoreRecord]]:
        return [self._scores(item) for item in batch]

    def _scores(self, item: Item[ClipRecord]) -> Outcome[ScoreRecord]:
        clip, video, scan = item.record, item.joined[VideoRecord][0], item.joined[ScanRecord][0]
        start_s, end_s, video_end_s = (time_s - video.start_s for time_s in (clip.start_s, clip.end_s, scan.end_s))
        request = request_of(video.clip_requests, start_s, end_s, video_end_s, self.config.tolerance_frames / clip.fps)
        if request is None or not request.scores:
            return Drop(DropReason.MISSING_VALUE, "the list has no scores for these times")
        return Emit(
            tuple(
                ScoreRecord(
                    clip_id=clip.clip_id,
                    video_id=clip.video_id,
                    scorer=score.scorer,
                    caption_scale=request.caption_scale if score.scorer in ("umt_sim", "matching") else None,
                    value=score.value,
                    num_frames=_FRAMES.get(score.scorer, 0),
                    reduced=_REDUCED.get(score.scorer, ""),
                    model=request.list_name,
                    model_commit="",
                    is_stand_in=False,
                )
                for score in request.scores
            )
        )
