"""One input of the web, from its address to finished local files: what the stage `download_videos` asks for in each of its threads."""

import shutil
import threading
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import fsspec

from internvid_pipeline.errors import ConnectionFault, DownloadLimit, Gone, InternvidError, Unsupported, is_machine_fault
from internvid_pipeline.records import DropReason, SourceRecord
from internvid_pipeline.web.addresses import AddressPolicy
from internvid_pipeline.web.client import format_options, open_client
from internvid_pipeline.web.extract import Format, ask, chosen_formats, fetch_formats, load_info, save_info
from internvid_pipeline.web.fetch import NotMedia, Target, fetch_file, refuse_what_is_no_media
from internvid_pipeline.web.guard import Guard
from internvid_pipeline.web.ranges import RangeReader
from internvid_pipeline.web.rates import HostPace
from internvid_pipeline.web.rules import MetadataRules, judge, judge_resolution, number
from internvid_pipeline.web.settings import ExtractorSettings, NetworkSettings
from internvid_pipeline.web.subtitles import SubtitleSettings, Track, choose_tracks, fetch_tracks

_BY_HTTP = ("http", "https")
CopySpans = Callable[[BinaryIO, BinaryIO | None, Sequence[tuple[float, float | None]]], tuple[Path, float]]


@dataclass(frozen=True)
class DownloadSettings:
    """All that decides how an input is downloaded. nodes: machines that share the limits, where they do not share `state_dir`."""

    network: NetworkSettings
    extractor: ExtractorSettings
    rules: MetadataRules
    subtitles: SubtitleSettings
    object_stores: tuple[str, ...]
    spans_only: bool
    state_folder: Path
    nodes: int = 1


@dataclass(frozen=True)
class Rejected:
    """Left out by a rule."""

    reason: DropReason
    message: str


@dataclass
class Fetched:
    """Local files of one input. media: the video, or the picture and the sound that are still to be joined. info: what the site said, None
    for a plain file. start_s: where spans were taken out of a video: the time of its first frame."""

    media: list[Path]
    info: dict[str, Any] | None = None
    formats: tuple[str, ...] = ()
    subtitles: dict[Track, Path] = field(default_factory=dict)
    lost_subtitles: dict[Track, str] = field(default_factory=dict)
    start_s: float | None = None


