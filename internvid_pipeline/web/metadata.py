"""What a site says of a video, as columns: bounded, cleaned, and without what only a player needs."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from internvid_pipeline.records import Chapter
from internvid_pipeline.web.rules import day, number

_MOST_TITLE, _MOST_TEXT, _MOST_ENTRIES, _MOST_INFO = 1000, 20_000, 500, 65_536
_FOR_PLAYERS = frozenset(
    {"formats", "requested_formats", "requested_downloads", "requested_subtitles", "subtitles", "automatic_captions", "thumbnails"}
    | {"thumbnail", "url", "manifest_url", "http_headers", "fragments", "fragment_base_url", "cookies", "heatmap", "comments", "protocol"}
    | {"description", "title", "tags", "categories", "chapters", "entries", "playlist", "playlist_index", "webpage_url_basename", "epoch"}
    | {"webpage_url_domain", "original_url", "downloader_options", "format", "format_note", "media", "media_formats", "media_tracks"}
)
_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")


def video_id_of(extractor: str, external_id: str) -> str:
    """`<extractor>-<id>`. Ids become file names and keys in shards: one with other characters than letters, digits, `-` and `_` is
    replaced by its hash."""
    site = re.sub(r"[^a-z0-9_]+", "_", extractor.lower())[:40] or "web"
    if _PLAIN_ID.fullmatch(external_id):
        return f"{site}-{external_id}"
    return f"{site}-{hashlib.sha256(external_id.encode(errors='replace')).hexdigest()[:20]}"


def text(value: Any, most_chars: int = _MOST_TEXT) -> str | None:
    """A string that can stand in a table, None for an empty one: no half surrogates, no NULs, not endless."""
    if value is None or isinstance(value, (dict, list)):
        return None
    cleaned = str(value)[:most_chars].encode(errors="replace").decode().replace("\0", "").strip()
    return cleaned or None


def texts(values: Any) -> tuple[str, ...]:
    """Several such, each once, in their order."""
    listed: Iterable[Any] = values if isinstance(values, (list, tuple)) else ()
    found = (text(value, _MOST_TITLE) for value in list(listed)[:_MOST_ENTRIES])
    return tuple(dict.fromkeys(value for value in found if value))


def columns(info: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of a VideoRecord that come from the site."""
    age = number(info.get("age_limit"))
    return {
        "title": text(info.get("title"), _MOST_TITLE),
        "description": text(info.get("description")),
        "language": text(info.get("language"), 40),
        "licence": text(info.get("license"), _MOST_TITLE),
        "url": text(info.get("webpage_url"), 4000),
        "extractor": text(info.get("extractor_key"), 80),
        "external_id": text(info.get("id"), 400),
        "uploader": text(info.get("uploader") or info.get("channel"), _MOST_TITLE),
        "country": text(info.get("country") or info.get("location"), 200),
        "tags": texts(info.get("tags")),
        "categories": texts(info.get("categories")),
        "upload_date": day(info.get("upload_date")),
        "age_limit": None if age is None else int(age),
        "chapters": chapters(info.get("chapters")),
        "info_json": trimmed(info),
    }


def chapters(values: Any) -> tuple[Chapter, ...]:
    """Chapters with sensible times, in order."""
    found = []
    for value in (values if isinstance(values, list) else [])[:_MOST_ENTRIES]:
        if not isinstance(value, Mapping):
            continue
        start_s, end_s = number(value.get("start_time")), number(value.get("end_time"))
        if start_s is None or start_s < 0 or (end_s is not None and end_s <= start_s):
            continue
        found.append(Chapter(start_s=start_s, end_s=end_s, title=text(value.get("title"), _MOST_TITLE) or ""))
    return tuple(sorted(found, key=lambda chapter: chapter.start_s))


def trimmed(info: Mapping[str, Any]) -> str:
    """The info json without formats, addresses of media, and what has a column of its own; at most 64 KB, largest fields first out."""
    kept = {
        key: value for key, value in info.items() if key not in _FOR_PLAYERS and not key.startswith("_") and value not in (None, "", [], {})
    }
    packed = {}
    for key, value in kept.items():
        try:
            packed[str(key)] = json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
        except (ValueError, TypeError, RecursionError):
            continue
    size = sum(len(key) + len(value) + 6 for key, value in packed.items())
    for key in sorted(packed, key=lambda key: -len(packed[key])):
        if size <= _MOST_INFO:
            break
        size -= len(key) + len(packed.pop(key)) + 6
    joined = "{" + ", ".join(f"{json.dumps(key, ensure_ascii=False)}: {packed[key]}" for key in sorted(packed)) + "}"
    return joined.encode(errors="replace").decode().replace("\\u0000", "")
