"""Stages that make up videos, clips, captions and scores without decoding anything, so that tests of what comes after them are fast:
every value follows from the number in the source's file name, and the clip's bytes name the clip."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from internvid_pipeline.config import DatasetConfig, Section, config_from
from internvid_pipeline.records import CaptionRecord, ClipRecord, MediaRef, ScoreRecord, SourceRecord, VideoRecord
from internvid_pipeline.stage import Emit, Item, Outcome, Stage
from tests.made_records import made_clip, made_video

LANGUAGES = ("en", "zh", "ar", None)
LICENCES = ("CC-BY", "YouTube standard", None)


def number_of(source: SourceRecord | VideoRecord) -> int:
    uri = source.uri if isinstance(source, SourceRecord) else source.source_uri
    return int(Path(uri).stem)


def share(text: str) -> float:
    """0 to 1, from a text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


class MadeVideos(Stage[Section, SourceRecord, VideoRecord]):
    name = "made_videos"
    config_type = Section
    reads = SourceRecord
    writes = VideoRecord

    def process(self, batch: Sequence[Item[SourceRecord]]) -> list[Outcome[VideoRecord]]:
        return [Emit((self._video(item.record),)) for item in batch]

    def _video(self, source: SourceRecord) -> VideoRecord:
        number = number_of(source)
        title = f"Video <b>{number}</b> | مرحبا 視頻 🎬"
        language, licence = LANGUAGES[number % 4], LICENCES[number % 3]
        return made_video(f"youtube-{number:011d}", source_uri=source.uri, title=title, language=language, licence=licence, start_s=0.5)


class MadeClips(Stage[Section, VideoRecord, ClipRecord]):
    name = "made_clips"
    config_type = Section
    reads = VideoRecord
    writes = ClipRecord

    def process(self, batch: Sequence[Item[VideoRecord]]) -> list[Outcome[ClipRecord]]:
        return [Emit(tuple(self._clip(item.record, k) for k in range(2 + number_of(item.record) % 3))) for item in batch]

    def _clip(self, video: VideoRecord, k: int) -> ClipRecord:
        clip_id = f"{video.video_id}_{k * 4000:09d}_{k * 4000 + 3000:09d}"
        path = self.worker.scratch / f"{clip_id}.mp4"
        path.write_bytes(f"the clip {clip_id} ".encode() * 200)
        start = {"start_s": 0.5 + 4 * k, "end_s": 3.5 + 4 * k, "start_frame": 100 * k, "end_frame": 100 * k + 75}
        return made_clip(clip_id, video.video_id, 3.0, source_uri=video.source_uri, media=MediaRef.scratch(path), **start)


class MadeCaptionsConfig(Section):
    words: str = Field(default="A made caption of", description="Before the clip's id.")


class MadeCaptions(Stage[MadeCaptionsConfig, ClipRecord, CaptionRecord]):
    name = "made_captions"
    config_type = MadeCaptionsConfig
    reads = ClipRecord
    writes = CaptionRecord

    def process(self, batch: Sequence[Item[ClipRecord]]) -> list[Outcome[CaptionRecord]]:
        return [Emit(self.captions(item.record)) for item in batch]

    def captions(self, clip: ClipRecord) -> tuple[CaptionRecord, ...]:
        return tuple(made_caption(clip, scale, f"{self.config.words} {clip.clip_id}, {scale}") for scale in ("coarse", "fused"))


def made_caption(clip: ClipRecord, scale: str, text: str) -> CaptionRecord:
    """Shown: the clip's middle frame."""
    model = {"model": "made-captioner", "model_commit": "0123abc", "prompt": None, "is_stand_in": True}
    names = {"clip_id": clip.clip_id, "video_id": clip.video_id, "frames": (clip.middle_frame,)}
    return CaptionRecord(**names, **model, scale=scale, text=text, language="en")


class MadeScores(Stage[Section, ClipRecord, ScoreRecord]):
    name = "made_scores"
    config_type = Section
    reads = ClipRecord
    writes = ScoreRecord

    def process(self, batch: Sequence[Item[ClipRecord]]) -> list[Outcome[ScoreRecord]]:
        return [Emit(tuple(self._score(item.record, scorer) for scorer in ("alignment", "aesthetic"))) for item in batch]

    def _score(self, clip: ClipRecord, scorer: str) -> ScoreRecord:
        value = share(f"{scorer} {clip.clip_id}") * (10 if scorer == "aesthetic" else 1)
        row = {"clip_id": clip.clip_id, "video_id": clip.video_id, "scorer": scorer, "value": value, "model": "made-scorer"}
        return ScoreRecord(**row, caption_scale=None, num_frames=4, reduced="max", model_commit="0123abc", is_stand_in=True)


def made_config(root: Path | str, folder: Path, num_videos: int = 12, partition_videos: int = 4, **stages: dict) -> DatasetConfig:
    """A data set of `num_videos` made videos in `folder`; `stages` changes the config of stages by name."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(num_videos):
        (folder / f"{number}.mp4").write_bytes(b"x" * (number + 1))
    selections = {"default": {"rules": []}, "best": {"rules": [{"column": "alignment", "top_ratio": 0.4}]}}
    keys = {"made_videos": {}, "made_clips": {}, "made_captions": {}, "made_scores": {}}
    plan = {f"tests.made_stages:{_class_name(key)}": stages.get(key, fields) for key, fields in keys.items()}
    plan["select_clips"] = stages.get("select_clips", {"selections": selections})
    plan["write_shards"] = stages.get("write_shards", {})
    return config_from(
        {
            "name": "made",
            "root": str(root),
            "source": {"path": str(folder), "partition_videos": partition_videos},
            "stages": plan,
            "placement": {"isolate": False},
        }
    )


def _class_name(stage: str) -> str:
    return "".join(part.capitalize() for part in stage.split("_"))


__all__ = ["MadeCaptions", "MadeClips", "MadeScores", "MadeVideos", "made_config", "number_of"]
