"""yt-dlp with every connection under guard. The one place that knows how yt-dlp makes its connections."""

import functools
import importlib
import urllib.parse
import urllib.request
import zlib
from collections.abc import Mapping
from typing import Any

from internvid_pipeline.errors import SetupError, UsageError
from internvid_pipeline.web.guard import Guard, bounded_inflate
from internvid_pipeline.web.settings import ExtractorSettings

_SCHEMES = ("http", "https", "data")
# No ffmpeg and no other program that opens connections of its own, past the guard.
_NO_PROGRAM = "/nonexistent/no-program-fetches-for-us"
_BY_HTTP = "[protocol~='^(https?|m3u8|m3u8_native|http_dash_segments)$']"  # nothing else goes through the guard


def format_options(min_resolution: int | None, max_resolution: int | None) -> dict[str, Any]:
    """Options for the best picture between two sizes of the shorter side, else the smallest above; what is too small comes last."""
    tall = f"[width>=?{min_resolution}][height>=?{min_resolution}]" if min_resolution else ""
    choices = [f"bv*{_BY_HTTP}{tall}+ba{_BY_HTTP}", f"b{_BY_HTTP}{tall}", f"bv*{_BY_HTTP}{tall}"]
    choices += [f"bv*{_BY_HTTP}+ba{_BY_HTTP}", f"b{_BY_HTTP}", f"bv*{_BY_HTTP}", "best"]
    return {"format": "/".join(choices), "format_sort": [f"res:{max_resolution}" if max_resolution else "res"]}


class _Silent:
    """yt-dlp's messages. Warnings and errors are kept for the one item at hand: its own words stand in failure rows."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def debug(self, message: str) -> None:
        """Progress and debugging: nobody reads it."""

    info = debug

    def warning(self, message: str) -> None:
        """Kept."""
        self.words.append(str(message))

    error = warning


@functools.cache
def _handler_class() -> Any:
    """yt-dlp's urllib handler, whose openers are put under guard. The others (requests, curl_cffi, websockets) are not used: each would
    need its own guard. Raises SetupError where yt-dlp is not installed or has changed."""
    try:
        from yt_dlp.networking._urllib import UrllibRH
    except ImportError as error:
        raise SetupError(f"cannot load yt-dlp ({error}); run `pip install 'internvid-pipeline[download]'`") from error

    class GuardedRH(UrllibRH):  # type: ignore[misc]
        _SUPPORTED_URL_SCHEMES = _SCHEMES
        RH_NAME = "guarded"

        def __init__(self, *, guard: Guard, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self._guard = guard

        def _create_instance(self, **kwargs: Any) -> Any:
            opener = super()._create_instance(**kwargs)
            for scheme in ("ftp", "file"):  # a redirect may lead there
                opener.handle_open.pop(scheme, None)
            for handler in opener.handlers:
                if isinstance(handler, urllib.request.AbstractHTTPHandler):
                    _put_under_guard(handler, self._guard)
            return opener

    return GuardedRH


def _put_under_guard(handler: Any, guard: Guard) -> None:
    """From here on the handler opens connections as `guard` does, and unpacks no more than it allows."""
    open_plainly = handler.do_open
    most_bytes = int(guard.settings.max_page_mb * 1e6)

    def do_open(http_class: Any, request: Any, **kwargs: Any) -> Any:
        def dressed(*args: Any, **more: Any) -> Any:
            return guard.dress(http_class(*args, **more))

        return guard.send(_host_of(request), lambda: open_plainly(dressed, request, **kwargs))

    def deflate(data: bytes) -> bytes:
        try:
            return bounded_inflate(data, -zlib.MAX_WBITS, most_bytes)
        except zlib.error:
            return bounded_inflate(data, zlib.MAX_WBITS, most_bytes)

    handler.do_open = do_open
    handler.gz = lambda data: bounded_inflate(data, zlib.MAX_WBITS | 16, most_bytes)
    handler.deflate = deflate


def _host_of(request: Any) -> str:
    host = str(urllib.parse.urlsplit(request.full_url).hostname or request.host)
    return host.lower().rstrip(".")


def open_client(guard: Guard, settings: ExtractorSettings, more: Mapping[str, Any] | None = None) -> Any:
    """A YoutubeDL whose every request goes through `guard`; one per thread. more: options that the config's may replace. Raises
    SetupError, UsageError."""
    try:
        import yt_dlp
    except ImportError as error:
        raise SetupError(f"cannot load yt-dlp ({error}); run `pip install 'internvid-pipeline[download]'`") from error
    handler_class = _handler_class()

    class GuardedYoutubeDL(yt_dlp.YoutubeDL):  # type: ignore[misc]
        def build_request_director(self, handlers: Any, preferences: Any = None) -> Any:
            made = functools.partial(handler_class, guard=guard)
            made.RH_KEY = handler_class.RH_KEY  # type: ignore[attr-defined]
            return super().build_request_director([made], None)

    params = {
        **(more or {}),
        **settings.options,
        **_fixed(guard),
        "logger": _Silent(),
    }
    own = [_own_extractor(name) for name in settings.extractors]
    client = GuardedYoutubeDL(params, auto_init=False)
    for extractor in own:  # before yt-dlp's own, whose last one takes every address
        client.add_info_extractor(extractor())
    client.add_default_info_extractors()
    if not settings.generic:
        client._ies.pop("Generic", None)
    return client


def _fixed(guard: Guard) -> dict[str, Any]:
    settings = guard.settings
    return {
        "quiet": True,
        "noprogress": True,
        "noplaylist": True,
        "extract_flat": "in_playlist",  # a list of a thousand videos is one answer and not a thousand
        "ignoreerrors": False,
        "ignore_no_formats_error": True,  # whether the sizes or the video is missing is judged here
        "socket_timeout": settings.timeout_s,
        "retries": settings.attempts,
        "fragment_retries": settings.attempts,
        "extractor_retries": 1,
        "file_access_retries": 0,
        "skip_unavailable_fragments": False,  # a video with holes is no video
        "proxy": settings.proxy,  # "" keeps yt-dlp from taking the environment's
        "cachedir": False,
        "ffmpeg_location": _NO_PROGRAM,
        "external_downloader": "native",
        "hls_prefer_native": True,
        "enable_file_urls": False,
        "updatetime": False,
        "overwrites": True,
        "check_formats": None,
    }


def _own_extractor(name: str) -> Any:
    module, _, cls = name.partition(":")
    try:
        return getattr(importlib.import_module(module), cls)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"extractor {name!r} cannot be loaded ({error}); write module:Class") from error
