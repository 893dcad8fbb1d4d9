"""The probability that a clip is not safe for work and, where a model for it is given, that it bears a watermark.

InternVid drops unsafe videos by a binary classifier that it does not name (arXiv:2307.06942, appendix B). This stage scores and drops
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


class WatermarkConfig(Section):
    """Which classifier says whether a frame bears a watermark. It looks at the frames that the other one looks at."""

    model: PresetField = Field(
        description="Preset of a watermark classifier: task watermark, adapter image_classifier. None is shipped: see README."
    )
    reduced: Literal["max", "mean"] = Field(
        default="mean", description="How the frames' probabilities become one; mean, since a watermark stays; our choice."
    )

    @field_validator("model")
    @classmethod
    def _classifier(cls, preset: ModelPreset) -> ModelPreset:
        return models.check_preset(preset, "watermark")


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

    watermark: WatermarkConfig | None = Field(default=None, description="A further row `watermark`; null: none.")

    @field_validator("model")
    @classmethod
    def _classifier(cls, preset: ModelPreset) -> ModelPreset:
        return models.check_preset(preset, "safety")

    @property
    def judges(self) -> list[tuple[str, ModelPreset, Literal["max", "mean"]]]:
        """Name of the score, model, and how its frames' probabilities become one."""
        marked = [("watermark", self.watermark.model, self.watermark.reduced)] if self.watermark else []
        return [("safety", self.model, self.reduced), *marked]


class ScoreSafety(Stage[ScoreSafetyConfig, ClipRecord, ScoreRecord]):
    """One row `safety` per clip, 0 safe, 1 not, and one `watermark` where a model for it is given. Frames are decoded once for both."""

    name = "score_safety"
    config_type = ScoreSafetyConfig
    reads = ClipRecord
    writes = ScoreRecord

    @property
    def resources(self) -> Resources:
        """The models share a worker; a batch holds as many clips as fill some passes with their frames."""
        presets = [preset for _, preset, _ in self.config.judges]
        return Resources(
            gpus=max(preset.gpus for preset in presets),
            memory_mb=1000 + sum(preset.memory_mb for preset in presets),
            batch_size=models.clips_at_once(self.config.model, self.config.num_frames),
            load_threads=models.LOAD_THREADS,
        )

    def prepare_node(self) -> None:
        """Weights to the local disk."""
        for _, preset, _ in self.config.judges:
            models.fetch_weights(preset)

    def setup(self, worker: WorkerContext) -> None:
        """The models into memory."""
        super().setup(worker)
        self._classifiers = {name: models.build_classifier(preset) for name, preset, _ in self.config.judges}

    def load(self, record: ClipRecord) -> dict[str, list[models.RgbImage]]:
        """The frames to look at, decoded, and scaled for each model. Raises ItemError where one is broken."""
        frames = models.load_frames(self.worker.root, record, self.config.num_frames)
        return {name: [classifier.prepared(frame) for frame in frames] for name, classifier in self._classifiers.items()}

    def process(self, batch: Sequence[Item[ClipRecord]]) -> list[Outcome[ScoreRecord]]:
        """All frames of the batch in one call of each model."""
        rows: list[list[ScoreRecord]] = [[] for _ in batch]
        for name, _, reduced in self.config.judges:
            classifier = self._classifiers[name]
            images = [image for item in batch for image in item.payload[name]]
            found = iter(models.one_each(classifier, classifier.probabilities(images), len(images)))
            for item, own in zip(batch, rows, strict=True):
                own.append(self._row(item.record, name, [float(next(found)) for _ in item.payload[name]], reduced, classifier))
        return [Emit(tuple(own)) for own in rows]

    def teardown(self) -> None:
        """Lets go of the models."""
        self._classifiers = {}

    def _row(
        self, clip: ClipRecord, name: str, values: Sequence[float], reduced: Literal["max", "mean"], model: models.ImageClassifier
    ) -> ScoreRecord:
        return ScoreRecord(
            clip_id=clip.clip_id,
            video_id=clip.video_id,
            scorer=name,
            caption_scale=None,
            value=round(models.reduced(values, reduced), _DECIMALS),
            num_frames=len(values),
            reduced=reduced,
            model=model.name,
            model_commit=model.commit,
            is_stand_in=model.is_stand_in,
            frames=models.frame_numbers(clip, self.config.num_frames),
        )
