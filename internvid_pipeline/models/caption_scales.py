"""What is asked at each scale of captions, and of which model: the config of the stage caption_clips."""

from pydantic import Field, field_validator, model_validator

from internvid_pipeline.config import Section
from internvid_pipeline.config.presets import ModelPreset, PresetField, load_preset
from internvid_pipeline.models import check_preset

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
        return check_preset(preset, "caption")


class FineConfig(CoarseConfig):
    """One text per frame, near-identical ones once, joined by period and space."""

    frames_per_second: float = Field(default=1.0, gt=0, le=60, description="Frames shown per second of clip; 1 says InternVideo issue 142.")
    min_frames: int = Field(
        default=8, ge=1, le=256, description="Never fewer than this, if so many were kept; 8 as in VideoChat-Text (Ask-Anything)."
    )
    max_frames: int = Field(
        default=32, ge=1, le=1024, description="Never more than this, so that one long clip cannot hold up a worker; our choice."
    )
    min_change: float = Field(
        default=1.0,
        ge=0,
        le=255,
        description="A frame whose brightness differs less than this from the last one shown (mean over a 16 x 16 thumbnail, 0 to 255) is "
        "not shown: it would get the same text. 0 shows all, as InternVid; our choice.",
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
        return check_preset(preset, "summary")


class VlmConfig(Section):
    """One text by a model that sees several frames at once, each with its time."""

    model: PresetField = Field(description="Preset of a video captioner, such as qwen2.5-vl-7b, or of an endpoint.")
    prompt: str | None = Field(default=None, max_length=4000, description="Asked instead of the preset's prompt; default: the preset's.")
    num_frames: int = Field(
        default=8, ge=1, le=256, description="Frames shown, evenly spread over those kept; 8 as InternVid's video models see (section 4)."
    )

    @model_validator(mode="after")
    def _asks(self) -> "VlmConfig":
        check_preset(self.model, "video_caption")
        if not prompt_of(self) and not self.model.is_stand_in:
            raise ValueError(f"model {self.model.name!r} needs a prompt; give one here or in the preset")
        return self


class CaptionClipsConfig(Section):
    """The scales that are written; null switches one off."""

    coarse: CoarseConfig | None = Field(default_factory=CoarseConfig, description="The middle frame; null: off.")
    fine: FineConfig | None = Field(default_factory=FineConfig, description="Frame by frame; null: off.")
    fused: FusedConfig | None = Field(default_factory=FusedConfig, description="Coarse and fine merged; null: off.")
    vlm: VlmConfig | None = Field(default=None, description="Several frames at once; null: off.")
    language: str = Field(
        default="en", description="BCP-47 code of the language that the models write.", pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$"
    )

    @model_validator(mode="after")
    def _something_to_say(self) -> "CaptionClipsConfig":
        if self.coarse is None and self.fine is None and self.vlm is None:
            raise ValueError("coarse, fine and vlm are all off; give at least one (fused is made from coarse and fine)")
        if self.fused is not None and self.coarse is None and self.fine is None:
            raise ValueError("fused is made from coarse and fine, which are both off; switch it off too")
        return self

    @property
    def presets(self) -> list[ModelPreset]:
        """The models in use, each once."""
        return list(dict.fromkeys(scale.model for scale in (self.coarse, self.fine, self.fused, self.vlm) if scale is not None))


def prompt_of(config: CoarseConfig | FusedConfig | VlmConfig) -> str | None:
    """The scale's own prompt, else the preset's; None for none or an empty one."""
    return (config.model.prompt if config.prompt is None else config.prompt) or None
