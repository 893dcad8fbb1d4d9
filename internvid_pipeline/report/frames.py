"""The kept frames of clips, and of what was left out: of a shot that became no clip, and of a video that gave none."""

import functools
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import pyarrow as pa
import pyarrow.compute as pc

from internvid_pipeline.errors import StorageError
from internvid_pipeline.records import ClipRecord, FrameRef, MediaRef, ScanRecord, VideoRecord, from_table
from internvid_pipeline.report.reading import SetReader

R = TypeVar("R")
_SPAN = re.compile(r"(?P<video>.+)_(?P<start_ms>-?\d{1,12})_(?P<end_ms>-?\d{1,12})")


@dataclass(frozen=True)
class Pictures:
    """clip: of a written clip. video: of a source file, where it lies in the data set. start_s, end_s: the part of it that is meant, on
    the container's clock. frames: kept ones, in time order."""

    clip: MediaRef | None
    video: MediaRef | None
    start_s: float | None
    end_s: float | None
    frames: tuple[FrameRef, ...]


class PictureFinder:
    """Looks frames and media up in the tables of a partition; some partitions are kept in memory."""

    def __init__(self, reader: SetReader) -> None:
        self._reader = reader
        self.stages = [plan.name for plan in reader.plans]

    @functools.lru_cache(maxsize=96)  # noqa: B019 - a finder lives as long as its command
    def _table(self, kind: Any, partition: int) -> pa.Table:
        # Of clips also those that a later stage has filtered out.
        folders = [plan.folder for plan in self._reader.plans if plan.build().writes is kind]
        return self._reader.table_of(folders, kind, partition)

    def _row(self, kind: type[R], partition: int, column: str, value: str) -> R | None:
        """The first row with a value in a column. Only that row becomes a record: a partition has thousands of references to frames."""
        table = self._table(cast(Hashable, kind), partition)
        found = table.filter(pc.equal(table[column], value)).slice(0, 1)
        return from_table(found, kind)[0] if found.num_rows else None

    def find(self, partition: int, item_id: str, part_of: str | None = None) -> Pictures | None:
        """What there is to see of an item of drops and failures (a clip, a clip in a selection, a shot, a video, an input), or of a clip;
        None where nothing was kept."""
        for name in (item_id, item_id.rsplit("/", 1)[0]):
            clip = self._row(ClipRecord, partition, "clip_id", name)
            if clip is not None:
                return Pictures(clip.media, None, clip.start_s, clip.end_s, clip.frames)
        video_id, start_s, end_s = _span(item_id, part_of)
        video = self._row(VideoRecord, partition, "video_id", video_id) or self._row(VideoRecord, partition, "source_uri", item_id)
        scan = self._row(ScanRecord, partition, "video_id", video.video_id if video is not None else video_id)
        media = video.media if video is not None and is_inside(video.media) else None
        frames: Sequence[FrameRef] = scan.frames if scan is not None else ()
        if start_s is not None and end_s is not None:
            frames = [frame for frame in frames if start_s <= frame.time_s < end_s]
        return Pictures(None, media, start_s, end_s, tuple(frames)) if frames or media else None

    def read(self, ref: MediaRef, most_bytes: int) -> bytes:
        """The bytes of a small piece of media. Raises StorageError where it lies outside the data set or is larger."""
        if not is_inside(ref):
            raise StorageError(f"{ref.uri} lies outside the data set")
        if (ref.size_bytes or 0) > most_bytes:
            raise StorageError(f"{ref.uri} has a piece of {ref.size_bytes} bytes; up to {most_bytes} are read")
        return self._reader.root.read_media(ref)


def is_inside(ref: MediaRef) -> bool:
    """True where a reference names a piece of a file of the data set itself."""
    return not ref.uri.startswith("/") and "://" not in ref.uri


def _span(item_id: str, part_of: str | None) -> tuple[str, float | None, float | None]:
    """Video, start and end in seconds of an id such as `<video>_000001200_000003400`."""
    match = _SPAN.fullmatch(item_id.split("/", 1)[0]) if part_of is not None else None
    if match is None:
        return part_of or item_id, None, None
    return match["video"], int(match["start_ms"]) / 1000, int(match["end_ms"]) / 1000


def evenly(frames: Sequence[FrameRef], count: int) -> list[FrameRef]:
    """`count` of them, evenly over the time, or all where there are no more."""
    if len(frames) <= count:
        return list(frames)
    return [frames[(2 * place + 1) * len(frames) // (2 * count)] for place in range(count)]
