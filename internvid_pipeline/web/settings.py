"""The parts of the config that say how the web is asked. None of them changes results, but for `rules` and `quality` elsewhere."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator

from internvid_pipeline.config.model import Section

# Options of yt-dlp that would go round our own bookkeeping, and what to use instead.
_OURS = {
    "outtmpl": "names are made of ids",
    "paths": "files go into the worker's scratch folder",
    "ratelimit": "use network.max_mb_per_s",
    "sleep_interval": "use network.requests_per_s",
    "max_sleep_interval": "use network.requests_per_s",
    "sleep_interval_requests": "use network.requests_per_s",
    "max_filesize": "use network.max_mb",
    "retries": "use network.attempts",
    "socket_timeout": "use network.timeout_s",
    "download_archive": "manifests say what is done",
    "match_filter": "use rules",
    "external_downloader": "every byte goes through the guarded connection",
    "enable_file_urls": "local files are inputs of their own",
    "postprocessors": "write a stage",
    "exec_cmd": "write a stage",
    "writesubtitles": "use subtitles",
    "writeautomaticsub": "use subtitles",
    "subtitleslangs": "use subtitles.languages",
    "ignoreerrors": "every error has its row",
    "logger": "messages stand in rows",
    "progress_hooks": "bytes are counted by the connection",
    "simulate": "internvid plan simulates",
    "skip_download": "use collect_videos",
    "download_ranges": "use spans_only",
}


class NetworkSettings(Section):
    """Pace, patience and limits. Defaults are ours; InternVid states none, its users report blocks after 30 to 50 thousand clips from one
    address (InternVideo issue 117)."""

    requests_per_s: float | None = Field(
        default=2.0, gt=0, le=10_000, description="Requests to one host by all workers together; null: as fast as it goes."
    )
    max_mb_per_s: float | None = Field(default=None, gt=0, description="Megabytes per second from one host for all workers together.")
    attempts: int = Field(default=4, ge=1, le=100, description="Tries in a row that bring no new byte before the item is deferred.")
    timeout_s: float = Field(default=20.0, gt=0, le=600, description="Longest silence of a server.")
    slowest_kb_per_s: float = Field(default=4.0, ge=0, description="A body slower than this over 30 s is cut off and deferred.")
    item_limit_s: float = Field(default=3600.0, gt=0, description="Longest time for one video with all its requests.")
    max_mb: float = Field(default=4000.0, gt=0, description="Most megabytes for one video with all its requests.")
    max_page_mb: float = Field(default=64.0, gt=0, description="Most megabytes for one page, playlist or subtitle.")
    backoff_s: float = Field(default=60.0, gt=0, description="How long a host is left alone after a 429 that does not say; doubles.")
    longest_backoff_s: float = Field(default=3600.0, gt=0, description="No host is left alone for longer than this.")
    longest_wait_s: float = Field(default=30.0, ge=0, description="A worker waits this long for a host; beyond it the item is deferred.")
    allow_networks: tuple[str, ...] = Field(
        default=(), description="Private networks that may be connected to, such as 10.2.0.0/16; default: none, wherever a list leads."
    )
    proxy: str = Field(
        default="",
        description="http:// or socks5:// address that all requests go through; it then decides what is reached. Not taken "
        "from the environment.",
    )
    state_dir: str = Field(
        default="",
        description="Folder in which workers agree on the pace; default: in the scratch folder, for one machine. On a file "
        "system that all machines share, the limits hold for the cluster.",
    )

    @field_validator("allow_networks")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        from internvid_pipeline.errors import UsageError
        from internvid_pipeline.web.addresses import AddressPolicy

        try:
            AddressPolicy(value)
        except UsageError as error:
            raise ValueError(str(error)) from error
        return value


class ExtractorSettings(Section):
    """How yt-dlp reads sites."""

    options: Mapping[str, Any] = Field(
        default_factory=dict, description="Options of yt-dlp's Python API, such as cookiefile or extractor_args, passed as they are."
    )
    extractors: tuple[str, ...] = Field(
        default=(), description="Extractors of your own, module:Class, asked before yt-dlp's; their classes derive from InfoExtractor."
    )
    generic: bool = Field(default=True, description="Look for a video in pages that no extractor knows.")

    @field_validator("options")
    @classmethod
    def _not_ours(cls, value: Mapping[str, Any]) -> Mapping[str, Any]:
        for name in value:
            if name in _OURS:
                raise ValueError(f"{name} is ours: {_OURS[name]}")
        return value
