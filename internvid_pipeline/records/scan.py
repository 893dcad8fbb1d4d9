"""One row per video that was scanned."""

from dataclasses import dataclass

from internvid_pipeline.records.clip import FrameRef
from internvid_pipeline.records.media_ref import MediaRef


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanRecord:
    """What one decode of a video told.

    scan: a Parquet file with one row per frame (time, brightness, change, damage, scores of the detectors; `media.scan_file`).
    detectors: whose scores are in it; the first one placed the frames; none for a video of which a list wants
    spans: frames lie in these. fast: frames that no other refers to were not decoded.
    num_frames: as decoded. start_s, end_s: when the first frame begins and the last one stops being shown, on the container's clock.
    time_base_num, time_base_den: of its time stamps. interlaced: some frame is. num_damaged: damaged frames. broken_off: why the file is
    known to end too early. luma_mean: mean brightness, 0 to 255. motion: mean absolute luma difference of neighbouring frames, 0 to 255.
    frames: the frames that models look at, in time order, over the whole video.
    """

    video_id: str
    source_uri: str
    scan: MediaRef
    detectors: tuple[str, ...]
    fast: bool
    num_frames: int
    start_s: float
    end_s: float
    time_base_num: int
    time_base_den: int
    interlaced: bool
    num_damaged: int
    broken_off: str | None
    luma_mean: float
    motion: float
    frames: tuple[FrameRef, ...]

    @property
    def item_id(self) -> str:
        """Name of this row in drops, failures and messages."""
        return self.video_id
