"""Rows for tests of stages that look at tables: a clip with every column filled in, of which a test names what matters to it."""

from typing import Any

from internvid_pipeline.records import ClipRecord, MediaRef, VideoRecord


def made_clip(clip_id: str, video_id: str, duration_s: float = 2.0, fps: float = 25.0, **fields: Any) -> ClipRecord:
    """A clip of a whole video that starts at 0 and has one frame every 1/25 s."""
    num_frames = round(duration_s * fps)
    columns: dict[str, Any] = {
        "source_uri": "/videos/a.mp4",
        "start_frame": 0,
        "end_frame": num_frames,
        "num_frames": num_frames,
        "start_s": 0.0,
        "end_s": duration_s,
        "duration_s": duration_s,
        "start_pts": 0,
        "end_pts": num_frames,
        "time_base_num": 1,
        "time_base_den": round(fps),
        "fps": fps,
        "width_px": 64,
        "height_px": 48,
        "has_audio": False,
        "cut_mode": "reencode",
        "motion": 1.0,
        "luma_mean": 100.0,
        "middle_frame": num_frames // 2,
        "frames": (),
        "media": MediaRef(uri=f"{clip_id}.tar"),
    }
    return ClipRecord(clip_id=clip_id, video_id=video_id, **{**columns, **fields})


def made_video(video_id: str, **fields: Any) -> VideoRecord:
    """A video of ten seconds at 25 frames a second."""
    columns: dict[str, Any] = {
        "source_uri": f"/videos/{video_id}.mp4",
        "media": MediaRef(uri=f"/videos/{video_id}.mp4", size_bytes=1000),
        "container": "mov,mp4",
        "duration_s": 10.0,
        "start_s": 0.0,
        "width_px": 64,
        "height_px": 48,
        "fps": 25.0,
        "num_frames": 250,
        "video_codec": "h264",
        "pixel_format": "yuv420p",
        "audio_codec": None,
        "num_audio_streams": 0,
        "rotation_deg": 0,
        "sample_aspect_ratio": 1.0,
    }
    return VideoRecord(video_id=video_id, **{**columns, **fields})
