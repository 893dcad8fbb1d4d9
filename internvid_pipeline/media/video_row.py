"""The row of a video file: what it says about itself, its hash, and the columns that its list gave."""

import hashlib
import json
from pathlib import Path
from typing import Any

from internvid_pipeline.errors import ItemError, UnreadableMedia, is_machine_fault
from internvid_pipeline.media.probe import MediaInfo, VideoInfo
from internvid_pipeline.records import MediaRef, SourceRecord, VideoRecord

_COLUMNS = ("title", "description", "language", "licence")
_OTHER_SPELLING = {"license": "licence"}
_ID_DIGITS = 20  # 80 bits: two of a billion files share an id with a chance below one in a million


def without_picture(media: MediaInfo) -> str:
    """Why a file without a picture is dropped, in words."""
    return f"has no video stream, only {media.audio_codec} sound" if media.audio_codec else "has no video stream"


def video_record(source: SourceRecord, media: MediaInfo, video: VideoInfo, path: Path, **columns: Any) -> VideoRecord:
    """The row of the file at `path` as probed. columns: further columns, and those that are to replace the file's (video_id, media,
    title, …; a None replaces nothing that the list gave). Raises UnreadableMedia, ItemError where the list's metadata is no JSON object;
    OSError where the machine is at fault."""
    sha256, size_bytes = file_hash(path)
    listed, rest = _metadata(source.metadata_json)
    given = {name: value for name, value in columns.items() if value is not None}
    own: dict[str, Any] = {
        "video_id": f"file-{sha256[:_ID_DIGITS]}",
        "media": MediaRef(uri=source.uri, size_bytes=size_bytes, sha256=sha256),
        **listed,
        "start_s": video.start_s,
        "metadata_json": rest,
        "queries": source.queries,
        "clip_requests": source.clip_requests,
    }
    return VideoRecord(
        source_uri=source.uri,
        container=media.container,
        duration_s=video.duration_s,
        width_px=video.width_px,
        height_px=video.height_px,
        fps=video.fps,
        num_frames=video.num_frames,
        video_codec=video.codec,
        pixel_format=video.pixel_format,
        audio_codec=media.audio_codec,
        num_audio_streams=media.num_audio_streams,
        rotation_deg=video.orientation.rotation_deg,
        sample_aspect_ratio=float(video.sample_aspect_ratio),
        **{**own, **given},
    )


def check_unchanged(video: VideoRecord, path: Path) -> None:
    """Ids are made of content: what is said of other content must not get them. Raises UnreadableMedia; a missing file is met later on."""
    size_bytes = path.stat().st_size if path.is_file() else None
    if None not in (size_bytes, video.media.size_bytes) and size_bytes != video.media.size_bytes:
        raise UnreadableMedia(f"has changed since it was imported: {video.media.size_bytes} bytes then, {size_bytes} now; import it again")


def file_hash(path: Path) -> tuple[str, int]:
    """SHA-256, hexadecimal, and the number of bytes. Raises UnreadableMedia; OSError where the machine is at fault."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return digest, file.tell()
    except OSError as error:
        if is_machine_fault(error):
            raise
        raise UnreadableMedia(f"cannot be read to its end: {error.strerror or error}") from error


def _metadata(metadata_json: str) -> tuple[dict[str, str | None], str]:
    """Columns of the list file that have a place of their own, and the others as JSON. Strangers' text: only ever stored."""
    try:
        values: Any = json.loads(metadata_json)
    except ValueError as error:
        raise ItemError(f"metadata_json is not JSON ({error}): {metadata_json[:80]!r}; it should be an object") from error
    if not isinstance(values, dict):
        raise ItemError(f"metadata_json is {metadata_json[:80]!r}; it should be a JSON object")
    columns: dict[str, str | None] = dict.fromkeys(_COLUMNS)
    rest = {}
    for key, value in values.items():
        column = _OTHER_SPELLING.get(key, key)
        if column in columns and columns[column] is None:
            columns[column] = None if value is None or not str(value).strip() else str(value)
        else:
            rest[key] = value
    return columns, json.dumps(rest, ensure_ascii=False, sort_keys=True)
