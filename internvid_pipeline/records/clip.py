"""One row per clip."""

from dataclasses import dataclass

from internvid_pipeline.records.media_ref import MediaRef


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameRef:
    """One frame kept as a small upright sRGB JPEG. frame: counted from 0 in display order in the source video.
    time_s: its presentation time in the source. width_px, height_px: of the JPEG."""

    frame: int
    time_s: float
    width_px: int
    height_px: int
    media: MediaRef


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipRecord:
    """A clip is the source's frames [start_frame, end_frame), counted from 0 in display order.

    clip_id: `<video_id>_<start_ms>_<end_ms>`, from content and not from position in a list.
    start_pts, end_pts, time_base_num, time_base_den: exact times in the source's own time base; end_pts is the time at which the
    last frame stops being shown. start_s, end_s: the same in seconds, on the container's clock (which may not start at 0).
    asked_start_pts, asked_end_pts: of the shot, or of its part, that was to be cut out, in the same time base; the clip is shorter only
    where packets were to be copied and nothing else (cut_clips: mode: copy). Seconds kept of seconds in: the sum of duration_s over the
    sum of end_s - start_s in the table of scans.
    fps: num_frames / duration_s. num_clip_frames: in the clip's file; other than num_frames only where another frame rate was asked for.
    width_px, height_px: of the written clip, upright.
    motion: mean absolute luma difference of neighbouring frames, 0 (still) to 255, on the small frames of the scan.
    luma_mean: mean brightness, 0 to 255. has_audio: the written clip has an audio stream. cut_mode: `copy` (packets of the source, not
    one pixel changed), `smart` (the same but for num_reencoded frames at its edges), `reencode` (all frames encoded again).
    audio_mode: `copy`, `reencode`, or `none`. num_lost_audio_packets: of the source, those in the clip that could not be decoded.
    frames: the frames that models look at, in time order. middle_frame: number, in the source, of the frame at half of the clip's time.
    """

    clip_id: str
    video_id: str
    source_uri: str
    start_frame: int
    end_frame: int
    num_frames: int
    start_s: float
    end_s: float
    duration_s: float
    start_pts: int
    end_pts: int
    time_base_num: int
    time_base_den: int
    fps: float
    width_px: int
    height_px: int
    has_audio: bool
    cut_mode: str
    motion: float
    luma_mean: float
    middle_frame: int
    frames: tuple[FrameRef, ...]
    media: MediaRef
    asked_start_pts: int | None = None
    asked_end_pts: int | None = None
    num_clip_frames: int | None = None
    num_reencoded: int = 0
    audio_mode: str = "none"
    num_lost_audio_packets: int = 0

    @property
    def item_id(self) -> str:
        """Name of this row in drops, failures and messages."""
        return self.clip_id
