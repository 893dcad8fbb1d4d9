"""The frames of a clip as vectors of a CLIP model: computed once and stored, for alignment and aesthetic scores and near-duplicates."""

from collections.abc import Sequence

from pydantic import Field, field_validator

from internvid_pipeline import models
from internvid_pipeline.config import Section
from internvid_pipeline.config.presets import ModelPreset, PresetField, load_preset
from internvid_pipeline.records import ClipRecord, EmbeddingRecord, stored_vectors
from internvid_pipeline.stage import Emit, Item, Outcome, Resources, Stage, WorkerContext


class EmbedFramesConfig(Section):
    """Which model, and how many frames."""

    model: PresetField = Field(
        default_factory=lambda: load_preset("clip-vit-l-14-openai"),
        description="Preset of an alignment scorer; default CLIP ViT-L/14, which InternVid's aesthetic score and the CLIPScore of its FLT "
        "subset are made with (section 3.3; InternVideo issue 91).",
    )
    num_frames: int = Field(
        default=4,
        ge=1,
        le=256,
        description="Frames embedded, evenly spread over those kept; 4 as InternVid's scores look at (section 3.3).",
    )

    @field_validator("model")
    @classmethod
    def _scorer(cls, preset: ModelPreset) -> ModelPreset:
        return models.check_preset(preset, "alignment")


class EmbedFrames(Stage[EmbedFramesConfig, ClipRecord, EmbeddingRecord]):
    """One row per clip."""

    name = "embed_frames"
    config_type = EmbedFramesConfig
    reads = ClipRecord
    writes = EmbeddingRecord

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
        self._scorer: models.AlignmentScorer | None = models.build_scorer(self.config.model)

    def load(self, record: ClipRecord) -> list[models.RgbImage]:
        """The frames to look at, decoded and scaled. Raises ItemError where one is broken."""
        assert self._scorer is not None
        return models.load_frames(self.worker.root, record, self.config.num_frames, self._scorer.prepared)

    def process(self, batch: Sequence[Item[ClipRecord]]) -> list[Outcome[EmbeddingRecord]]:
        """All frames of the batch in one call."""
        assert self._scorer is not None
        images = [image for item in batch for image in item.payload]
        vectors = models.one_each(self._scorer, self._scorer.embed_images(images), len(images))
        outcomes: list[Outcome[EmbeddingRecord]] = []
        start = 0
        for item in batch:
            own = vectors[start : start + len(item.payload)]
            start += len(item.payload)
            outcomes.append(Emit((self._row(item.record, own, self._scorer),)))
        return outcomes

    def teardown(self) -> None:
        """Lets go of the model."""
        self._scorer = None

    def _row(self, clip: ClipRecord, vectors: models.Embeddings, scorer: models.AlignmentScorer) -> EmbeddingRecord:
        return EmbeddingRecord(
            clip_id=clip.clip_id,
            video_id=clip.video_id,
            model=scorer.name,
            model_commit=scorer.commit,
            frames=models.frame_numbers(clip, self.config.num_frames),
            width=int(vectors.shape[1]),
            vectors=stored_vectors(vectors),
            is_stand_in=scorer.is_stand_in,
        )
