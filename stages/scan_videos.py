"""From a video to what one decode of it tells: scores of shot detectors, brightness, motion, damage and time of every frame, and the
frames that models will look at. Cutting comes later and reads the scores: a changed threshold never decodes a video again.

Ours differs: InternVid (arXiv:2307.06942, section 3.1) detects by PySceneDetect's ContentDetector alone; here that is `content`, and the
default is our own detector, which also finds gradual transitions. Videos of a published list are cut at its times: no detector looks at
them, and frames are kept of its spans only.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import Field

from internvid_pipeline.config import Section
from internvid_pipeline.media.container import prepare_worker
from internvid_pipeline.media.detectors import FrameScorer, scorer
from internvid_pipeline.media.frames import KeptFrame
from internvid_pipeline.media.limits import MediaLimits, work_deadline_s
from internvid_pipeline.media.listed_spans import listed_spans
from internvid_pipeline.media.picture_type import FrameFormat, frame_suffix
from internvid_pipeline.media.scan import FrameKeeping, VideoScan, scan_video
from internvid_pipeline.media.scan_file import write_scan
from internvid_pipeline.media.times import FrameTimes
from internvid_pipeline.media.video_row import check_unchanged
from internvid_pipeline.records import FrameRef, MediaRef, ScanRecord, VideoRecord
from internvid_pipeline.stage import Emit, Item, Outcome, Resources, Stage, WorkerContext
from internvid_pipeline.web.spans import edges_s

_PER_SECOND_S = 10.0  # of Full HD; H.264 takes about 0.2 on one core, slow codecs on busy machines twenty times as much


class FramesConfig(Section):
    """The frames that models look at. Each shot has its own."""

    per_second: float = Field(default=1.0, gt=0, le=60, description="Frames kept per second of a shot; 1 says InternVideo issue 142.")
    minimum: int = Field(default=8, ge=1, le=256, description="Never fewer than this, if the shot has so many; 8 as in VideoChat-Text.")
    max_side_px: int = Field(default=384, ge=64, le=4096, description="Longer side; 384 as Tag2Text, InternVid's frame model, looks at.")
    format: FrameFormat = Field(default="jpeg", description="webp takes half of the bytes and ten times the CPU time; png loses nothing.")
    jpeg_quality: int = Field(default=90, ge=30, le=95, description="libjpeg's scale, and libwebp's; 90 is our choice.")


class ScanVideosConfig(Section):
    """Which detectors look at the videos, and which frames are kept."""

    detectors: tuple[Literal["transition", "content", "adaptive", "transnetv2"], ...] = Field(
        default=("transition",),
        min_length=1,
        description="Whose scores are stored; the first one's shots place the frames. `content` at 27 is InternVid's, section 3.1.",
    )
    fast: bool = Field(
        default=False,
        description="Skips pictures that no other refers to (H.264, HEVC in mp4 and Matroska): cheaper, damage in them is not seen.",
    )
    frames: FramesConfig = Field(default_factory=FramesConfig, description="The frames that models look at.")
    limits: MediaLimits = Field(default_factory=MediaLimits, description="Files that show more are failures.")


class ScanVideos(Stage[ScanVideosConfig, VideoRecord, ScanRecord]):
    """One row per video that can be decoded."""

    name = "scan_videos"
    version = 2
    config_type = ScanVideosConfig
    reads = VideoRecord
    writes = ScanRecord

    @property
    def resources(self) -> Resources:
        """One decoder of one thread. memory_mb: room for the reference pictures of 8K; Full HD takes a tenth of it."""
        return Resources(cpus=1, memory_mb=3000 if "transnetv2" in self.config.detectors else 2000, batch_size=1, load_threads=1)

    def deadline_s(self, record: VideoRecord) -> float:
        """Scaled by length and size of the pictures."""
        return work_deadline_s(
            self.config.limits, _PER_SECOND_S, record.duration_s, record.media.size_bytes, record.width_px, record.height_px
        )

    def setup(self, worker: WorkerContext) -> None:
        super().setup(worker)
        prepare_worker()
        self._network = None
        if "transnetv2" in self.config.detectors:
            from internvid_pipeline.models.transnetv2 import TransNetV2

            self._network = TransNetV2()

    def process(self, batch: Sequence[Item[VideoRecord]]) -> list[Outcome[ScanRecord]]:
        return [self._scan(item.record) for item in batch]

    def _scan(self, video: VideoRecord) -> Outcome[ScanRecord]:
        scratch, frames = self.worker.scratch, self.config.frames
        path = self.worker.root.local_file(video.media, scratch)
        try:
            check_unchanged(video, path)
            keeping = FrameKeeping(scratch, video.video_id, frames.per_second, frames.minimum, frames.max_side_px, frames.jpeg_quality)
            keeping = replace(keeping, suffix=frame_suffix(frames.format))
            if video.clip_requests:  # a list has cut it already
                keeping = replace(keeping, spans=_listed(video), edges_s=edges_s(video.clip_requests, video.start_s))
            scorers = [] if video.clip_requests else self._scorers()
            scan = scan_video(path, scorers, self.config.limits, self.config.fast, keeping)
            scan_path = scratch / f"{video.video_id}.scan.parquet"
            write_scan(scan, scan_path)
            return Emit((_record(video, scan, scan_path),))
        finally:
            if scratch in path.parents:  # a copy of a remote file
                path.unlink(missing_ok=True)

    def _scorers(self) -> list[FrameScorer]:
        return [scorer(name, self._network if name == "transnetv2" else None) for name in self.config.detectors]


def _listed(video: VideoRecord) -> Callable[[FrameTimes], Sequence[tuple[int, int]]]:
    return lambda times: listed_spans(times, video.clip_requests, video.start_s).spans


def _record(video: VideoRecord, scan: VideoScan, scan_path: Path) -> ScanRecord:
    times = scan.times
    whole = scan.shot(0, scan.num_frames)
    return ScanRecord(
        video_id=video.video_id,
        source_uri=video.source_uri,
        scan=MediaRef.scratch(scan_path),
        detectors=scan.detectors,
        fast=scan.fast,
        num_frames=scan.num_frames,
        start_s=times.seconds(int(times.pts[0])),
        end_s=times.seconds(times.end_pts),
        time_base_num=times.time_base.numerator,
        time_base_den=times.time_base.denominator,
        interlaced=scan.interlaced,
        num_damaged=len(scan.damaged),
        broken_off=scan.broken_off,
        luma_mean=whole.luma_mean,
        motion=whole.motion,
        frames=tuple(_frame_ref(kept) for kept in scan.kept),
    )


def _frame_ref(kept: KeptFrame) -> FrameRef:
    media = MediaRef.scratch(kept.path)
    return FrameRef(frame=kept.frame, time_s=kept.time_s, width_px=kept.width_px, height_px=kept.height_px, media=media)
