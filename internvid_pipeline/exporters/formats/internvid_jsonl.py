"""The file that InternVid itself published: ids, times, captions and scores."""

from collections.abc import Iterable, Iterator
from typing import Any

from internvid_pipeline.exporters.formats.base import JsonLines, wrong_keys
from internvid_pipeline.exporters.samples import ExportSample
from internvid_pipeline.units import timestamp

_KEYS = ("YoutubeID", "Start_timestamp", "End_timestamp", "Caption", "Aesthetic_Score")


class InternVidJsonl(JsonLines):
    """Keys of OpenGVLab/InternVid on the Hub; `umt-sim` is the score column's name in its early Parquet revision. Times count from the
    video's first frame. A score that there is not is null."""

    name = "internvid-jsonl"
    forms = ("umt_score", "umt-sim")
    needs_files = False

    @property
    def keys(self) -> tuple[str, ...]:
        """The row's keys, in the published order."""
        return (*_KEYS, {"umt_score": "UMT_Score", "umt-sim": "UMT-SIM"}[self.form])

    def rows(self, samples: Iterable[ExportSample]) -> Iterator[dict[str, Any]]:
        for sample in samples:
            values = (
                sample.video.video_id.removeprefix("youtube-"),
                timestamp(sample.start_s),
                timestamp(sample.end_s),
                sample.caption,
                sample.scores.get("aesthetic"),
                sample.scores.get(self.options.score),
            )
            yield dict(zip(self.keys, values, strict=True))

    def check(self, row: Any) -> str | None:
        wrong = wrong_keys(row, self.keys)
        if wrong:
            return wrong
        if not row["YoutubeID"] or not isinstance(row["Caption"], str):
            return "lacks an id or a caption"
        return (
            None
            if row["Start_timestamp"] < row["End_timestamp"] or len(row["Start_timestamp"]) < len(row["End_timestamp"])
            else "ends before it starts"
        )
