"""Models: a Protocol per task, an adapter per family, deterministic stand-ins. Importing this imports no torch.

    captioner = build_captioner(load_preset("blip2-opt-2.7b"))
    texts = captioner.captions(images)

A new family is one module here with a class that takes a ModelPreset, and one line in `_ADAPTERS`.
"""

import importlib
from collections.abc import Mapping
from typing import Any, cast

from internvid_pipeline.config.presets import ModelPreset, Task
from internvid_pipeline.errors import UsageError
from internvid_pipeline.models.base import (
    AlignmentScorer,
    Captioner,
    Embeddings,
    HeardWord,
    Model,
    Recognition,
    RgbImage,
    Sound,
    SpeechRecogniser,
    Summariser,
    TextIdentifier,
    one_each,
)
from internvid_pipeline.models.frames import evenly_spread, read_frames
from internvid_pipeline.models.texts import joined_once
from internvid_pipeline.models.weights import fetch_weights

__all__ = [
    "AlignmentScorer",
    "Captioner",
    "Embeddings",
    "HeardWord",
    "Model",
    "Recognition",
    "RgbImage",
    "Sound",
    "SpeechRecogniser",
    "Summariser",
    "TextIdentifier",
    "build_captioner",
    "build_recogniser",
    "build_scorer",
    "build_summariser",
    "check_preset",
    "evenly_spread",
    "fetch_weights",
    "joined_once",
    "one_each",
    "read_frames",
]

_ADAPTERS: Mapping[tuple[Task, str], str] = {
    ("caption", "blip2"): "blip2:Blip2Captioner",
    ("caption", "stand-in"): "stand_ins:StandInCaptioner",
    ("speech", "faster-whisper"): "whisper_ct2:FasterWhisperRecogniser",
    ("speech", "whisper"): "whisper_hf:TransformersWhisperRecogniser",
    ("speech", "stand-in"): "stand_in_speech:StandInRecogniser",
    ("summary", "seq2seq"): "seq2seq:Seq2SeqSummariser",
    ("summary", "stand-in"): "stand_ins:StandInSummariser",
    ("alignment", "open_clip"): "clip_scorer:ClipScorer",
    ("alignment", "stand-in"): "stand_ins:StandInScorer",
}


def check_preset(preset: ModelPreset, task: Task) -> ModelPreset:
    """`preset`, if there is an adapter that does `task` with it. Loads nothing. Raises UsageError."""
    if preset.task != task:
        raise UsageError(f"model {preset.name!r} is for task {preset.task!r}; here a preset for task {task!r} is wanted")
    if (task, preset.adapter) not in _ADAPTERS:
        known = ", ".join(adapter for known_task, adapter in _ADAPTERS if known_task == task)
        raise UsageError(f"model {preset.name!r}: no adapter {preset.adapter!r} for task {task!r}; known are {known}")
    return preset


def build_captioner(preset: ModelPreset) -> Captioner:
    """The captioner of a preset, its weights in memory. Raises UsageError for another task's preset, SetupError where a package or the
    weights are missing."""
    return cast(Captioner, _build(preset, "caption"))


def build_summariser(preset: ModelPreset) -> Summariser:
    """The summariser of a preset; raises as `build_captioner`."""
    return cast(Summariser, _build(preset, "summary"))


def build_scorer(preset: ModelPreset) -> AlignmentScorer:
    """The alignment scorer of a preset; raises as `build_captioner`."""
    return cast(AlignmentScorer, _build(preset, "alignment"))


def build_recogniser(preset: ModelPreset) -> SpeechRecogniser:
    """The speech recogniser of a preset; raises as `build_captioner`."""
    return cast(SpeechRecogniser, _build(preset, "speech"))


def _build(preset: ModelPreset, task: Task) -> Any:
    check_preset(preset, task)
    module, _, cls = _ADAPTERS[task, preset.adapter].partition(":")
    return getattr(importlib.import_module(f"{__name__}.{module}"), cls)(preset)
