"""From an input to a video: what the file is, and an id made from its bytes."""

from collections.abc import Sequence

from pydantic import Field

from internvid_pipeline.config import Section
from internvid_pipeline.media.container import prepare_worker
from internvid_pipeline.media.limits import MediaLimits
from internvid_pipeline.media.probe import probe
from internvid_pipeline.media.video_row import video_record, without_picture
from internvid_pipeline.records import DropReason, MediaRef, SourceRecord, VideoRecord
from internvid_pipeline.stage import Drop, Emit, Item, Outcome, Resources, Stage, WorkerContext

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
                return Drop(DropReason.NO_VIDEO, without_picture(media))
            return Emit((video_record(source, media, media.video, path),))
        finally:
            if self._worker.scratch in path.parents:  # a copy of a remote file; the next stage brings its own
                path.unlink(missing_ok=True)
