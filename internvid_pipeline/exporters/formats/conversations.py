"""Captions as answers to an instruction."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from internvid_pipeline.exporters.formats.base import JsonLines, JsonList, wrong_keys
from internvid_pipeline.exporters.samples import ExportSample

# Our own wording; the published sets' instructions were written by GPT-4 for each source (VideoChat2, DATA.md).
INSTRUCTIONS = (
    "Describe what happens in the video.",
    "Give a short description of this video clip.",
    "What does the video show?",
    "Summarize the visual content of the clip in one or two sentences.",
    "Write a caption for this video.",
    "Tell me what can be seen in the video.",
)


def _drawn(options: Sequence[str], key: str, seed: int) -> str:
    """One of the options, always the same for a key."""
    digest = hashlib.sha256(f"{seed}\0{key}".encode()).digest()
    return options[int.from_bytes(digest[:8], "big") % len(options)]


class LlavaJsonl(JsonLines):
    """`duration` is there because the packing trainer needs it."""

    name = "llava-jsonl"
    keys = ("id", "video", "conversations", "duration")

    def rows(self, samples: Iterable[ExportSample]) -> Iterator[dict[str, Any]]:
        for sample in samples:
            question = f"<image>\n{_drawn(INSTRUCTIONS, sample.clip.clip_id, self.options.seed)}"
            talk = [{"from": "human", "value": question}, {"from": "gpt", "value": sample.caption}]
            values = (sample.clip.clip_id, self.path_of(sample), talk, sample.clip.duration_s)
            yield dict(zip(self.keys, values, strict=True))

    def check(self, row: Any) -> str | None:
        wrong = wrong_keys(row, self.keys)
        if wrong:
            return wrong
        speakers = [turn.get("from") for turn in row["conversations"]]
        if speakers != ["human", "gpt"] or row["conversations"][0]["value"].count("<image>") != 1:
            return "is not one question with <image> and one answer"
        return None if isinstance(row["duration"], float) and row["duration"] > 0 else f"has the duration {row['duration']!r}"


class VideoChat2It(JsonList):
    """`QA` holds the instruction `i`, an empty question and the caption: its loader takes the first `i` and allows an empty `q`."""

    name = "videochat2-it"
    keys = ("video", "QA")

    def rows(self, samples: Iterable[ExportSample]) -> Iterator[dict[str, Any]]:
        for sample in samples:
            instruction = _drawn(INSTRUCTIONS, sample.clip.clip_id, self.options.seed)
            yield {"video": self.path_of(sample), "QA": [{"i": instruction, "q": "", "a": sample.caption}]}

    def check(self, row: Any) -> str | None:
        wrong = wrong_keys(row, self.keys)
        if wrong:
            return wrong
        return next((wrong for talk in row["QA"] if (wrong := wrong_keys(talk, ("i", "q", "a")))), None) or (
            None if row["QA"] else "has no QA"
        )