class Asker:
    """Asks sites, each thread with a client and a guard of its own; the pace is shared by all workers. nodes: machines that share the
    limits, where they do not share `network.state_dir`."""

    def __init__(
        self,
        network: NetworkSettings,
        extractor: ExtractorSettings,
        state_folder: Path,
        nodes: int = 1,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        share = 1 if network.state_dir else max(1, nodes)
        self._network, self._extractor, self._options = network, extractor, options or {}
        self._policy = AddressPolicy(network.allow_networks)
        self.pace = HostPace(
            state_folder,
            network.requests_per_s / share if network.requests_per_s else None,
            network.max_mb_per_s * 1e6 / share if network.max_mb_per_s else None,
            network.backoff_s,
            network.longest_backoff_s,
            network.longest_wait_s,
        )
        self._of_thread = threading.local()

    def client(self) -> tuple[Any, Guard]:
        """This thread's yt-dlp and its guard, ready for a new item."""
        if not hasattr(self._of_thread, "client"):
            self._of_thread.guard = Guard(self._network, self._policy, self.pace)
            self._of_thread.client = open_client(self._of_thread.guard, self._extractor, self._options)
        self._of_thread.guard.new_item()
        return self._of_thread.client, self._of_thread.guard

    def ask(self, url: str, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What a site says of a video or list, with yt-dlp's options for this call. Raises Unavailable, Deferred."""
        client, guard = self.client()
        before = {name: client.params.get(name) for name in options or {}}
        client.params.update(options or {})
        try:
            info = ask(client, guard, url)
            if info.get("entries") is not None:
                info["entries"] = list(info["entries"])
            return info
        finally:
            client.params.update(before)


class Downloader:
    """Downloads inputs."""

    def __init__(self, settings: DownloadSettings) -> None:
        self.settings = settings
        sizes = format_options(settings.rules.min_resolution, settings.rules.max_resolution)
        self._asker = Asker(settings.network, settings.extractor, settings.state_folder, settings.nodes, sizes)

    def fetch(self, source: SourceRecord, folder: Path, copy_spans: CopySpans) -> Fetched | Rejected:
        """The files of an input in `folder`, going on from what is there. Raises Deferred, Unavailable, OSError."""
        scheme = urllib.parse.urlsplit(source.uri).scheme.lower()
        if scheme not in _BY_HTTP and not _is_search(source.uri):
            return self._from_store(source, scheme, folder)
        client, guard = self._asker.client()
        try:
            if source.extractor is None and not self._is_known(client, source.uri):
                try:
                    return self._plain(client, guard, source, folder)
                except NotMedia:
                    if not self.settings.extractor.generic:
                        raise
            return self._by_extractor(client, guard, source, folder, copy_spans)
        except InternvidError as error:
            raise guard.watch.verdict or error from None

    @staticmethod
    def _is_known(client: Any, url: str) -> bool:
        """True where an extractor other than the generic one takes the URL."""
        return any(key != "Generic" and extractor.suitable(url) for key, extractor in client._ies.items())

    def _plain(self, client: Any, guard: Guard, source: SourceRecord, folder: Path) -> Fetched:
        path = folder / "plain.media"
        fetch_file(client, guard, Target(source.uri), path, refuse_what_is_no_media)
        return Fetched([path])

    def _by_extractor(self, client: Any, guard: Guard, source: SourceRecord, folder: Path, copy_spans: CopySpans) -> Fetched | Rejected:
        info = load_info(folder)
        if info is None or "media" not in info:
            info = ask(client, guard, source.uri)
            if rejected := self._judged(info):
                return rejected
            formats = chosen_formats(info)
            paths, start_s = self._media(client, guard, source, formats, folder, copy_spans)
            tracks = choose_tracks(info, self.settings.subtitles)
            info = {
                **{key: value for key, value in info.items() if key not in ("formats", "requested_formats", "automatic_captions")},
                "media": [path.name for path in paths],
                "media_formats": [one.format_id for one in formats],
                "media_start_s": start_s,
                "media_tracks": [[track.language, track.kind, track.format, dict(track.raw)] for track in tracks],
            }
            save_info(folder, info)
        tracks = [Track(*one) for one in info["media_tracks"]]
        subtitles, lost = fetch_tracks(client, guard, tracks, folder)
        return Fetched(
            [folder / name for name in info["media"]], info, tuple(info["media_formats"]), subtitles, lost, info["media_start_s"]
        )

    def _judged(self, info: Mapping[str, Any]) -> Rejected | None:
        rules = self.settings.rules
        found = judge(info, rules)
        if found is None and info.get("_type") not in ("playlist", "multi_video"):
            pictures = [one for one in info.get("requested_formats") or [info] if one.get("vcodec") != "none"]
            for one in pictures[:1]:
                found = judge_resolution(one.get("width"), one.get("height"), rules)
                self._check_size(info)
        return Rejected(*found) if found else None

    def _check_size(self, info: Mapping[str, Any]) -> None:
        sizes = [number(one.get("filesize")) or 0 for one in info.get("requested_formats") or [info]]
        if not self.settings.spans_only and sum(sizes) > self.settings.network.max_mb * 1e6:
            raise DownloadLimit(f"has {sum(sizes) / 1e6:.0f} MB, allowed are {self.settings.network.max_mb:g} (network.max_mb)")

    def _media(
        self, client: Any, guard: Guard, source: SourceRecord, formats: Sequence[Format], folder: Path, copy_spans: CopySpans
    ) -> tuple[list[Path], float | None]:
        wants_spans = self.settings.spans_only and source.clip_requests and all(one.by_range for one in formats)
        if not wants_spans:
            return fetch_formats(client, guard, formats, folder), None
        guard.watch.page_bytes = None
        readers = [cast(BinaryIO, RangeReader(client, guard, one.target)) for one in formats]
        spans = [(request.start_s, request.end_s) for request in source.clip_requests]
        try:
            path, start_s = copy_spans(readers[0], readers[1] if len(readers) > 1 else None, spans)
        finally:
            guard.watch.page_bytes = int(guard.settings.max_page_mb * 1e6)
        return [path], start_s

    def _from_store(self, source: SourceRecord, scheme: str, folder: Path) -> Fetched:
        """An object of a store that fsspec speaks, with the credentials of this machine. Its protocols are named in the config:
        others lead to local files, to private hosts, or into archives."""
        if scheme not in self.settings.object_stores or "::" in source.uri:
            raise Unsupported(f"{source.uri[:80]!r}: not http(s), nor one of {', '.join(self.settings.object_stores)} (object_stores)")
        path = folder / "object.media"
        if path.exists():
            return Fetched([path])
        most_bytes = self.settings.network.max_mb * 1e6
        try:
            filesystem, place = fsspec.core.url_to_fs(source.uri)
            size = filesystem.info(place)["size"] or 0
            if size > most_bytes:
                raise DownloadLimit(f"has {size / 1e6:.0f} MB, allowed are {self.settings.network.max_mb:g} (network.max_mb)")
            part = folder / "object.part"
            with filesystem.open(place, "rb", cache_type="none") as remote, open(part, "ab") as local:
                remote.seek(local.tell())
                shutil.copyfileobj(remote, local, 1 << 22)
            if part.stat().st_size != size:
                part.unlink()
                raise ConnectionFault(f"{source.uri} gave another number of bytes than its {size}")
            part.replace(path)
        except InternvidError:
            raise
        except FileNotFoundError as error:
            raise Gone(f"there is no object {source.uri}") from error
        except Exception as error:
            if is_machine_fault(error):
                raise
            raise ConnectionFault(f"{scheme}: {' '.join(str(error).split())[:300]}") from error
        return Fetched([path])


def _is_search(uri: str) -> bool:
    """`ytsearch5:words` and its like, which yt-dlp takes for addresses."""
    prefix, colon, _ = uri.partition(":")
    return bool(colon) and "search" in prefix and prefix.isalnum()
