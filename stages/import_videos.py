"""From an input to a video: what the file is, and an id made from its bytes."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from internvid_pipeline.config import Section
from internvid_pipeline.errors import ItemError, UnreadableMedia, is_machine_fault
from internvid_pipeline.media.container import prepare_worker
from internvid_pipeline.media.limits import MediaLimits
from internvid_pipeline.media.probe import MediaInfo, VideoInfo, probe
from internvid_pipeline.records import DropReason, MediaRef, SourceRecord, VideoRecord
from internvid_pipeline.stage import Drop, Emit, Item, Outcome, Resources, Stage, WorkerContext

_COLUMNS = ("title", "description", "language", "licence")
_OTHER_SPELLING = {"license": "licence"}
_ID_DIGITS = 20  # 80 bits: two of a billion files share an id with a chance below one in a million
_START_S, _BYTES_PER_S = 120.0, 2_000_000  # a slow network disk


class ImportVideosConfig(Section):
    """What a file may claim about itself."""

    limits: MediaLimits = Field(default_factory=MediaLimits, description="Files that claim more are failures.")


class ImportVideos(Stage[ImportVideosConfig, SourceRecord, VideoRecord]):
    """One row per input that is a video. Duplicates and files without a picture are dropped; broken files fail."""

    name = "import_videos"
    config_type = ImportVideosConfig
    reads = SourceRecord
    writes = VideoRecord

    @property
    def resources(self) -> Resources:
        """Reading the bytes is most of the work."""
        return Resources(cpus=0.5, memory_mb=1000, batch_size=1, load_threads=1)

    def deadline_s(self, record: SourceRecord) -> float:
        """Scaled with the file's size."""
        return _START_S + (record.size_bytes or 0) / _BYTES_PER_S

    def setup(self, worker: WorkerContext) -> None:
        super().setup(worker)
        prepare_worker()
        self._worker = worker

    def process(self, batch: Sequence[Item[SourceRecord]]) -> list[Outcome[VideoRecord]]:
        return [self._import(item.record) for item in batch]

    def _import(self, source: SourceRecord) -> Outcome[VideoRecord]:
        if source.duplicate_of is not None:
            return Drop(DropReason.DUPLICATE, f"same bytes as {source.duplicate_of}")
        path = self._worker.root.local_file(MediaRef(uri=source.uri), self._worker.scratch)
        try:
            media = probe(path, self.config.limits)
            if media.video is None:
                return Drop(DropReason.NO_VIDEO, _without_picture(media))
            return Emit((_video_record(source, media, media.video, path),))
        finally:
            if self._worker.scratch in path.parents:  # a copy of a remote file; the next stage brings its own
                path.unlink(missing_ok=True)


def _without_picture(media: MediaInfo) -> str:
    return f"has no video stream, only {media.audio_codec} sound" if media.audio_codec else "has no video stream"


def _video_record(source: SourceRecord, media: MediaInfo, video: VideoInfo, path: Path) -> VideoRecord:
    sha256, size_bytes = _hash(path)
    columns, rest = _metadata(source.metadata_json)
    return VideoRecord(
        video_id=f"file-{sha256[:_ID_DIGITS]}",
        source_uri=source.uri,
        media=MediaRef(uri=source.uri, size_bytes=size_bytes, sha256=sha256),
        **columns,
        container=media.container,
        duration_s=video.duration_s,
        start_s=video.start_s,
        width_px=video.width_px,
        height_px=video.height_px,
        fps=video.fps,
        num_frames=video.num_frames,
        video_codec=video.codec,
        pixel_format=video.pixel_format,
        audio_codec=media.audio_codec,
        num_audio_streams=media.num_audio_streams,
        rotation_deg=video.orientation.rotation_deg,
        sample_aspect_ratio=float(video.sample_aspect_ratio),
        metadata_json=rest,
    )


def _hash(path: Path) -> tuple[str, int]:
    """SHA-256, hexadecimal, and the number of bytes. Raises UnreadableMedia; OSError where the machine is at fault."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return digest, file.tell()
    except OSError as error:
        if is_machine_fault(error):
            raise
        raise UnreadableMedia(f"cannot be read to its end: {error.strerror or error}") from error


def _metadata(metadata_json: str) -> tuple[dict[str, str | None], str]:
    """Columns of the list file that have a place of their own, and the others as JSON. Strangers' text: only ever stored."""
    try:
        values: Any = json.loads(metadata_json)
    except ValueError as error:
        raise ItemError(f"metadata_json is not JSON ({error}): {metadata_json[:80]!r}; it should be an object") from error
    if not isinstance(values, dict):
        raise ItemError(f"metadata_json is {metadata_json[:80]!r}; it should be a JSON object")
    columns: dict[str, str | None] = dict.fromkeys(_COLUMNS)
    rest = {}
    for key, value in values.items():
        column = _OTHER_SPELLING.get(key, key)
        if column in columns and columns[column] is None:
            columns[column] = None if value is None or not str(value).strip() else str(value)
        else:
            rest[key] = value
    return columns, json.dumps(rest, ensure_ascii=False, sort_keys=True)
