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
    fps: num_frames / duration_s. width_px, height_px: of the written clip, upright.
    motion: mean absolute luma difference of neighbouring frames, 0 (still) to 255, on the small frames of the scan.
    luma_mean: mean brightness, 0 to 255. has_audio: the written clip has an audio stream. cut_mode: `reencode` (later: `copy`, `smart`).
    frames: the frames that models look at, in time order; `middle_frame` is the source number of the one nearest to the middle.
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

    @property
    def item_id(self) -> str:
        """Name of this row in drops, failures and messages."""
        return self.clip_id
