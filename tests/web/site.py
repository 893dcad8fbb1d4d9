"""A web server on loopback that does what servers do: ranges, redirects, refusals, pauses, lies; and a small video site on it.

Every path is `/<behaviour>/<file>`; files are bytes that the test puts into `site.files`. `site.videos` is the catalogue of the video
site, read by the extractor in `fake_site`. `site.sent[path]` counts the bytes of bodies that left for each path.
"""

import contextlib
import gzip
import http.server
import json
import re
import socket
import threading
import time
import urllib.parse
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

SUBTITLE = "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\n{words}\n"


@dataclass
class Site:
    """The server's state. hits: requests by path. refusals: what the next requests of a path get instead (429, 500), one after the
    other."""

    files: dict[str, bytes] = field(default_factory=dict)
    videos: dict[str, dict[str, Any]] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)
    hits: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    ranges: list[tuple[str, str | None]] = field(default_factory=list)
    refusals: dict[str, list[int]] = field(default_factory=dict)
    port: int = 0
    retry_after: str | None = "7"
    pause_s: float = 0.0

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def url(self, behaviour: str, name: str = "a.mp4") -> str:
        return f"{self.base}/{behaviour}/{name}"

    def add_video(self, video_id: str, data: bytes, **info: Any) -> None:
        """A video of the site, whose file lies under `/files/<id>.mp4`."""
        self.files[f"{video_id}.mp4"] = data
        self.videos[video_id] = {"title": f"Title of {video_id}", "width": 640, "height": 360, **info}


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def log_message(self, *args: Any) -> None:
        pass

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)  # what is sent is soon received
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def do_GET(self) -> None:
        path = urllib.parse.urlsplit(self.path).path
        self.site.hits[path] += 1
        self.site.times[path].append(time.monotonic())
        self.site.ranges.append((path, self.headers.get("Range")))
        behaviour, _, name = path.strip("/").partition("/")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if self.site.refusals.get(path):
                return self.refuse(self.site.refusals[path].pop(0))
            getattr(self, f"on_{behaviour.replace('-', '_')}", self.on_404)(name, path)

    do_HEAD = do_GET

    def answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        self.body(body)

    def body(self, data: bytes) -> None:
        path = urllib.parse.urlsplit(self.path).path
        if self.command == "HEAD":
            return
        for start in range(0, len(data), 1 << 16):
            piece = data[start : start + (1 << 16)]
            if self.site.pause_s:
                time.sleep(self.site.pause_s)
            self.wfile.write(piece)
            self.site.sent[path] += len(piece)

    def ranged(self, data: bytes, tag: str = '"v1"', cut: int | None = None) -> None:
        """The file or the range of it that is asked for; cut: how many bytes of the body are sent before the line is cut."""
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if_range = self.headers.get("If-Range")
        headers = {"Content-Type": "video/mp4", "Accept-Ranges": "bytes"} | ({"ETag": tag} if tag else {})
        start, end, status = 0, len(data) - 1, 200
        if asked and (if_range is None or if_range == tag):
            start = int(asked[1])
            end = min(int(asked[2]) if asked[2] else end, end)
            if start >= len(data):
                return self.answer(416, {"Content-Range": f"bytes */{len(data)}"})
            status = 206
            headers["Content-Range"] = f"bytes {start}-{end}/{len(data)}"
        piece = data[start : end + 1]
        headers["Content-Length"] = str(len(piece))
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        self.body(piece if cut is None else piece[:cut])
        if cut is not None and cut < len(piece):
            self.cut()
        return None

    def cut(self) -> None:
        self.wfile.flush()
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    # --- single files -------------------------------------------------------------------------------------------------------------

    def file(self, name: str) -> bytes:
        return self.site.files[name]

    def on_files(self, name: str, path: str) -> None:
        if name not in self.site.files:
            return self.on_404(name, path)
        self.ranged(self.file(name))

    def on_untagged(self, name: str, path: str) -> None:
        self.ranged(self.file(name), tag="")

    def on_norange(self, name: str, path: str) -> None:
        self.answer(200, {"Content-Type": "video/mp4"}, self.file(name))

    def on_cut(self, name: str, path: str) -> None:
        """Every answer ends after a third of the file."""
        self.ranged(self.file(name), cut=len(self.file(name)) // 3 + 1)

    def on_cut_changes(self, name: str, path: str) -> None:
        """The first answer is cut; by the second the file is another one of the same length."""
        data = self.file(name)
        if self.site.hits[path] == 1:
            return self.ranged(bytes(reversed(data)), tag="", cut=len(data) // 2)
        return self.ranged(data, tag="")

    def on_wrong_length(self, name: str, path: str) -> None:
        data = self.file(name)
        self.send_response(200)
        self.send_header("Content-Type", "video/mp4")
        self.send_header("Content-Length", str(len(data) + 1000))
        self.end_headers()
        self.body(data)
        self.cut()

    def on_unsized(self, name: str, path: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "video/mp4")
        self.send_header("Connection", "close")
        self.end_headers()
        self.body(self.file(name))
        self.close_connection = True

    def on_flaky(self, name: str, path: str) -> None:
        """500, then the file."""
        if self.site.hits[path] == 1:
            return self.answer(500, {})
        return self.on_files(name, path)

    def on_down(self, name: str, path: str) -> None:
        self.answer(502, {})

    def on_busy(self, name: str, path: str) -> None:
        self.refuse(429)

    def refuse(self, status: int) -> None:
        self.answer(status, {"Retry-After": self.site.retry_after} if status == 429 and self.site.retry_after else {})

    def on_404(self, name: str, path: str) -> None:
        self.answer(404, {})

    def on_410(self, name: str, path: str) -> None:
        self.answer(410, {})

    def on_403(self, name: str, path: str) -> None:
        self.answer(403, {})

    def on_451(self, name: str, path: str) -> None:
        self.answer(451, {})

    def on_redirect(self, name: str, path: str) -> None:
        """`/redirect/3/a.mp4`: three more redirects."""
        left, _, rest = name.partition("/")
        target = f"/redirect/{int(left) - 1}/{rest}" if int(left) > 1 else f"/files/{rest}"
        self.answer(302, {"Location": target})

    def on_loop(self, name: str, path: str) -> None:
        self.answer(302, {"Location": f"/loop/{name}"})

    def on_to(self, name: str, path: str) -> None:
        """`/to/?<url>`: redirects anywhere."""
        self.answer(302, {"Location": urllib.parse.unquote(urllib.parse.urlsplit(self.path).query)})

    def on_drip(self, name: str, path: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "video/mp4")
        self.send_header("Content-Length", str(len(self.file(name))))
        self.end_headers()
        for byte in self.file(name):
            self.body(bytes([byte]))
            time.sleep(0.05)

    def on_slow_header(self, name: str, path: str) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for number in range(10_000):
            self.wfile.write(f"X-{number}: x".encode())
            time.sleep(0.05)

    def on_endless(self, name: str, path: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "video/mp4")
        self.send_header("Connection", "close")
        self.end_headers()
        while True:
            self.body(bytes(1 << 16))

    def on_silent(self, name: str, path: str) -> None:
        time.sleep(30)

    def on_page(self, name: str, path: str) -> None:
        self.answer(200, {"Content-Type": "text/html; charset=utf-8"}, b"<!DOCTYPE html><html><body>Nothing here.</body></html>")

    def on_bomb(self, name: str, path: str) -> None:
        packed = gzip.compress(bytes(50_000_000))
        self.answer(200, {"Content-Type": "application/json", "Content-Encoding": "gzip"}, packed)

    # --- the video site -----------------------------------------------------------------------------------------------------------

    def json(self, data: Any) -> None:
        self.answer(200, {"Content-Type": "application/json"}, json.dumps(data).encode())

    def on_api(self, name: str, path: str) -> None:
        kind, _, rest = name.partition("/")
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        if kind == "video":
            if rest not in self.site.videos:
                return self.on_404(name, path)
            return self.json(self.site.videos[rest])
        if kind == "search":
            words = query["q"][0].lower()
            found = [key for key, video in self.site.videos.items() if words in json.dumps(video, ensure_ascii=False).lower()]
            return self.json(found)
        return self.json(self.site.lists.get(rest, []))

    def on_subs(self, name: str, path: str) -> None:
        self.answer(200, {"Content-Type": "text/vtt"}, SUBTITLE.format(words=f"words in {name}").encode())

    def on_playlist_m3u8(self, name: str, path: str) -> None:
        """The file in pieces, as HLS."""
        count = 4
        lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:2"]
        lines += [line for number in range(count) for line in ("#EXTINF:1.0,", f"/piece/{number}/{name}")]
        self.answer(200, {"Content-Type": "application/vnd.apple.mpegurl"}, "\n".join([*lines, "#EXT-X-ENDLIST"]).encode())

    def on_piece(self, name: str, path: str) -> None:
        number, _, rest = name.partition("/")
        data = self.file(rest)
        size = -(-len(data) // 4)
        self.answer(200, {"Content-Type": "video/mp2t"}, data[int(number) * size : (int(number) + 1) * size])


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what this server is for."""


@contextlib.contextmanager
def running_site() -> Iterator[Site]:
    """A site on a free port of loopback."""
    site = Site()
    handler = type("Handler", (_Handler,), {"site": site})
    server = _Server(("127.0.0.1", 0), handler)
    site.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
