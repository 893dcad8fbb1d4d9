"""From a scanned video to clips: each shot that is kept is cut out exactly, by copying packets where that is exact.

InternVid cut at the boundaries of PySceneDetect at 27 (arXiv:2307.06942, section 3.1): `detector: content` here. Ours differs: the default
detector also finds gradual transitions; and the paper drops still and extremely dynamic clips without saying how: here motion is measured
and stored, and later stages decide, unless `min_motion` is set. Of videos in a published list the clips are its spans, whatever they
show; only damage leaves one out.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from internvid_pipeline.config import Section
from internvid_pipeline.media.clip_choice import ChoiceRules, ClipChoice
from internvid_pipeline.media.clip_plan import ClipPlanner, ClipSettings, ClipSpan
from internvid_pipeline.media.clips import WrittenClip, write_clips
from internvid_pipeline.media.container import prepare_worker
from internvid_pipeline.media.frames import FrameChoice, choose_frames
from internvid_pipeline.media.limits import MediaLimits, work_deadline_s
from internvid_pipeline.media.listed_spans import apart
from internvid_pipeline.media.picture_type import FrameFormat, frame_suffix
from internvid_pipeline.media.scan_file import read_scan
from internvid_pipeline.media.video_encoders import ClipCodec, EncoderSettings
from internvid_pipeline.media.video_row import check_unchanged
from internvid_pipeline.media.video_scan import Shot, VideoScan
from internvid_pipeline.records import ClipRecord, DropReason, FrameRef, MediaRef, ScanRecord, VideoRecord
from internvid_pipeline.stage import Drop, Emit, Item, Outcome, PartDrop, Resources, Stage, WorkerContext

_PER_SECOND_S = 20.0  # for a second of Full HD; encoding all of it takes about 2 on one core
_AacRate = Literal[8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000]


class ClipFramesConfig(Section):
    """Frames that are decoded for a clip in which the scan kept too few, as after a change of the threshold."""

    minimum: int = Field(default=8, ge=1, le=256, description="Fewer than this, and frames are added; 8 as in VideoChat-Text.")
    per_second: float = Field(default=1.0, gt=0, le=60, description="Then as many per second of clip; 1 says InternVideo issue 142.")
    max_side_px: int = Field(default=384, ge=64, le=4096, description="Longer side; 384 as Tag2Text, InternVid's frame model, looks at.")
    format: FrameFormat = Field(default="jpeg", description="As that of scan_videos.")
    jpeg_quality: int = Field(default=90, ge=30, le=95, description="libjpeg's scale, and libwebp's; 90 is our choice.")


class CutClipsConfig(Section):
    """Where a video is cut, which shots are left out, and how clips are written."""

    detector: Literal["transition", "content", "adaptive", "transnetv2"] = Field(
        default="transition", description="Whose boundaries; scan_videos must have run it. `content` is InternVid's."
    )
    threshold: float | None = Field(
        default=None, gt=0, description="Of the detector; default: its own (content: 27 as InternVid, section 3.1)."
    )
    min_scene_frames: int | None = Field(
        default=None, ge=0, le=100_000, description="Boundaries closer than this are merged; default: the detector's own."
    )
    min_clip_s: float = Field(
        default=0.0, ge=0, description="Shorter shots are dropped; default: none (InternVid-10M-FLT: below 1 s, InternVideo issue 91)."
    )
    max_clip_s: float | None = Field(
        default=None, gt=0, description="Longer shots: see long_shots; default: none (InternVid-10M-FLT: 120, issue 91; InternVid2: 30)."
    )
    long_shots: Literal["drop", "keep", "split", "random_segment"] = Field(
        default="drop", description="What becomes of shots longer than max_clip_s; random_segment, of that length, as InternVid2."
    )
    black_max_luma: float = Field(
        default=12.0,
        ge=0,
        le=255,
        description="A shot in which no frame's mean brightness is above this is black; 12 as PySceneDetect's ThresholdDetector.",
    )
    min_motion: float = Field(
        default=0.0,
        ge=0,
        le=255,
        description="A shot with less motion is dropped as still; default: none. Above 0 leaves out frozen shots.",
    )
    max_damaged_frames: int = Field(default=0, ge=0, description="A shot with more damaged frames than this is dropped.")
    mode: Literal["auto", "reencode", "copy"] = Field(
        default="auto",
        description="auto: packets are copied where that is exact, frames at the edges (or all) encoded where not; copy: never encodes, "
        "clips may begin later and end earlier than their shots.",
    )
    codec: ClipCodec | None = Field(
        default=None, description="Of all clips: sources of another one are encoded. Default: what can be copied is, the rest becomes h264."
    )
    crf: int | None = Field(
        default=None, ge=0, le=51, description="Quality of what is encoded, lower is better; default: 23 (h264), 28 (hevc), 35 (av1)."
    )
    preset: Literal["quick", "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"] = Field(
        default="quick", description="CPU time against size, in x264's words; quick: see benchmarks/README.md, what clips cost."
    )
    max_side_px: int | None = Field(
        default=None, ge=64, le=16384, description="Longer side of the clips, never enlarged; default: as the source."
    )
    fps: float | None = Field(default=None, gt=0, le=240, description="Frames per second of the clips; default: as the source.")
    audio_kbps: int = Field(default=64, ge=16, le=256, description="Kilobits per second of AAC for each of at most two channels.")
    audio_rate_hz: _AacRate | None = Field(default=None, description="Sample rate of the sound; default: as the source, at most 48000.")
    frames: ClipFramesConfig = Field(default_factory=ClipFramesConfig, description="Frames for clips that have too few.")
    limits: MediaLimits = Field(default_factory=MediaLimits, description="Files that show more are failures.")

    @property
    def rules(self) -> ChoiceRules:
        """The part that `media.clip_choice` needs."""
        cut = (self.detector, self.threshold, self.min_scene_frames, self.min_clip_s, self.max_clip_s, self.long_shots)
        return ChoiceRules(*cut, self.black_max_luma, self.min_motion, self.max_damaged_frames)

    @property
    def clip_settings(self) -> ClipSettings:
        """The part that `media.clip_plan` needs."""
        encoder = EncoderSettings(self.crf, self.preset, self.audio_kbps * 1000, self.audio_rate_hz, self.codec or "h264")
        frames = (self.frames.max_side_px, self.frames.jpeg_quality, frame_suffix(self.frames.format))
        return ClipSettings(encoder, self.mode, self.max_side_px, self.fps, *frames, only_codec=self.codec is not None)


class CutClips(Stage[CutClipsConfig, VideoRecord, ClipRecord]):
    """One row per clip that is kept."""

    name = "cut_clips"
    version = 3
    config_type = CutClipsConfig
    reads = VideoRecord
    joins = (ScanRecord,)
    writes = ClipRecord

    @property
    def resources(self) -> Resources:
        """One decoder and one encoder, each of one thread."""
        return Resources(cpus=1, memory_mb=2000, batch_size=1, load_threads=1)

    def deadline_s(self, record: VideoRecord) -> float:
        """Generous: 20 s of work for each second of Full HD."""
        size_bytes, limits = record.media.size_bytes, self.config.limits
        return work_deadline_s(limits, _PER_SECOND_S, record.duration_s, size_bytes, record.width_px, record.height_px)

    def setup(self, worker: WorkerContext) -> None:
        super().setup(worker)
        prepare_worker()

    def process(self, batch: Sequence[Item[VideoRecord]]) -> list[Outcome[ClipRecord]]:
        return [self._cut(item.record, item.joined[ScanRecord][0]) for item in batch]

    def _cut(self, video: VideoRecord, scanned: ScanRecord) -> Outcome[ClipRecord]:
        scan = read_scan(self.worker.root.read_media(scanned.scan))
        path = self.worker.root.local_file(video.media, self.worker.scratch)
        try:
            check_unchanged(video, path)
            return _Cutting(self.config, video, scanned, scan, path, self.worker.scratch).outcome()
        finally:
            if self.worker.scratch in path.parents:  # a copy of a remote file
                path.unlink(missing_ok=True)


class _Cutting:
    """One video."""

    def __init__(self, config: CutClipsConfig, video: VideoRecord, scanned: ScanRecord, scan: VideoScan, path: Path, scratch: Path) -> None:
        self._config, self._video, self._scanned, self._scan = config, video, scanned, scan
        self._path, self._scratch = path, scratch
        self._choice = ClipChoice(scan, config.rules, video.video_id)

    def outcome(self) -> Outcome[ClipRecord]:
        config, scan = self._config, self._scan
        requests = self._video.clip_requests
        pieces = self._choice.of_list(requests, self._video.start_s) if requests else self._choice.of_shots()
        planner = ClipPlanner(self._path, scan, config.clip_settings, config.limits) if pieces else None
        clips: dict[str, tuple[Shot, tuple[int, int]]] = {}
        spans: list[ClipSpan] = []
        for shot, piece in pieces:
            assert planner is not None
            got = self._got(planner, piece)
            if got is not None and self._id(*got) not in clips:  # copied parts of two spans of a list may be the same
                clip_id = self._id(*got)
                clips[clip_id] = scan.shot(*got) if got != (shot.start_frame, shot.end_frame) else shot, piece
                spans.append(ClipSpan(*piece, clip_id, self._to_decode(*got)))
        dropped = [PartDrop(self._named(part.start_s, part.end_s), part.reason, part.message) for part in self._choice.left_out]
        dropped.sort(key=lambda part: part.item_id)  # by time
        if not spans:
            return _drop_all(dropped)
        try:
            rows = []
            for layer in apart(spans):
                written = write_clips(self._path, scan, layer, self._scratch, config.clip_settings, config.limits, planner)
                rows += [self._record(clip, *clips[clip.span.stem]) for clip in written]
            return Emit(tuple(sorted(rows, key=lambda row: (row.start_frame, row.end_frame))), tuple(dropped))
        except BaseException:
            for leftover in self._scratch.glob(f"{self._video.video_id}_*"):  # of a video that fails, nothing is stored
                if leftover.is_file():
                    leftover.unlink(missing_ok=True)
            raise

    def _got(self, planner: ClipPlanner, piece: tuple[int, int]) -> tuple[int, int] | None:
        """The frames that the clip of a piece will have; None where it is left out, and why is noted."""
        plan = planner.plan(*piece)
        if plan is None:
            self._choice.leave_out(
                piece, DropReason.NOT_COPYABLE, "no decoder can start inside it, or its codec is not copied (mode: copy)"
            )
            return None
        got = plan.start_frame, plan.end_frame
        return got if got == piece or self._choice.long_enough(got) else None

    def _kept(self, start: int, end: int) -> list[FrameRef]:
        return [frame for frame in self._scanned.frames if start <= frame.frame < end]

    def _to_decode(self, start: int, end: int) -> FrameChoice | None:
        """Frames to add to those that the scan kept."""
        config, there = self._config.frames, {frame.frame for frame in self._kept(start, end)}
        if len(there) >= min(config.minimum, end - start):
            return None
        choice = choose_frames(self._scan.times, start, end, config.per_second, config.minimum)
        return FrameChoice(tuple(frame for frame in choice.frames if frame not in there), choice.middle)

    def _id(self, start: int, end: int) -> str:
        return self._named(self._choice.start_s(start), self._choice.end_s(end))

    def _named(self, start_s: float, end_s: float) -> str:
        """Nine digits, so that ids of one video sort by time up to 277 hours."""
        return f"{self._video.video_id}_{round(start_s * 1000):09d}_{round(end_s * 1000):09d}"

    def _record(self, clip: WrittenClip, shot: Shot, asked: tuple[int, int]) -> ClipRecord:
        times, (start, end) = self._scan.times, (shot.start_frame, shot.end_frame)
        added = [
            FrameRef(frame=one.frame, time_s=one.time_s, width_px=one.width_px, height_px=one.height_px, media=MediaRef.scratch(one.path))
            for one in clip.frames
        ]
        duration_s = self._choice.end_s(end) - self._choice.start_s(start)
        return ClipRecord(
            clip_id=clip.span.stem,
            video_id=self._video.video_id,
            source_uri=self._video.source_uri,
            start_frame=start,
            end_frame=end,
            num_frames=end - start,
            start_s=self._choice.start_s(start),
            end_s=self._choice.end_s(end),
            duration_s=duration_s,
            start_pts=int(times.pts[start]),
            end_pts=times.end_of(end - 1),
            time_base_num=times.time_base.numerator,
            time_base_den=times.time_base.denominator,
            asked_start_pts=int(times.pts[asked[0]]),
            asked_end_pts=times.end_of(asked[1] - 1),
            fps=(end - start) / duration_s,
            num_clip_frames=clip.num_frames,
            width_px=clip.width_px,
            height_px=clip.height_px,
            has_audio=clip.has_audio,
            audio_mode=clip.audio or "none",
            num_lost_audio_packets=clip.num_lost_audio_packets,
            cut_mode=clip.plan.mode.value,
            num_reencoded=clip.plan.num_reencoded,
            motion=shot.motion,
            luma_mean=shot.luma_mean,
            middle_frame=choose_frames(times, start, end, 1.0, 1).middle,
            frames=tuple(sorted([*self._kept(start, end), *added], key=lambda frame: frame.frame)),
            media=MediaRef.scratch(clip.path),
        )


def _drop_all(parts: list[PartDrop]) -> Drop:
    reasons = {part.reason for part in parts}
    if len(parts) == 1:
        return Drop(parts[0].reason, parts[0].message, tuple(parts))
    reason = reasons.pop() if len(reasons) == 1 else DropReason.NO_CLIPS
    return Drop(reason, f"all {len(parts)} shots were dropped, the first because: {parts[0].message}", tuple(parts))
