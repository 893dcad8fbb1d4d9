"""One row per source video."""

from dataclasses import dataclass

from internvid_pipeline.records.clip_request import ClipRequest
from internvid_pipeline.records.media_ref import MediaRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """A chapter that the uploader marked, in seconds from the first frame; end_s None: to the next one or the end."""

    start_s: float
    end_s: float | None
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubtitleRef:
    """A subtitle as the site gave it. language: the site's code. kind: `manual` or `automatic` (made by a speech recogniser).
    format: `vtt` or `srt`."""

    language: str
    kind: str
    format: str
    media: MediaRef


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRecord:
    """video_id: `<extractor>-<id>`, or `file-<hash of the content>` for a file. source_uri: where it came from.
    start_s: the container's time of the first frame (not always 0). fps: average frame rate as the container states it, None if it
    does not. num_frames: as the container states it, None if it does not; the clips table holds counted frames.
    rotation_deg: counter-clockwise turn that shows the picture upright, a multiple of 90 for phones. width_px, height_px: as coded,
    before rotation. sample_aspect_ratio: width/height of one pixel. metadata_json: what the list said besides, a JSON object.

    Of downloaded videos also: url, extractor, external_id: where it is on the web. country: as the site says it. queries: all that
    found it. upload_date: `YYYY-MM-DD`. age_limit: years. formats: the site's names of the formats chosen. info_json: the site's
    answer, trimmed. clip_requests: spans that a published list wants. spans_only: the file holds only the stretches around these, at
    their own times, and `start_s` is that of the whole video."""

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
    url: str | None = None
    extractor: str | None = None
    external_id: str | None = None
    uploader: str | None = None
    country: str | None = None
    tags: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    queries: tuple[str, ...] = ()
    upload_date: str | None = None
    age_limit: int | None = None
    chapters: tuple[Chapter, ...] = ()
    subtitles: tuple[SubtitleRef, ...] = ()
    formats: tuple[str, ...] = ()
    info_json: str = "{}"
    clip_requests: tuple[ClipRequest, ...] = ()
    spans_only: bool = False

    @property
    def item_id(self) -> str:
        """Name of this row in drops, failures and messages."""
        return self.video_id
