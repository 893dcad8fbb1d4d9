"""Which subtitles of a video are kept, and fetching them."""

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field

from internvid_pipeline.config.model import Section
from internvid_pipeline.errors import Unavailable
from internvid_pipeline.web.extract import read_page
from internvid_pipeline.web.guard import Guard

_FORMATS = ("vtt", "srt")
_NOT_SPOKEN = ("live_chat", "rechat", "danmaku")


class SubtitleSettings(Section):
    """InternVid gathers user-made and automatic subtitles (arXiv:2307.06942, section 3.1)."""

    languages: tuple[str, ...] = Field(default=("*",), description="Languages to keep, as the site names them; `*` stands for any part.")
    manual: bool = Field(default=True, description="Keep subtitles that people made.")
    automatic: bool = Field(
        default=True, description="Keep what the site's recogniser made, in the language spoken; its machine translations are left out."
    )
    most: int = Field(default=20, ge=0, le=1000, description="Most subtitles of one video.")


@dataclass(frozen=True)
class Track:
    """A subtitle to fetch. kind: `manual` or `automatic`."""

    language: str
    kind: str
    format: str
    raw: Mapping[str, Any] = field(compare=False)


def choose_tracks(info: Mapping[str, Any], settings: SubtitleSettings) -> list[Track]:
    """Tracks to keep: manual ones first, then by language."""
    found: list[Track] = []
    if settings.manual:
        found += _of_kind(info.get("subtitles"), "manual")
    if settings.automatic:
        spoken = _spoken(info)
        found += [track for track in _of_kind(info.get("automatic_captions"), "automatic") if spoken is None or track.language in spoken]
    wanted = [track for track in found if any(fnmatch.fnmatchcase(track.language, pattern) for pattern in settings.languages)]
    return wanted[: settings.most]


def _of_kind(listed: Any, kind: str) -> list[Track]:
    tracks = []
    for language, versions in sorted((listed if isinstance(listed, Mapping) else {}).items()):
        if language in _NOT_SPOKEN or not isinstance(versions, list):
            continue
        by_format = {
            str(one.get("ext")): one for one in reversed(versions) if isinstance(one, Mapping) and (one.get("url") or one.get("data"))
        }
        best = next((name for name in _FORMATS if name in by_format), None)
        if best is not None:
            tracks.append(Track(str(language)[:40], kind, best, by_format[best]))
    return tracks


def _spoken(info: Mapping[str, Any]) -> set[str] | None:
    """Codes of the automatic captions in the language spoken: YouTube offers them translated into some 150 others, and marks the
    original `en-orig`. None where a site offers no such choice."""
    codes = list(info.get("automatic_captions") or {})
    originals = {code for code in codes if code.endswith("-orig")}
    if originals:
        return originals
    language = str(info.get("language") or "")
    same = {code for code in codes if language and code.split("-")[0] == language.split("-")[0]}
    return same or (set() if len(codes) > 20 else None)


def fetch_tracks(client: Any, guard: Guard, tracks: list[Track], folder: Path) -> tuple[dict[Track, Path], dict[Track, str]]:
    """Files of the tracks, and why others could not be had. Raises Deferred: the video is then tried again, its media kept."""
    paths: dict[Track, Path] = {}
    lost: dict[Track, str] = {}
    for number, track in enumerate(tracks):
        path = folder / f"s{number:03d}.{track.format}"
        if not path.exists():
            try:
                data = str(track.raw["data"]).encode() if track.raw.get("data") else _read(client, guard, track)
            except Unavailable as error:
                if guard.watch.verdict is not None:
                    raise
                lost[track] = f"{type(error).__name__}: {error}"
                continue
            path.with_suffix(".tmp").write_bytes(data)
            path.with_suffix(".tmp").replace(path)
        paths[track] = path
    return paths, lost


def _read(client: Any, guard: Guard, track: Track) -> bytes:
    return read_page(client, guard, str(track.raw["url"]), track.raw.get("http_headers") or {})
