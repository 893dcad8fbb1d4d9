"""How pleasing a clip looks: a linear layer over the stored embeddings of its frames.

InternVid takes LAION's predictor over CLIP ViT-L/14, 4 frames, and their maximum (arXiv:2307.06942, section 3.3); VBench the mean.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field, field_validator

from internvid_pipeline import models
from internvid_pipeline.config import Section
from internvid_pipeline.config.presets import ModelPreset, PresetField, load_preset
from internvid_pipeline.errors import SetupError
from internvid_pipeline.records import ClipRecord, EmbeddingRecord, ScoreRecord
from internvid_pipeline.stage import Emit, Item, Outcome, Resources, Stage, WorkerContext

_DECIMALS = 4  # half precision of the stored vectors carries no further


class ScoreAestheticsConfig(Section):
    """Which head, and what becomes of its scores of single frames."""

    model: PresetField = Field(
        default_factory=lambda: load_preset("aesthetic-laion-vit-l-14"),
        description="Preset of an aesthetic head; default LAION's over CLIP ViT-L/14, as InternVid (section 3.3). Needs embed_frames with "
        "the model that the head was trained on.",
    )
    reductions: tuple[Literal["max", "mean"], ...] = Field(
        default=("max", "mean"),
        min_length=1,
        description="How the frames' scores become one, a row each: `max`, scorer `aesthetic`, as InternVid; `mean`, `aesthetic_mean`.",
    )

    @field_validator("model")
    @classmethod
    def _rater(cls, preset: ModelPreset) -> ModelPreset:
        return models.check_preset(preset, "aesthetic")


class ScoreAesthetics(Stage[ScoreAestheticsConfig, ClipRecord, ScoreRecord]):
    """Rows `aesthetic` and `aesthetic_mean` per clip that has embeddings. Looks at no frame."""

    name = "score_aesthetics"
    config_type = ScoreAestheticsConfig
    reads = ClipRecord
    joins = (EmbeddingRecord,)
    writes = ScoreRecord

    @property
    def resources(self) -> Resources:
        """Some products per frame: no GPU."""
        return Resources(cpus=0.25, memory_mb=1000 + self.config.model.memory_mb, batch_size=256, load_threads=1)

    def prepare_node(self) -> None:
        """The head to the local disk."""
        models.fetch_weights(self.config.model)

    def setup(self, worker: WorkerContext) -> None:
        """The head into memory."""
        super().setup(worker)
        self._rater = models.build_rater(self.config.model)

    def process(self, batch: Sequence[Item[ClipRecord]]) -> list[Outcome[ScoreRecord]]:
        return [Emit(self._rows(item.record, self._own(item.joined[EmbeddingRecord]))) for item in batch]

    def _own(self, stored: Sequence[EmbeddingRecord]) -> EmbeddingRecord:
        """The embeddings by the model that the head was trained on. Raises SetupError where another made them: so it is with all clips."""
        found = next((row for row in stored if row.model == self._rater.base_model), None)
        if found is None:
            made = ", ".join(sorted({row.model for row in stored}))
            raise SetupError(
                f"score_aesthetics: {self._rater.name!r} rates embeddings of {self._rater.base_model}, embed_frames made those of {made}; "
                "give embed_frames that model, or take a head for yours"
            )
        return found

    def _rows(self, clip: ClipRecord, stored: EmbeddingRecord) -> tuple[ScoreRecord, ...]:
        ratings = self._rater.ratings(stored.matrix())
        return tuple(
            ScoreRecord(
                clip_id=clip.clip_id,
                video_id=clip.video_id,
                scorer="aesthetic" if reduced == "max" else f"aesthetic_{reduced}",
                caption_scale=None,
                value=round(float(np.max(ratings) if reduced == "max" else np.mean(ratings)), _DECIMALS),
                num_frames=len(stored.frames),
                reduced=reduced,
                model=self._rater.name,
                model_commit=self._rater.commit,
                is_stand_in=self._rater.is_stand_in or stored.is_stand_in,
                frames=stored.frames,
            )
            for reduced in self.config.reductions
        )
