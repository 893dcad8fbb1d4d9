"""The probability that a clip is not safe for work.

InternVid drops such videos by a binary classifier that it does not name (arXiv:2307.06942, appendix B). This stage scores and drops
nothing: a rule of select_clips draws the line, such as {column: safety, maximum: 0.5}.
"""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, field_validator

from internvid_pipeline import models
from internvid_pipeline.config import Section
from internvid_pipeline.config.presets import ModelPreset, PresetField, load_preset
from internvid_pipeline.records import ClipRecord, ScoreRecord
from internvid_pipeline.stage import Emit, Item, Outcome, Resources, Stage, WorkerContext

_DECIMALS = 4


class ScoreSafetyConfig(Section):
    """Which classifier looks at which frames."""

    model: PresetField = Field(
        default_factory=lambda: load_preset("nsfw-falconsai"),
        description="Preset of a safety classifier; default a ViT-B/16 by Falcons.ai, the most used open one.",
    )
    num_frames: int = Field(default=8, ge=1, le=256, description="Frames looked at, evenly spread over those kept; 8 is our choice.")
    reduced: Literal["max", "mean"] = Field(
        default="max", description="How the frames' probabilities become one; max, since one unsafe frame makes a clip unsafe."
    )

    @field_validator("model")
    @classmethod
    def _classifier(cls, preset: ModelPreset) -> ModelPreset:
        return models.check_preset(preset, "safety")


class ScoreSafety(Stage[ScoreSafetyConfig, ClipRecord, ScoreRecord]):
    """One row `safety` per clip: 0 safe, 1 not."""

    name = "score_safety"
    config_type = ScoreSafetyConfig
    reads = ClipRecord
    writes = ScoreRecord

    @property
    def resources(self) -> Resources:
        """As the preset says; a batch holds as many clips as fill some passes with their frames."""
        preset = self.config.model
        return Resources(
            gpus=preset.gpus,
            memory_mb=1000 + preset.memory_mb,
            batch_size=models.clips_at_once(preset, self.config.num_frames),
            load_threads=models.LOAD_THREADS,
        )

    def prepare_node(self) -> None:
        """Weights to the local disk."""
        models.fetch_weights(self.config.model)

    def setup(self, worker: WorkerContext) -> None:
        """The model into memory."""
        super().setup(worker)
        self._classifier: models.ImageClassifier | None = models.build_classifier(self.config.model)

    def load(self, record: ClipRecord) -> list[models.RgbImage]:
        """The frames to look at, decoded and scaled. Raises ItemError where one is broken."""
        assert self._classifier is not None
        return models.load_frames(self.worker.root, record, self.config.num_frames, self._classifier.prepared)

    def process(self, batch: Sequence[Item[ClipRecord]]) -> list[Outcome[ScoreRecord]]:
        """All frames of the batch in one call."""
        assert self._classifier is not None
        images = [image for item in batch for image in item.payload]
        found = iter(models.one_each(self._classifier, self._classifier.probabilities(images), len(images)))
        return [Emit((self._row(item.record, [float(next(found)) for _ in item.payload], self._classifier),)) for item in batch]

    def teardown(self) -> None:
        """Lets go of the model."""
        self._classifier = None

    def _row(self, clip: ClipRecord, values: Sequence[float], model: models.ImageClassifier) -> ScoreRecord:
        return ScoreRecord(
            clip_id=clip.clip_id,
            video_id=clip.video_id,
            scorer="safety",
            caption_scale=None,
            value=round(models.reduced(values, self.config.reduced), _DECIMALS),
            num_frames=len(values),
            reduced=self.config.reduced,
            model=model.name,
            model_commit=model.commit,
            is_stand_in=model.is_stand_in,
            frames=models.frame_numbers(clip, self.config.num_frames),
        )
