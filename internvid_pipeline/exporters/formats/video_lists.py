"""Lists of files for masked video pre-training: no captions."""

from collections.abc import Iterable, Iterator
from typing import Any

from internvid_pipeline.errors import UsageError
from internvid_pipeline.exporters.formats.base import TextList
from internvid_pipeline.exporters.samples import ExportSample


class _SpacedList(TextList):
    """Fields separated by spaces without quoting: a path with a space would be cut in two."""

    num_fields = 3

    def checked_path(self, sample: ExportSample) -> str:
        """The clip's path. Raises UsageError where it holds white space."""
        path = self.path_of(sample)
        if path.split() != [path]:
            raise UsageError(
                f"path {path!r} holds white space, which the readers of {self.name} cannot tell from a separator; change --media-prefix"
            )
        return path

    def check(self, row: Any) -> str | None:
        count = len(row.split(" "))
        return None if count == self.num_fields else f"has {count} fields; it should have {self.num_fields}"


class VideoMaeList(_SpacedList):
    """`path 0 -1`: a video from its first frame to its last."""

    name = "videomae-list"

    def rows(self, samples: Iterable[ExportSample]) -> Iterator[str]:
        for sample in samples:
            yield f"{self.checked_path(sample)} 0 -1"


class InternVideo2Stage1List(_SpacedList):
    """`single`: `path label`; `multi`: `source path total_time start_time end_time target`, -1 -1 -1 for a whole file. There are no
    labels: 0."""

    name = "internvideo2-stage1-list"
    forms = ("single", "multi")

    @property
    def num_fields(self) -> int:  # type: ignore[override]
        return {"single": 2, "multi": 6}[self.form]

    def rows(self, samples: Iterable[ExportSample]) -> Iterator[str]:
        for sample in samples:
            path = self.checked_path(sample)
            yield f"{path} 0" if self.form == "single" else f"internvid {path} -1 -1 -1 0"
