"""A clip of a video that a published list asked for."""

from typing import Any

from internvid_pipeline.records import ClipRecord, ClipRequest, ListedScore, MediaRef, ScanRecord, VideoRecord
from internvid_pipeline.stage import Item
from tests.made_records import made_clip


def request(start_s: float, end_s: float | None, caption: str | None, **scores: float) -> ClipRequest:
    listed = tuple(ListedScore(scorer=name, value=value) for name, value in scores.items())
    return ClipRequest(start_s=start_s, end_s=end_s, caption=caption, caption_scale="fused", scores=listed, list_name="InternVid-10M-flt")


def listed_item(
    start_s: float, end_s: float, requests: tuple[ClipRequest, ...], video_start_s: float = 0.0, **fields: Any
) -> Item[ClipRecord]:
    """The clip [start_s, end_s) of a video whose first frame is at video_start_s on its clock; both on that clock."""
    video = VideoRecord(
        video_id="v", source_uri="u", media=MediaRef(uri="v.mp4"), container="mp4", duration_s=10.0, start_s=video_start_s, width_px=64,
        height_px=48, fps=25.0, num_frames=250, video_codec="h264", pixel_format="yuv420p", audio_codec=None, num_audio_streams=0,
        rotation_deg=0, sample_aspect_ratio=1.0, clip_requests=requests,
    )  # fmt: skip
    clip = made_clip("v_0_1", "v", duration_s=end_s - start_s, **{"start_s": start_s, "end_s": end_s, **fields})
    scan = ScanRecord(
        video_id="v", source_uri="u", scan=MediaRef(uri="v.parquet"), detectors=(), fast=False, num_frames=250, start_s=video_start_s,
        end_s=video_start_s + 10.0, time_base_num=1, time_base_den=25, interlaced=False, num_damaged=0, broken_off=None, luma_mean=100.0,
        motion=1.0, frames=(),
    )  # fmt: skip
    return Item(clip, joined={VideoRecord: (video,), ScanRecord: (scan,)})
