"""Lists of clip and caption for contrastive and generative pre-training."""

from collections.abc import Iterable, Iterator
from typing import Any

from internvid_pipeline.exporters.formats.base import JsonList, num_words, wrong_keys
from internvid_pipeline.exporters.samples import ExportSample

_MIN_WORDS = 2


class PretrainingJson(JsonList):
    """`{"video", "caption"}`. These loaders know no start and end: clips must lie there as files (`--media`). They drop captions of
    fewer than two words after their own cleaning; such rows are left out here, where it can be seen."""

    name = "viclip-json"
    keys = ("video", "caption")

    def rows(self, samples: Iterable[ExportSample]) -> Iterator[dict[str, Any]]:
        for sample in samples:
            if num_words(sample.caption) >= _MIN_WORDS:
                yield {"video": self.path_of(sample), "caption": sample.caption}
            else:
                self.num_left_out += 1

    def check(self, row: Any) -> str | None:
        wrong = wrong_keys(row, self.keys)
        if wrong:
            return wrong
        return None if num_words(row["caption"]) >= _MIN_WORDS else f"caption {row['caption']!r} has fewer than {_MIN_WORDS} words"


class InternVideo2Avs(JsonList):
    """Ten keys; every one that is called a caption must be a string in every row, and all but the speech need two words: clips that
    lack one of the captions are left out. A clip is a file of its own here, so that its frames run from 0."""

    name = "internvideo2-avs"
    keys = (
        *("video", "video_name", "video_fps", "video_start_frame", "video_end_frame"),
        *("selected_video_caption", "selected_audio_caption", "asr_captions", "av_captions", "avs_captions"),
    )

    def rows(self, samples: Iterable[ExportSample]) -> Iterator[dict[str, Any]]:
        for sample in samples:
            captions = sample.captions
            visual = captions.get("fused") or captions.get("vlm") or captions.get("fine") or captions.get("coarse") or ""
            texts = (visual, captions.get("audio", ""), captions.get("speech", ""), captions.get("av", ""), captions.get("avs", ""))
            row = dict(
                zip(self.keys, (self.path_of(sample), sample.clip.clip_id, sample.clip.fps, 0, sample.clip.num_frames, *texts), strict=True)
            )
            if self.check(row) is None:
                yield row
            else:
                self.num_left_out += 1

    def check(self, row: Any) -> str | None:
        wrong = wrong_keys(row, self.keys)
        if wrong:
            return wrong
        if not row["video"].endswith(".mp4"):
            return f"video {row['video']!r} does not end in .mp4"
        for key in self.keys[5:]:
            if not isinstance(row[key], str):
                return f"{key} is a {type(row[key]).__name__}; it must be a string"
            if key != "asr_captions" and num_words(row[key]) < _MIN_WORDS:
                return f"{key} {row[key]!r} has fewer than {_MIN_WORDS} words"
        return None
