"""One row per clip, scorer and caption scored."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRecord:
    """scorer: what was measured (`alignment`, `aesthetic`, …). caption_scale: scale of the caption scored, None where no caption is
    looked at. value: the score. num_frames, reduced: how many frames were looked at and how their scores became one (`max`, `mean`;
    InternVid: 4 frames, max). model, model_commit, is_stand_in: what scored. frames: source numbers of the frames looked at. text: what was
    found (`text_overlay`: the words read), None where a score finds a number only."""

    clip_id: str
    video_id: str
    scorer: str
    caption_scale: str | None
    value: float
    num_frames: int
    reduced: str
    model: str
    model_commit: str
    is_stand_in: bool
    frames: tuple[int, ...] = ()
    text: str | None = None

    @property
    def item_id(self) -> str:
        """Name of this row in drops, failures and messages."""
        return f"{self.clip_id}/{self.scorer}"
