"""How well a caption fits its clip: the cosine of CLIP embeddings of frames and text.

InternVid looks at 4 evenly spread frames (UMT-SIM, arXiv:2307.06942 section 3.3) and takes the maximum for its other frame score
(aesthetics, same section); its released 10M-FLT set was chosen with OpenAI's CLIP ViT-L/14 (InternVideo issue 91). UMT's checkpoint was
never named, so CLIP serves here; a video-text model, which sees the frames together, can be had beside it: X-CLIP, or ViCLIP, which
InternVid's authors trained on the data set.

Frames that embed_frames has embedded with the same model are not looked at again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, field_validator

from internvid_pipeline import models
from internvid_pipeline.config import Section
from internvid_pipeline.config.presets import ModelPreset, PresetField, load_preset
from internvid_pipeline.records import CaptionRecord, CaptionScale, ClipRecord, DropReason, EmbeddingRecord, FrameRef, ScoreRecord
from internvid_pipeline.stage import Drop, Emit, Item, Outcome, Resources, Stage, WorkerContext

_BEST_FIRST = (CaptionScale.FUSED, CaptionScale.VLM, CaptionScale.FINE, CaptionScale.COARSE)
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
        description="Scales to score, such as [coarse, fused], a row each; best: the first of fused, vlm, fine, coarse that is there.",
    )
    num_frames: int = Field(
        default=4, ge=1, le=64, description="Frames looked at, evenly spread over those kept; 4 as InternVid (section 3.3)."
    )
    reduced: Literal["max", "mean"] = Field(
        default="max", description="How the frames' scores become one; max as InternVid's frame scores (section 3.3)."
    )

    video_model: PresetField | None = Field(
        default=None,
        description="Preset of a video-text scorer, xclip-base-patch32 or viclip-l-14, for a further row `video_alignment`; null: none.",
    )

    @field_validator("model")
    @classmethod
    def _scorer(cls, preset: ModelPreset) -> ModelPreset:
        return models.check_preset(preset, "alignment")

    @field_validator("video_model")
    @classmethod
    def _video_scorer(cls, preset: ModelPreset | None) -> ModelPreset | None:
        return preset and models.check_preset(preset, "video_alignment")

    @property
    def presets(self) -> list[ModelPreset]:
        """The models in use."""
        return [self.model, *([self.video_model] if self.video_model else [])]


@dataclass(frozen=True, slots=True)
class _Payload:
    """images: frames that are to be embedded. stored: their embeddings, where they are there already. video: frames for the video model."""

    images: list[models.RgbImage]
    stored: models.Embeddings | None
    video: list[models.RgbImage]


class ScoreAlignment(Stage[ScoreAlignmentConfig, ClipRecord, ScoreRecord]):
    """One row `alignment` per clip and scale of caption, and one `video_alignment` where a video model is given."""

    name = "score_alignment"
    version = 2
    config_type = ScoreAlignmentConfig
    reads = ClipRecord
    joins = (CaptionRecord,)
    optional_joins = (EmbeddingRecord,)
    writes = ScoreRecord

    @property
    def resources(self) -> Resources:
        """The models share a worker; a batch holds as many clips as fill some passes with their frames."""
        presets = self.config.presets
        return Resources(
            gpus=max(preset.gpus for preset in presets),
            memory_mb=1000 + sum(preset.memory_mb for preset in presets),
            batch_size=models.clips_at_once(self.config.model, self.config.num_frames),
            load_threads=models.LOAD_THREADS,
        )

    def prepare_node(self) -> None:
        """Weights to the local disk."""
        for preset in self.config.presets:
            models.fetch_weights(preset)

    def setup(self, worker: WorkerContext) -> None:
        """The models into memory."""
        super().setup(worker)
        self._scorer: models.AlignmentScorer | None = models.build_scorer(self.config.model)
        self._video_scorer = models.build_video_scorer(self.config.video_model) if self.config.video_model else None

    def load(self, record: ClipRecord) -> _Payload:
        """The frames to look at, decoded and scaled. Raises ItemError where one is broken."""
        return self._loaded(record, None)

    def load_item(self, item: Item[ClipRecord]) -> _Payload:
        """As `load`, without the frames of which the embeddings are there."""
        return self._loaded(item.record, self._stored(item))

    def process(self, batch: Sequence[Item[ClipRecord]]) -> list[Outcome[ScoreRecord]]:
        """All frames and all texts of the batch in one call each."""
        assert self._scorer is not None
        captions = [self._chosen(item.joined.get(CaptionRecord, ())) for item in batch]
        images = [image for item in batch for image in item.payload.images]
        sentences = [caption.text for chosen in captions for caption in chosen]
        pictures = iter(models.one_each(self._scorer, self._scorer.embed_images(images), len(images)))
        texts = iter(models.one_each(self._scorer, self._scorer.embed_texts(sentences), len(sentences)))
        videos = iter(self._video_scores(batch, captions))
        outcomes: list[Outcome[ScoreRecord]] = []
        for item, chosen in zip(batch, captions, strict=True):
            frames = [next(pictures) for _ in item.payload.images] if item.payload.stored is None else list(item.payload.stored)
            rows = []
            for caption in chosen:
                rows.append(self._row(item.record, caption, frames, next(texts), self._scorer))
                if self._video_scorer is not None:
                    rows.append(self._video_row(item.record, caption, next(videos), self._video_scorer))
            outcomes.append(Emit(tuple(rows)) if rows else Drop(DropReason.MISSING_VALUE, f"no caption of scale {self._wanted()}"))
        return outcomes

    def teardown(self) -> None:
        """Lets go of the models."""
        self._scorer = self._video_scorer = None

    def _shown(self, clip: ClipRecord) -> list[FrameRef]:
        return models.evenly_spread(clip.frames, self.config.num_frames)

    def _stored(self, item: Item[ClipRecord]) -> models.Embeddings | None:
        """Embeddings of the frames to look at by the same weights, None where not all of them are there."""
        assert self._scorer is not None
        for row in item.joined.get(EmbeddingRecord, ()):
            if (row.model, row.model_commit) == (self._scorer.name, self._scorer.commit):
                places = {frame: i for i, frame in enumerate(row.frames)}
                wanted = [places.get(frame.frame) for frame in self._shown(item.record)]
                if wanted and None not in wanted:
                    vectors: models.Embeddings = row.matrix()[[place for place in wanted if place is not None]]
                    return vectors
        return None

    def _loaded(self, clip: ClipRecord, stored: models.Embeddings | None) -> _Payload:
        assert self._scorer is not None
        own = self._shown(clip) if stored is None else []
        for_video = models.evenly_spread(clip.frames, self._video_scorer.num_frames) if self._video_scorer else []
        needed = {frame.frame: frame for frame in [*own, *for_video]}
        if not needed and stored is not None:
            return _Payload([], stored, [])
        images = dict(zip(needed, models.read_frames(self.worker.root, clip, list(needed.values())), strict=True))
        shown = [self._scorer.prepared(images[frame.frame]) for frame in own]
        video = self._video_scorer
        return _Payload(shown, stored, [video.prepared(images[frame.frame]) for frame in for_video] if video else [])

    def _video_scores(self, batch: Sequence[Item[ClipRecord]], captions: Sequence[Sequence[CaptionRecord]]) -> Sequence[Any]:
        if self._video_scorer is None:
            return ()
        pairs = [(item.payload.video, caption.text) for item, chosen in zip(batch, captions, strict=True) for caption in chosen]
        scores = self._video_scorer.scores([video for video, _ in pairs], [text for _, text in pairs])
        return models.one_each(self._video_scorer, list(scores), len(pairs))

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
        value = models.reduced(cosines, self.config.reduced)
        shown = self._shown(clip)
        return self._score(clip, caption, "alignment", value, shown, self.config.reduced, scorer)

    def _video_row(self, clip: ClipRecord, caption: CaptionRecord, value: float, scorer: models.VideoTextScorer) -> ScoreRecord:
        shown = models.evenly_spread(clip.frames, scorer.num_frames)
        return self._score(clip, caption, "video_alignment", float(value), shown, "together", scorer)

    def _score(
        self,
        clip: ClipRecord,
        caption: CaptionRecord,
        name: str,
        value: float,
        shown: Sequence[FrameRef],
        reduced: str,
        scorer: models.Model,
    ) -> ScoreRecord:
        return ScoreRecord(
            clip_id=clip.clip_id,
            video_id=clip.video_id,
            scorer=name,
            caption_scale=caption.scale,
            value=round(value, _DECIMALS),
            num_frames=len(shown),
            reduced=reduced,
            model=scorer.name,
            model_commit=scorer.commit,
            is_stand_in=scorer.is_stand_in,
            frames=tuple(frame.frame for frame in shown),
        )
