"""InternVid-ICL: the clips of a video with their captions, in the order of time, as one interleaved document."""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import groupby, pairwise
from typing import Any

from internvid_pipeline.exporters.formats.base import JsonLines, wrong_keys
from internvid_pipeline.exporters.samples import ExportSample

_DROPPED_RATIO = 0.3  # InternVid, appendix D: videos are dropped at random, captions stay


class InternVidIcl(JsonLines):
    """Form `a`: clips and captions; `b`: and what is said, after each caption; `c`: two videos of form a, one after the other (InternVid,
    section 3.4 and table 9). `video` is "" where it was dropped (p = 0.3, by seed). The set was never released: the keys are those of a
    later loader, which skips items of fewer than four clips."""

    name = "internvid-icl"
    forms = ("a", "b", "c")
    keys = ("long_video_id", "interleaved_list")
    item_keys = ("video", "caption", "video_start_frame")

    def rows(self, samples: Iterable[ExportSample]) -> Iterator[dict[str, Any]]:
        # The clips table holds a video's clips side by side, in the order of time.
        items = (self._item(video_id, list(clips)) for video_id, clips in groupby(samples, key=lambda sample: sample.video.video_id))
        yield from self._joined(items) if self.form == "c" else items

    def _item(self, video_id: str, clips: list[ExportSample]) -> dict[str, Any]:
        clips.sort(key=lambda sample: sample.clip.start_frame)
        return {"long_video_id": video_id, "interleaved_list": [self._entry(sample) for sample in clips]}

    def _entry(self, sample: ExportSample) -> dict[str, Any]:
        digest = hashlib.sha256(f"{self.options.seed}\0{sample.clip.clip_id}".encode()).digest()
        is_dropped = int.from_bytes(digest[:8], "big") / 2**64 < _DROPPED_RATIO
        video = "" if is_dropped else self.path_of(sample)
        entry: dict[str, Any] = dict(zip(self.item_keys, (video, sample.caption, sample.clip.start_frame), strict=True))
        if self.form == "b":
            entry["asr"] = sample.captions.get("speech", "")
        return entry

    def _joined(self, items: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Pairs of neighbours in the list, each video once; a last one without a neighbour stays alone."""
        for first in items:
            second = next(items, None)
            if second is None:
                yield first
                return
            both = f"{first['long_video_id']}+{second['long_video_id']}"
            yield {"long_video_id": both, "interleaved_list": [*first["interleaved_list"], *second["interleaved_list"]]}

    def check(self, row: Any) -> str | None:
        wrong = wrong_keys(row, self.keys)
        if wrong:
            return wrong
        keys = (*self.item_keys, "asr") if self.form == "b" else self.item_keys
        entries = row["interleaved_list"]
        wrong = next((wrong for entry in entries if (wrong := wrong_keys(entry, keys))), None)
        if wrong or not entries:
            return wrong or "has no clips"
        if self.form != "c" and any(one["video_start_frame"] >= other["video_start_frame"] for one, other in pairwise(entries)):
            return "is not in the order of time"
        return None
