"""How much of a clip's picture is writing (subtitles burnt in, logos, credits), and what it says."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, field_validator

from internvid_pipeline import models
from internvid_pipeline.config import Section
from internvid_pipeline.config.presets import ModelPreset, PresetField, load_preset
from internvid_pipeline.records import ClipRecord, ScoreRecord
from internvid_pipeline.stage import Emit, Item, Outcome, Resources, Stage, WorkerContext

_DECIMALS = 4
_SEPARATOR = " | "


class ScoreTextOverlayConfig(Section):
    """Which reader looks at which frames."""

    model: PresetField = Field(
        default_factory=lambda: load_preset("rapidocr"),
        description="Preset of a reader; default rapidocr, whose package brings its models and runs on the CPU.",
    )
    num_frames: int = Field(
        default=2, ge=1, le=256, description="Frames read, evenly spread over those kept; 2, since a frame costs about a CPU second."
    )
    reduced: Literal["max", "mean"] = Field(default="mean", description="How the frames' shares of written area become one.")
    min_confidence: float = Field(default=0.6, ge=0, le=1, description="Boxes of which the reader is less sure do not count; our choice.")
    max_text_chars: int = Field(default=1000, ge=0, le=100_000, description="Most characters of the words that are kept.")

    @field_validator("model")
    @classmethod
    def _reader(cls, preset: ModelPreset) -> ModelPreset:
        return models.check_preset(preset, "text_overlay")


class ScoreTextOverlay(Stage[ScoreTextOverlayConfig, ClipRecord, ScoreRecord]):
    """One row `text_overlay` per clip: the share of the picture's area that is writing, and its words, each line once."""

    name = "score_text_overlay"
    config_type = ScoreTextOverlayConfig
    reads = ClipRecord
    writes = ScoreRecord

    @property
    def resources(self) -> Resources:
        """One core."""
        return Resources(cpus=1, memory_mb=1000 + self.config.model.memory_mb, batch_size=4)

    def setup(self, worker: WorkerContext) -> None:
        """The reader into memory."""
        super().setup(worker)
        self._model = models.build_reader(self.config.model)

    def load(self, record: ClipRecord) -> list[models.RgbImage]:
        """The frames to read, decoded. Raises ItemError where one is broken."""
        return models.load_frames(self.worker.root, record, self.config.num_frames)

    def process(self, batch: Sequence[Item[ClipRecord]]) -> list[Outcome[ScoreRecord]]:
        return [Emit((self._row(item.record, item.payload),)) for item in batch]

    def _row(self, clip: ClipRecord, images: Sequence[models.RgbImage]) -> ScoreRecord:
        shares, lines = [], dict[str, None]()
        for image in images:
            boxes = [box for box in self._model.boxes(image) if box.confidence >= self.config.min_confidence]
            shares.append(models.covered_ratio(boxes, image.shape[1], image.shape[0]))
            lines |= dict.fromkeys(box.text for box in boxes if box.text)
        return ScoreRecord(
            clip_id=clip.clip_id,
            video_id=clip.video_id,
            scorer="text_overlay",
            caption_scale=None,
            value=round(models.reduced(shares, self.config.reduced), _DECIMALS),
            num_frames=len(shares),
            reduced=self.config.reduced,
            model=self._model.name,
            model_commit=self._model.commit,
            is_stand_in=self._model.is_stand_in,
            frames=models.frame_numbers(clip, self.config.num_frames),
            text=_SEPARATOR.join(lines)[: self.config.max_text_chars],
        )
