"""Extractors of the tests' own, registered with the real yt-dlp by `extractor.extractors`: a site with videos, a search and lists."""

import os
import urllib.parse
from typing import Any

from yt_dlp.extractor.common import InfoExtractor, SearchInfoExtractor
from yt_dlp.utils import ExtractorError

import tests.web.socket_guard  # noqa: F401 - watches every process that downloads

REFUSALS = {
    "private": "Private video. Sign in if you've been granted access to this video",
    "removed": "Video unavailable. This video has been removed by the uploader",
    "age": "Sign in to confirm your age. This video may be inappropriate for some users.",
    "copyright": "Video unavailable. This video is no longer available due to a copyright claim by Someone",
    "bot": "Sign in to confirm you’re not a bot. Use --cookies-from-browser or --cookies for the authentication.",
    "members": "Join this channel to get access to members-only content like this video, and other exclusive perks.",
    "drm": "This video is DRM protected",
    "country": "The uploader has not made this video available in your country",
    "strange": "The flux capacitor is not aligned",
}


class FakeSiteIE(InfoExtractor):
    IE_NAME = "fakesite"
    _VALID_URL = r"(?P<root>https?://127\.0\.0\.1:\d+)/watch/(?P<id>[\w.-]+)$"

    def _real_extract(self, url: str) -> dict[str, Any]:
        root, video_id = self._match_valid_url(url).group("root", "id")
        video = self._download_json(f"{root}/api/video/{video_id}", video_id)
        refusal = video.pop("refusal", None)
        if refusal == "geo":
            self.raise_geo_restricted("This video is not for you", countries=["FR"])
        if refusal == "login":
            self.raise_login_required()
        if refusal:
            raise ExtractorError(REFUSALS[refusal], expected=refusal != "strange")
        sizes = video.pop("sizes", [[video.pop("width"), video.pop("height")]])
        behaviour = video.pop("behaviour", "files")
        formats = video.pop("formats", None) or [
            {"format_id": f"{height}p", "url": f"{root}/{behaviour}/{video_id}.mp4", "ext": "mp4", "width": width, "height": height}
            for width, height in sizes
        ]
        for one in formats:
            one["url"] = urllib.parse.urljoin(root, one["url"])
        tracks = {
            name: {language: [{"url": urllib.parse.urljoin(root, path), "ext": "vtt"}] for language, path in video.pop(name, {}).items()}
            for name in ("subtitles", "automatic_captions")
        }
        return {"id": video_id, "title": "?", "formats": formats, "webpage_url": url, **tracks, **video}


class FakeListIE(InfoExtractor):
    IE_NAME = "fakelist"
    _VALID_URL = r"(?P<root>https?://127\.0\.0\.1:\d+)/list/(?P<id>\w+)$"

    def _real_extract(self, url: str) -> dict[str, Any]:
        root, list_id = self._match_valid_url(url).group("root", "id")
        entries = [
            self.url_result(f"{root}/watch/{video_id}", FakeSiteIE, video_id, f"Listed {video_id}")
            for video_id in self._download_json(f"{root}/api/list/{list_id}", list_id)
        ]
        return self.playlist_result(entries, list_id, f"List {list_id}")


class FakeSearchIE(SearchInfoExtractor):
    IE_NAME = "fakesite:search"
    _SEARCH_KEY = "fakesearch"

    def _search_results(self, query: str):
        root = os.environ["INTERNVID_FAKE_SITE"]
        for video_id in self._download_json(f"{root}/api/search?q={urllib.parse.quote(query)}", query):
            yield self.url_result(f"{root}/watch/{video_id}", FakeSiteIE, video_id, f"Found {video_id}", duration=20)


NAMES = tuple(f"tests.web.fake_site:{cls.__name__}" for cls in (FakeSiteIE, FakeListIE, FakeSearchIE))
