"""One row per source video."""

from dataclasses import dataclass

from internvid_pipeline.records.media_ref import MediaRef


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRecord:
    """video_id: `<extractor>-<id>`, or `file-<hash of the content>` for a file. source_uri: where it came from.
    start_s: the container's time of the first frame (not always 0). fps: average frame rate as the container states it, None if it
    does not. num_frames: as the container states it, None if it does not; the clips table holds counted frames.
    rotation_deg: counter-clockwise turn that shows the picture upright, a multiple of 90 for phones. width_px, height_px: as coded,
    before rotation. sample_aspect_ratio: width/height of one pixel. metadata_json: what the list said besides, a JSON object."""

    video_id: str
    source_uri: str
    media: MediaRef
    title: str | None = None
    description: str | None = None
    language: str | None = None
    licence: str | None = None
    container: str
    duration_s: float | None
    start_s: float
    width_px: int
    height_px: int
    fps: float | None
    num_frames: int | None
    video_codec: str
    pixel_format: str
    audio_codec: str | None
    num_audio_streams: int
    rotation_deg: int
    sample_aspect_ratio: float
    metadata_json: str = "{}"

    @property
    def item_id(self) -> str:
        """Name of this row in drops, failures and messages."""
        return self.video_id
