"""From a video to clips: shots by PySceneDetect's ContentDetector at 27, as InternVid did (arXiv:2307.06942, section 3.1), each written
exactly, with the frames that models will look at.

Ours differs: the paper drops still and extremely dynamic clips without saying how; here motion is measured and stored, and later
stages decide.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from internvid_pipeline.config import Section
from internvid_pipeline.errors import UnreadableMedia
from internvid_pipeline.media.clip_file import EncoderSettings
from internvid_pipeline.media.clips import ClipSettings, ClipSpan, WrittenClip, write_clips
from internvid_pipeline.media.container import prepare_worker
from internvid_pipeline.media.detectors import ContentDetector
from internvid_pipeline.media.frames import KeptFrame, choose_frames
from internvid_pipeline.media.limits import MediaLimits
from internvid_pipeline.media.scan import Shot, VideoScan, scan_video
from internvid_pipeline.records import ClipRecord, DropReason, FrameRef, MediaRef, VideoRecord
from internvid_pipeline.stage import Drop, Emit, Item, Outcome, PartDrop, Resources, Stage, WorkerContext

_START_S, _PER_SECOND, _FULL_HD_PX = 120.0, 30.0, 1920 * 1080
_BYTES_PER_SECOND = 50_000  # 0.4 Mbit/s: where the container does not state its length, its size bounds it


class FramesConfig(Section):
    """The frames of a clip that models look at, kept as JPEG."""

    per_second: float = Field(default=1.0, gt=0, le=60, description="Frames kept per second of clip; 1 says InternVideo issue 142.")
    minimum: int = Field(default=8, ge=1, le=256, description="Never fewer than this, if the clip has so many; 8 as in VideoChat-Text.")
    max_side_px: int = Field(default=384, ge=64, le=4096, description="Longer side; 384 as Tag2Text, InternVid's frame model, looks at.")
    jpeg_quality: int = Field(default=90, ge=30, le=95, description="Pillow's scale; 90 is our choice.")


class CutClipsConfig(Section):
    """How a video is cut, which shots are left out, and how clips are encoded."""

    threshold: float = Field(default=27.0, gt=0, le=255, description="Of ContentDetector, 0 to 255; 27 as InternVid, section 3.1.")
    min_scene_frames: int = Field(
        default=15, ge=1, le=100_000, description="Cuts closer than this are merged; 15 is PySceneDetect's default."
    )
    min_clip_s: float = Field(
        default=0.0, ge=0, description="Shorter shots are dropped; default: none (InternVid-10M-FLT: below 1 s, InternVideo issue 91)."
    )
    max_clip_s: float | None = Field(
        default=None, gt=0, description="Longer shots are dropped; default: none (InternVid-10M-FLT: above 120 s, InternVideo issue 91)."
    )
    black_max_luma: float = Field(
        default=12.0,
        ge=0,
        le=255,
        description="A shot in which no frame's mean brightness is above this is black; 12 as PySceneDetect's ThresholdDetector.",
    )
    max_damaged_frames: int = Field(default=0, ge=0, description="A shot with more damaged frames than this is dropped.")
    crf: int = Field(default=18, ge=0, le=51, description="Quality of H.264, lower is better; 18 is near lossless to the eye.")
    preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"] = Field(
        default="veryfast", description="x264's trade of CPU time against size; veryfast as PySceneDetect's split-video."
    )
    max_side_px: int | None = Field(
        default=None, ge=64, le=16384, description="Longer side of the clips, never enlarged; default: as the source."
    )
    audio_kbps: int = Field(default=64, ge=16, le=256, description="Kilobits per second of AAC for each of at most two channels.")
    frames: FramesConfig = Field(default_factory=FramesConfig, description="The frames that models look at.")
    limits: MediaLimits = Field(default_factory=MediaLimits, description="Files that show more are failures.")

    @property
    def clip_settings(self) -> ClipSettings:
        """The part that `media.clips` needs."""
        encoder = EncoderSettings(crf=self.crf, preset=self.preset, audio_bit_rate=self.audio_kbps * 1000)
        return ClipSettings(encoder, self.max_side_px, self.frames.max_side_px, self.frames.jpeg_quality)


class CutClips(Stage[CutClipsConfig, VideoRecord, ClipRecord]):
    """One row per shot that is kept."""

    name = "cut_clips"
    config_type = CutClipsConfig
    reads = VideoRecord
    writes = ClipRecord

    @property
    def resources(self) -> Resources:
        """One decoder and one encoder, each of one thread."""
        return Resources(cpus=1, memory_mb=2000, batch_size=1, load_threads=1)

    def deadline_s(self, record: VideoRecord) -> float:
        """Generous: 30 s of work for each second of Full HD, of which decoding and encoding take about 3 on one core."""
        duration_s = record.duration_s or (record.media.size_bytes or 0) / _BYTES_PER_SECOND
        return _START_S + _PER_SECOND * duration_s * max(1.0, record.width_px * record.height_px / _FULL_HD_PX)

    def setup(self, worker: WorkerContext) -> None:
        super().setup(worker)
        prepare_worker()
        self._worker = worker

    def process(self, batch: Sequence[Item[VideoRecord]]) -> list[Outcome[ClipRecord]]:
        return [self._cut(item.record) for item in batch]

    def _cut(self, video: VideoRecord) -> Outcome[ClipRecord]:
        path = self._worker.root.local_file(video.media, self._worker.scratch)
        try:
            _check_unchanged(video, path)
            detector = ContentDetector(self.config.threshold, self.config.min_scene_frames)
            scan = scan_video(path, detector, self.config.limits)
            shots = {_clip_id(video, scan, shot): shot for shot in scan.shots()}
            parts = [part for clip_id, shot in shots.items() if (part := self._judge(clip_id, shot, scan)) is not None]
            dropped = {part.item_id for part in parts}
            kept = {clip_id: shot for clip_id, shot in shots.items() if clip_id not in dropped}
            if not kept:
                return _drop_all(parts)
            return Emit(self._write(video, path, scan, kept), tuple(parts))
        finally:
            if self._worker.scratch in path.parents:  # a copy of a remote file
                path.unlink(missing_ok=True)

    def _judge(self, clip_id: str, shot: Shot, scan: VideoScan) -> PartDrop | None:
        """Why a shot is left out, None where it is kept."""
        config, duration_s = self.config, _end_s(scan, shot) - _start_s(scan, shot)
        if shot.num_damaged > config.max_damaged_frames:
            return PartDrop(clip_id, DropReason.DAMAGED, _damage(shot, scan, config.max_damaged_frames))
        if shot.luma_max <= config.black_max_luma:
            level, limit = f"{shot.luma_max:.1f}", f"{config.black_max_luma:g}"
            return PartDrop(clip_id, DropReason.BLACK, f"its brightest frame has {level} of 255, black is up to {limit} (black_max_luma)")
        if duration_s < config.min_clip_s:
            return PartDrop(clip_id, DropReason.TOO_SHORT, f"lasts {duration_s:.3f} s, less than {config.min_clip_s:g} (min_clip_s)")
        if config.max_clip_s is not None and duration_s > config.max_clip_s:
            return PartDrop(clip_id, DropReason.TOO_LONG, f"lasts {duration_s:.3f} s, more than {config.max_clip_s:g} (max_clip_s)")
        return None

    def _write(self, video: VideoRecord, path: Path, scan: VideoScan, shots: dict[str, Shot]) -> tuple[ClipRecord, ...]:
        frames, scratch = self.config.frames, self._worker.scratch
        spans = []
        for clip_id, shot in shots.items():
            choice = choose_frames(scan.times, shot.start_frame, shot.end_frame, frames.per_second, frames.minimum)
            spans.append(ClipSpan(shot.start_frame, shot.end_frame, clip_id, choice))
        try:
            written = write_clips(path, scan, spans, scratch, self.config.clip_settings, self.config.limits)
            return tuple(_clip_record(video, scan, shots[clip.span.stem], clip) for clip in written)
        except BaseException:
            for leftover in scratch.glob(f"{video.video_id}_*"):  # of a video that fails, nothing is stored
                if leftover.is_file():
                    leftover.unlink(missing_ok=True)
            raise


def _check_unchanged(video: VideoRecord, path: Path) -> None:
    """Ids are made of content: clips of another content must not get them. Raises UnreadableMedia; a missing file is met later on."""
    size_bytes = path.stat().st_size if path.is_file() else None
    if None not in (size_bytes, video.media.size_bytes) and size_bytes != video.media.size_bytes:
        raise UnreadableMedia(f"has changed since it was imported: {video.media.size_bytes} bytes then, {size_bytes} now; import it again")


def _start_s(scan: VideoScan, shot: Shot) -> float:
    return scan.times.seconds(int(scan.times.pts[shot.start_frame]))


def _end_s(scan: VideoScan, shot: Shot) -> float:
    return scan.times.seconds(scan.times.end_of(shot.end_frame - 1))


def _damage(shot: Shot, scan: VideoScan, allowed: int) -> str:
    message = f"{shot.num_damaged} of {shot.end_frame - shot.start_frame} frames are damaged, allowed are {allowed} (max_damaged_frames)"
    at_the_end = scan.broken_off and shot.end_frame == scan.times.num_frames
    return f"{message}; the file is {scan.broken_off}" if at_the_end else message


def _clip_id(video: VideoRecord, scan: VideoScan, shot: Shot) -> str:
    """Nine digits, so that ids of one video sort by time up to 277 hours."""
    return f"{video.video_id}_{round(_start_s(scan, shot) * 1000):09d}_{round(_end_s(scan, shot) * 1000):09d}"


def _drop_all(parts: list[PartDrop]) -> Drop:
    reasons = {part.reason for part in parts}
    if len(parts) == 1:
        return Drop(parts[0].reason, parts[0].message, tuple(parts))
    reason = reasons.pop() if len(reasons) == 1 else DropReason.NO_CLIPS
    return Drop(reason, f"all {len(parts)} shots were dropped, the first because: {parts[0].message}", tuple(parts))


def _frame_ref(kept: KeptFrame) -> FrameRef:
    media = MediaRef.scratch(kept.path)
    return FrameRef(frame=kept.frame, time_s=kept.time_s, width_px=kept.width_px, height_px=kept.height_px, media=media)


def _clip_record(video: VideoRecord, scan: VideoScan, shot: Shot, clip: WrittenClip) -> ClipRecord:
    times = scan.times
    start_s, end_s = _start_s(scan, shot), _end_s(scan, shot)
    num_frames = shot.end_frame - shot.start_frame
    return ClipRecord(
        clip_id=clip.span.stem,
        video_id=video.video_id,
        source_uri=video.source_uri,
        start_frame=shot.start_frame,
        end_frame=shot.end_frame,
        num_frames=num_frames,
        start_s=start_s,
        end_s=end_s,
        duration_s=end_s - start_s,
        start_pts=int(times.pts[shot.start_frame]),
        end_pts=times.end_of(shot.end_frame - 1),
        time_base_num=times.time_base.numerator,
        time_base_den=times.time_base.denominator,
        fps=num_frames / (end_s - start_s),
        width_px=clip.width_px,
        height_px=clip.height_px,
        has_audio=clip.has_audio,
        cut_mode="reencode",
        motion=shot.motion,
        luma_mean=shot.luma_mean,
        middle_frame=clip.span.kept.middle,
        frames=tuple(_frame_ref(kept) for kept in clip.frames),
        media=MediaRef.scratch(clip.path),
    )
