"""Models: a Protocol per task, an adapter per family, deterministic stand-ins. Importing this imports no torch.

    captioner = build_captioner(load_preset("blip2-opt-2.7b"))
    texts = [answer.text for answer in captioner.captions(images)]

A new family is one module here with a class that takes a ModelPreset, and one line in `_ADAPTERS`.
"""

import importlib
from collections.abc import Mapping
from typing import Any, cast

from internvid_pipeline.config.presets import ModelPreset, Task
from internvid_pipeline.errors import UsageError
from internvid_pipeline.models.answers import fault_of
from internvid_pipeline.models.base import (
    AlignmentScorer,
    Answer,
    Captioner,
    EmbeddingRater,
    Embeddings,
    HeardWord,
    ImageClassifier,
    Model,
    Recognition,
    RgbImage,
    Sound,
    SpeechRecogniser,
    Summariser,
    TextBox,
    TextIdentifier,
    TextReader,
    VideoCaptioner,
    VideoFrames,
    VideoTextScorer,
    one_each,
)
from internvid_pipeline.models.frame_batches import LOAD_THREADS, clips_at_once, frame_numbers, load_frames, reduced
from internvid_pipeline.models.frames import changed_frames, evenly_spread, read_frames, read_jpegs
from internvid_pipeline.models.text_reader import covered_ratio
from internvid_pipeline.models.texts import joined_once
from internvid_pipeline.models.weights import fetch_weights

__all__ = [
    "LOAD_THREADS",
    "AlignmentScorer",
    "Answer",
    "Captioner",
    "EmbeddingRater",
    "Embeddings",
    "HeardWord",
    "ImageClassifier",
    "Model",
    "Recognition",
    "RgbImage",
    "Sound",
    "SpeechRecogniser",
    "Summariser",
    "TextBox",
    "TextIdentifier",
    "TextReader",
    "VideoCaptioner",
    "VideoFrames",
    "VideoTextScorer",
    "build_captioner",
    "build_classifier",
    "build_rater",
    "build_reader",
    "build_recogniser",
    "build_scorer",
    "build_summariser",
    "build_video_captioner",
    "build_video_scorer",
    "changed_frames",
    "check_preset",
    "clips_at_once",
    "covered_ratio",
    "evenly_spread",
    "fault_of",
    "fetch_weights",
    "frame_numbers",
    "joined_once",
    "load_frames",
    "one_each",
    "read_frames",
    "read_jpegs",
    "reduced",
]

_ADAPTERS: Mapping[tuple[Task, str], str] = {
    ("caption", "blip2"): "blip2:Blip2Captioner",
    ("caption", "stand-in"): "stand_ins:StandInCaptioner",
    ("speech", "faster-whisper"): "whisper_ct2:FasterWhisperRecogniser",
    ("speech", "whisper"): "whisper_hf:TransformersWhisperRecogniser",
    ("speech", "stand-in"): "stand_in_speech:StandInRecogniser",
    ("summary", "seq2seq"): "seq2seq:Seq2SeqSummariser",
    ("summary", "instruct"): "instruct:InstructSummariser",
    ("summary", "openai"): "endpoint_text:EndpointSummariser",
    ("summary", "stand-in"): "stand_ins:StandInSummariser",
    ("video_caption", "transformers"): "transformers_video:TransformersVideoCaptioner",
    ("video_caption", "vllm"): "vllm_video:VllmVideoCaptioner",
    ("video_caption", "openai"): "endpoint_video:EndpointVideoCaptioner",
    ("video_caption", "stand-in"): "stand_ins:StandInVideoCaptioner",
    ("alignment", "open_clip"): "clip_scorer:ClipScorer",
    ("alignment", "stand-in"): "stand_ins:StandInScorer",
    ("video_alignment", "xclip"): "xclip:XClipScorer",
    ("video_alignment", "viclip"): "viclip:ViClipScorer",
    ("video_alignment", "stand-in"): "stand_ins:StandInVideoScorer",
    ("aesthetic", "linear_head"): "linear_head:LinearHead",
    ("aesthetic", "stand-in"): "stand_ins:StandInRater",
    ("safety", "image_classifier"): "image_classifier:TransformersClassifier",
    ("safety", "stand-in"): "stand_ins:StandInClassifier",
    ("watermark", "image_classifier"): "image_classifier:TransformersClassifier",
    ("text_overlay", "rapidocr"): "text_reader:RapidOcrReader",
    ("text_overlay", "stand-in"): "stand_ins:StandInReader",
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


def build_video_captioner(preset: ModelPreset) -> VideoCaptioner:
    """The video captioner of a preset; raises as `build_captioner`."""
    return cast(VideoCaptioner, _build(preset, "video_caption"))


def build_scorer(preset: ModelPreset) -> AlignmentScorer:
    """The alignment scorer of a preset; raises as `build_captioner`."""
    return cast(AlignmentScorer, _build(preset, "alignment"))


def build_recogniser(preset: ModelPreset) -> SpeechRecogniser:
    """The speech recogniser of a preset; raises as `build_captioner`."""
    return cast(SpeechRecogniser, _build(preset, "speech"))


def build_video_scorer(preset: ModelPreset) -> VideoTextScorer:
    """The video-text scorer of a preset; raises as `build_captioner`."""
    return cast(VideoTextScorer, _build(preset, "video_alignment"))


def build_rater(preset: ModelPreset) -> EmbeddingRater:
    """The aesthetic rater of a preset; raises as `build_captioner`."""
    return cast(EmbeddingRater, _build(preset, "aesthetic"))


def build_classifier(preset: ModelPreset) -> ImageClassifier:
    """The classifier of a preset, of what is unsafe or of watermarks; raises as `build_captioner`."""
    return cast(ImageClassifier, _build(preset, "watermark" if preset.task == "watermark" else "safety"))


def build_reader(preset: ModelPreset) -> TextReader:
    """The reader of written words of a preset; raises as `build_captioner`."""
    return cast(TextReader, _build(preset, "text_overlay"))


def _build(preset: ModelPreset, task: Task) -> Any:
    check_preset(preset, task)
    module, _, cls = _ADAPTERS[task, preset.adapter].partition(":")
    return getattr(importlib.import_module(f"{__name__}.{module}"), cls)(preset)
