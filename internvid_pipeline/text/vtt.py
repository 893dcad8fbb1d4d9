"""WebVTT out of utterances."""

from collections.abc import Iterable

from internvid_pipeline.records import Utterance
from internvid_pipeline.units import timestamp


def to_vtt(utterances: Iterable[Utterance], language: str = "") -> str:
    """A WebVTT file, cues in the order of time; valid and empty where nothing is said. Text is escaped, so that `<` stays a `<`."""
    lines = ["WEBVTT", *([f"Language: {language}"] if language else []), ""]
    for utterance in sorted(utterances, key=lambda one: (one.start_s, one.end_s)):
        end_s = max(utterance.end_s, utterance.start_s + 0.001)  # a cue must have a length
        text = " ".join(utterance.text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        lines += [f"{timestamp(utterance.start_s)} --> {timestamp(end_s)}", text, ""]
    return "\n".join(lines)
