"""How well a caption fits its clip: the cosine of CLIP embeddings of frames and text.

InternVid looks at 4 evenly spread frames (UMT-SIM, arXiv:2307.06942 section 3.3) and takes the maximum for its other frame score
(aesthetics, same section); its released 10M-FLT set was chosen with OpenAI's CLIP ViT-L/14 (InternVideo issue 91). UMT's checkpoint was
never named, so CLIP serves here.
"""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, field_validator

from internvid_pipeline import models
from internvid_pipeline.config import Section
from internvid_pipeline.config.presets import ModelPreset, PresetField, load_preset
from internvid_pipeline.records import CaptionRecord, CaptionScale, ClipRecord, DropReason, ScoreRecord
from internvid_pipeline.stage import Drop, Emit, Item, Outcome, Resources, Stage, WorkerContext

_BEST_FIRST = (CaptionScale.FUSED, CaptionScale.FINE, CaptionScale.COARSE)
_DECIMALS = 6  # float32 rounding differs between batch sizes and machines beyond this


class ScoreAlignmentConfig(Section):
    """Which captions are compared with which frames."""

    model: PresetField = Field(
        default_factory=lambda: load_preset("clip-vit-l-14-openai"),
        description="Preset of an alignment scorer; default CLIP ViT-L/14, as InternVid-10M-FLT (InternVideo issue 91).",
    )
    scales: Literal["best"] | tuple[CaptionScale, ...] = Field(
        default="best",
        min_length=1,
        description="Scales to score, such as [coarse, fused], a row each; best: the first of fused, fine, coarse that is there.",
    )
    num_frames: int = Field(
        default=4, ge=1, le=64, description="Frames looked at, evenly spread over those kept; 4 as InternVid (section 3.3)."
    )
    reduced: Literal["max", "mean"] = Field(
        default="max", description="How the frames' scores become one; max as InternVid's frame scores (section 3.3)."
    )

    @field_validator("model")
    @classmethod
    def _scorer(cls, preset: ModelPreset) -> ModelPreset:
        return models.check_preset(preset, "alignment")


class ScoreAlignment(Stage[ScoreAlignmentConfig, ClipRecord, ScoreRecord]):
    """One row `alignment` per clip and scale of caption."""

    name = "score_alignment"
    config_type = ScoreAlignmentConfig
    reads = ClipRecord
    joins = (CaptionRecord,)
    writes = ScoreRecord

    @property
    def resources(self) -> Resources:
        """As the preset says; a batch holds as many clips as fill one pass with their frames."""
        preset = self.config.model
        return Resources(
            gpus=preset.gpus, memory_mb=1000 + preset.memory_mb, batch_size=max(1, preset.batch_size // self.config.num_frames)
        )

    def prepare_node(self) -> None:
        """Weights to the local disk."""
        models.fetch_weights(self.config.model)

    def setup(self, worker: WorkerContext) -> None:
        """The model into memory."""
        super().setup(worker)
        self._scorer: models.AlignmentScorer | None = models.build_scorer(self.config.model)

    def load(self, record: ClipRecord) -> list[models.RgbImage]:
        """The frames to look at, decoded. Raises ItemError where one is broken."""
        return models.read_frames(self.worker.root, record, models.evenly_spread(record.frames, self.config.num_frames))

    def process(self, batch: Sequence[Item[ClipRecord]]) -> list[Outcome[ScoreRecord]]:
        """All frames and all texts of the batch in one call each."""
        assert self._scorer is not None
        captions = [self._chosen(item.joined.get(CaptionRecord, ())) for item in batch]
        images = [image for item in batch for image in item.payload]
        sentences = [caption.text for chosen in captions for caption in chosen]
        pictures = iter(models.one_each(self._scorer, self._scorer.embed_images(images), len(images)))
        texts = iter(models.one_each(self._scorer, self._scorer.embed_texts(sentences), len(sentences)))
        outcomes: list[Outcome[ScoreRecord]] = []
        for item, chosen in zip(batch, captions, strict=True):
            frames = [next(pictures) for _ in item.payload]
            rows = tuple(self._row(item.record, caption, frames, next(texts), self._scorer) for caption in chosen)
            outcomes.append(Emit(rows) if rows else Drop(DropReason.MISSING_VALUE, f"no caption of scale {self._wanted()}"))
        return outcomes

    def teardown(self) -> None:
        """Lets go of the model."""
        self._scorer = None

    def _wanted(self) -> str:
        return " or ".join(_BEST_FIRST if self.config.scales == "best" else self.config.scales)

    def _chosen(self, captions: Sequence[CaptionRecord]) -> list[CaptionRecord]:
        """The captions to score, in the order of the config."""
        best = self.config.scales == "best"
        order = _BEST_FIRST if self.config.scales == "best" else self.config.scales
        found = [caption for scale in order for caption in captions if caption.scale == scale]
        return found[:1] if best else found

    def _row(
        self,
        clip: ClipRecord,
        caption: CaptionRecord,
        frames: Sequence[models.Embeddings],
        text: models.Embeddings,
        scorer: models.AlignmentScorer,
    ) -> ScoreRecord:
        cosines = [float((frame * text).sum()) for frame in frames]  # a pair at a time: the neighbours in the batch cannot change it
        value = max(cosines) if self.config.reduced == "max" else sum(cosines) / len(cosines)
        return ScoreRecord(
            clip_id=clip.clip_id,
            video_id=clip.video_id,
            scorer="alignment",
            caption_scale=caption.scale,
            value=round(value, _DECIMALS),
            num_frames=len(frames),
            reduced=self.config.reduced,
            model=scorer.name,
            model_commit=scorer.commit,
            is_stand_in=scorer.is_stand_in,
        )
