"""One row per clip and scale of caption."""

from dataclasses import dataclass
from enum import StrEnum


class CaptionScale(StrEnum):
    """Which part of the clip a caption describes (InternVid, section 3.2; InternVid2 adds the last three)."""

    COARSE = "coarse"  # the middle frame
    FINE = "fine"  # frame by frame
    FUSED = "fused"  # coarse and fine, merged by a language model
    VLM = "vlm"  # several frames at once
    AUDIO = "audio"
    AV = "av"
    AVS = "avs"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionRecord:
    """scale: a CaptionScale. language: BCP-47 code of the text. model, model_commit: what wrote it. prompt: what it was asked,
    None where the model takes none. frames: source numbers of the frames shown. is_stand_in: made by a deterministic stand-in and
    not by a model; such rows are for trying the pipeline out. num_tokens: that the model wrote, None where it does not tell."""

    clip_id: str
    video_id: str
    scale: str
    text: str
    language: str
    model: str
    model_commit: str
    prompt: str | None
    frames: tuple[int, ...]
    is_stand_in: bool
    num_tokens: int | None = None

    @property
    def item_id(self) -> str:
        """Name of this row in drops, failures and messages."""
        return f"{self.clip_id}/{self.scale}"
