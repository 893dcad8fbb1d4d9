"""Asking a site about a video and fetching the versions chosen, with yt-dlp's extractors and our own connection."""

import json
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from internvid_pipeline.errors import ConnectionFault, InternvidError, RateLimited, Unsupported
from internvid_pipeline.web.classify import translated
from internvid_pipeline.web.fetch import Target, fetch_file
from internvid_pipeline.web.guard import Guard

_BY_US = ("http", "https")
_BY_FRAGMENTS = ("m3u8", "m3u8_native", "http_dash_segments")
_KNOWN_SUFFIXES = ("mp4", "webm", "mkv", "m4a", "ts", "mov", "flv", "ogg", "mp3", "opus", "weba", "3gp", "avi")


@dataclass(frozen=True)
class Format:
    """A version of a video, as yt-dlp describes it."""

    raw: Mapping[str, Any]

    @property
    def format_id(self) -> str:
        """The site's name of it."""
        return str(self.raw.get("format_id") or "0")

    @property
    def has_picture(self) -> bool:
        """False for sound alone."""
        return self.raw.get("vcodec") != "none"

    @property
    def by_range(self) -> bool:
        """True where it is one file behind one address."""
        return self.raw.get("protocol") in _BY_US and not self.raw.get("fragments")

    @property
    def target(self) -> Target:
        """What to fetch, where `by_range`."""
        chunk = (self.raw.get("downloader_options") or {}).get("http_chunk_size") or 0
        return Target(str(self.raw["url"]), dict(self.raw.get("http_headers") or {}), int(chunk))


def host_of(url: str) -> str:
    """Name of the server in a URL, for pacing and messages."""
    try:
        return (urllib.parse.urlsplit(url).hostname or url[:40]).lower()
    except ValueError:
        return url[:40]


def ask(client: Any, guard: Guard, url: str) -> dict[str, Any]:
    """yt-dlp's info of a URL, its formats chosen; of a list what the list says. Raises Unavailable, Deferred; a bot check leaves the
    host alone for all workers."""
    try:
        info = client.extract_info(url, download=False, process=True)
    except InternvidError:
        raise
    except Exception as error:
        raise _verdict(error, guard, url) from error
    if not isinstance(info, dict):
        raise Unsupported(f"yt-dlp gave no answer for {url[:200]}")
    return info


def _verdict(error: Exception, guard: Guard, url: str) -> BaseException:
    if guard.watch.verdict is not None:
        return guard.watch.verdict
    found = translated(error, host_of(url))
    if isinstance(found, RateLimited) and found.retry_after_s is None:
        found.after(guard.pace.block(host_of(url), None))
    return found


def chosen_formats(info: Mapping[str, Any]) -> list[Format]:
    """The formats that were selected, picture first. Raises Unsupported where there is nothing that we can fetch."""
    if info.get("_type") in ("playlist", "multi_video"):
        count = info.get("playlist_count") or len(info.get("entries") or ())
        raise Unsupported(f"is a list of {count} videos and not one; give it under source.channels")
    raw = info.get("requested_formats") or ([info] if info.get("url") else [])
    found = [Format(one) for one in raw]
    if not found:
        drm = info.get("_has_drm") or any(one.get("has_drm") for one in info.get("formats") or ())
        raise Unsupported("is protected by DRM" if drm else "has no format that can be downloaded")
    for one in found:
        if one.raw.get("protocol") not in (*_BY_US, *_BY_FRAGMENTS):
            raise Unsupported(f"comes by {one.raw.get('protocol')}, which is not supported; HTTP is")
    if not any(one.has_picture for one in found):
        raise Unsupported("has sound only")
    return sorted(found, key=lambda one: not one.has_picture)


def fetch_formats(client: Any, guard: Guard, formats: Sequence[Format], folder: Path) -> list[Path]:
    """Downloads each format into `folder`, going on from what is there. Raises Unavailable, Deferred, OSError."""
    paths = []
    for one in formats:
        path = folder / file_name(one)
        if one.by_range:
            fetch_file(client, guard, one.target, path)
        else:
            _fetch_fragments(client, guard, one, path)
        paths.append(path)
    return paths


def file_name(one: Format) -> str:
    """A name made of the format's id alone, and of nothing else that a stranger chose."""
    clean = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in one.format_id)[:60]
    suffix = str(one.raw.get("ext") or "")
    return f"f{clean}.{suffix if suffix in _KNOWN_SUFFIXES else 'media'}"


def _fetch_fragments(client: Any, guard: Guard, one: Format, path: Path) -> None:
    """By yt-dlp's own HLS and DASH readers, whose requests go through the guard. They resume after the last whole fragment."""
    if path.exists():
        return
    guard.watch.page_bytes = None
    try:
        done, _ = client.dl(str(path), dict(one.raw))
    except InternvidError:
        raise
    except Exception as error:
        raise _verdict(error, guard, str(one.raw.get("url"))) from error
    finally:
        guard.watch.page_bytes = int(guard.settings.max_page_mb * 1e6)
    if guard.watch.verdict is not None:
        raise guard.watch.verdict
    if not done or not path.exists():
        raise ConnectionFault(f"{host_of(str(one.raw.get('url')))}: not all fragments came")


def read_page(client: Any, guard: Guard, url: str, headers: Mapping[str, str]) -> bytes:
    """A small file whole (a subtitle). Raises Unavailable, Deferred."""
    from yt_dlp.networking import Request

    try:
        with client.urlopen(Request(url, headers=dict(headers))) as response:
            data: bytes = response.read()
            expected = response.headers.get("Content-Length")
            packed = response.headers.get("Content-Encoding")
    except InternvidError:
        raise
    except Exception as error:
        raise _verdict(error, guard, url) from error
    if not packed and expected and expected.isdigit() and len(data) != int(expected):
        raise ConnectionFault(f"{host_of(url)} sent {len(data)} of {expected} bytes and hung up")
    return data


def save_info(folder: Path, info: Mapping[str, Any]) -> None:
    """Keeps what the site said, so that a later worker need not ask again. Addresses of media run out: formats are not kept."""
    (folder / "info.json.tmp").write_text(json.dumps(info, default=str))
    (folder / "info.json.tmp").replace(folder / "info.json")


def load_info(folder: Path) -> dict[str, Any] | None:
    """What `save_info` kept, None where there is nothing."""
    try:
        info = json.loads((folder / "info.json").read_text())
    except (OSError, ValueError):
        return None
    return info if isinstance(info, dict) else None
