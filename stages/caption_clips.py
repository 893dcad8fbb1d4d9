"""Captions at three scales, as InternVid made them (arXiv:2307.06942, section 3.2): coarse from the middle frame, fine frame by frame,
fused from both by a language model.

Ours differs: Tag2Text, the paper's model for single frames, has no package that is still looked after, so a captioner takes its place.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import Field, field_validator, model_validator

from internvid_pipeline import models
from internvid_pipeline.config import Section
from internvid_pipeline.config.presets import ModelPreset, PresetField, load_preset
from internvid_pipeline.records import CaptionRecord, CaptionScale, ClipRecord, DropReason
from internvid_pipeline.stage import Drop, Emit, Item, Outcome, Resources, Stage, WorkerContext

_PROMPT = "Asked instead of the preset's prompt; an empty text asks nothing; default: the preset's."


class CoarseConfig(Section):
    """One text for the frame nearest to the middle."""

    model: PresetField = Field(
        default_factory=lambda: load_preset("blip2-opt-2.7b"),
        description="Preset of a captioner; default BLIP-2, as InternVid (section 3.2).",
    )
    prompt: str | None = Field(default=None, max_length=4000, description=_PROMPT)

    @field_validator("model")
    @classmethod
    def _captioner(cls, preset: ModelPreset) -> ModelPreset:
        return models.check_preset(preset, "caption")


class FineConfig(CoarseConfig):
    """One text per frame, near-identical ones once, joined by period and space."""

    frames_per_second: float = Field(default=1.0, gt=0, le=60, description="Frames shown per second of clip; 1 says InternVideo issue 142.")
    min_frames: int = Field(
        default=8, ge=1, le=256, description="Never fewer than this, if so many were kept; 8 as in VideoChat-Text (Ask-Anything)."
    )
    max_frames: int = Field(
        default=32, ge=1, le=1024, description="Never more than this, so that one long clip cannot hold up a worker; our choice."
    )


class FusedConfig(Section):
    """The coarse and fine texts, merged by a language model."""

    model: PresetField = Field(
        default_factory=lambda: load_preset("flan-t5-large"),
        description="Preset of a summariser; InternVid took a flan-t5-large tuned for summaries (InternVideo issue 61), ours is its base.",
    )
    prompt: str | None = Field(default=None, max_length=4000, description=_PROMPT)

    @field_validator("model")
    @classmethod
    def _summariser(cls, preset: ModelPreset) -> ModelPreset:
        return models.check_preset(preset, "summary")


class CaptionClipsConfig(Section):
    """The scales that are written; null switches one off."""

    coarse: CoarseConfig | None = Field(default_factory=CoarseConfig, description="The middle frame; null: off.")
    fine: FineConfig | None = Field(default_factory=FineConfig, description="Frame by frame; null: off.")
    fused: FusedConfig | None = Field(default_factory=FusedConfig, description="Coarse and fine merged; null: off.")
    language: str = Field(
        default="en", description="BCP-47 code of the language that the models write.", pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$"
    )

    @model_validator(mode="after")
    def _something_to_say(self) -> "CaptionClipsConfig":
        if self.coarse is None and self.fine is None:
            raise ValueError("coarse and fine are both off; give at least one (fused is made from them)")
        return self

    @property
    def presets(self) -> list[ModelPreset]:
        """The models in use, each once."""
        return list(dict.fromkeys(scale.model for scale in (self.coarse, self.fine, self.fused) if scale is not None))


@dataclass(frozen=True, slots=True)
class _Payload:
    """What `load` read: pictures by source frame number, and which of them each scale shows."""

    images: dict[int, models.RgbImage]
    coarse: tuple[int, ...]
    fine: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Question:
    """One picture for one captioner. Equal questions of two scales are asked once."""

    position: int
    frame: int
    model: ModelPreset
    prompt: str | None


class CaptionClips(Stage[CaptionClipsConfig, ClipRecord, CaptionRecord]):
    """One row per clip and scale."""

    name = "caption_clips"
    config_type = CaptionClipsConfig
    reads = ClipRecord
    writes = CaptionRecord

    @property
    def resources(self) -> Resources:
        """The models share a worker: the largest share of a GPU, the sum of main memory."""
        presets = self.config.presets
        return Resources(
            gpus=max(preset.gpus for preset in presets),
            memory_mb=1000 + sum(preset.memory_mb for preset in presets),
            batch_size=max(preset.batch_size for preset in presets if preset.task == "caption"),
        )

    def prepare_node(self) -> None:
        """Weights to the local disk."""
        for preset in self.config.presets:
            models.fetch_weights(preset)

    def setup(self, worker: WorkerContext) -> None:
        """Each model into memory once, even where two scales use it."""
        super().setup(worker)
        self._captioners = {preset: models.build_captioner(preset) for preset in self.config.presets if preset.task == "caption"}
        self._summariser = models.build_summariser(self.config.fused.model) if self.config.fused else None

    def load(self, record: ClipRecord) -> _Payload:
        """The frames to show, decoded. Raises ItemError where one is broken."""
        fine = self.config.fine
        shown = []
        if fine is not None:
            wanted = max(fine.min_frames, int(record.duration_s * fine.frames_per_second))
            shown = models.evenly_spread(record.frames, min(wanted, fine.max_frames))
        middle = sorted(record.frames, key=lambda frame: (abs(frame.frame - record.middle_frame), frame.frame))[:1]
        needed = {frame.frame: frame for frame in [*(middle if self.config.coarse else []), *shown]}
        images = models.read_frames(self.worker.root, record, list(needed.values()))
        return _Payload(
            images=dict(zip(needed, images, strict=True)),
            coarse=tuple(frame.frame for frame in middle),
            fine=tuple(frame.frame for frame in shown),
        )

    def process(self, batch: Sequence[Item[ClipRecord]]) -> list[Outcome[CaptionRecord]]:
        """All pictures of the batch in one call of each captioner, then all texts in one call of the summariser."""
        payloads: list[_Payload] = [item.payload for item in batch]
        answers = self._ask(payloads)
        rows = [self._frame_rows(i, item.record, payloads[i], answers) for i, item in enumerate(batch)]
        self._fuse([item.record for item in batch], rows)
        return [
            Emit(tuple(written))
            if written
            else Drop(DropReason.EMPTY_CAPTION, f"no model said anything of its {len(payload.images)} frames")
            for written, payload in zip(rows, payloads, strict=True)
        ]

    def teardown(self) -> None:
        """Lets go of the models."""
        self._captioners = {}
        self._summariser = None

    def _scales(self, payload: _Payload) -> Iterator[tuple[CaptionScale, CoarseConfig, tuple[int, ...]]]:
        if self.config.coarse is not None:
            yield CaptionScale.COARSE, self.config.coarse, payload.coarse
        if self.config.fine is not None:
            yield CaptionScale.FINE, self.config.fine, payload.fine

    def _ask(self, payloads: Sequence[_Payload]) -> dict[_Question, str]:
        questions = dict.fromkeys(
            _Question(i, frame, config.model, _prompt(config))
            for i, payload in enumerate(payloads)
            for _, config, frames in self._scales(payload)
            for frame in frames
        )
        answers: dict[_Question, str] = {}
        for model, prompt in dict.fromkeys((question.model, question.prompt) for question in questions):
            asked = [question for question in questions if (question.model, question.prompt) == (model, prompt)]
            captioner = self._captioners[model]
            texts = captioner.captions([payloads[question.position].images[question.frame] for question in asked], prompt)
            answers.update(zip(asked, models.one_each(captioner, texts, len(asked)), strict=True))
        return answers

    def _frame_rows(self, position: int, clip: ClipRecord, payload: _Payload, answers: dict[_Question, str]) -> list[CaptionRecord]:
        rows = []
        for scale, config, frames in self._scales(payload):
            text = models.joined_once(answers[_Question(position, frame, config.model, _prompt(config))] for frame in frames)
            if text:
                rows.append(self._row(clip, scale, text, self._captioners[config.model], _prompt(config), frames))
        return rows

    def _fuse(self, clips: Sequence[ClipRecord], rows: Sequence[list[CaptionRecord]]) -> None:
        """Adds the fused row to each clip that has a text."""
        config, summariser = self.config.fused, self._summariser
        if config is None or summariser is None:
            return
        chosen = [i for i in range(len(rows)) if rows[i]]
        inputs = [models.joined_once(sentence for row in rows[i] for sentence in row.text.split(". ")) for i in chosen]
        texts = models.one_each(summariser, summariser.summaries(inputs, _prompt(config)), len(inputs))
        for i, text in zip(chosen, texts, strict=True):
            if text:
                frames = tuple(sorted({frame for row in rows[i] for frame in row.frames}))
                rows[i].append(self._row(clips[i], CaptionScale.FUSED, text, summariser, _prompt(config), frames))

    def _row(
        self, clip: ClipRecord, scale: CaptionScale, text: str, model: models.Model, prompt: str | None, frames: tuple[int, ...]
    ) -> CaptionRecord:
        return CaptionRecord(
            clip_id=clip.clip_id,
            video_id=clip.video_id,
            scale=scale.value,
            text=text,
            language=self.config.language,
            model=model.name,
            model_commit=model.commit,
            prompt=prompt,
            frames=frames,
            is_stand_in=model.is_stand_in,
        )


def _prompt(config: CoarseConfig | FusedConfig) -> str | None:
    """The stage's own prompt, else the preset's; None for none or an empty one."""
    return (config.model.prompt if config.prompt is None else config.prompt) or None
