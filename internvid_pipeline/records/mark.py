"""One row per judgement that somebody made of a clip while looking at it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkRecord:
    """verdict: `keep`, `reject`, or `none` where an earlier one was taken back; of several of one clip the latest counts. annotator: who
    judged. marked_at: UTC, ISO 8601 with microseconds."""

    clip_id: str
    video_id: str
    verdict: str
    annotator: str
    marked_at: str

    @property
    def item_id(self) -> str:
        """Name of this row in messages."""
        return self.clip_id
