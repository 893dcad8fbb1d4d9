"""The application: addresses, and what each answers. Everything but marks is read-only."""

import json
import math
from collections.abc import Callable
from functools import partial
from importlib import resources
from typing import TYPE_CHECKING, Any

from internvid_pipeline.browse.details import Details
from internvid_pipeline.browse.guard import App, Guard
from internvid_pipeline.browse.media import Span, pieces, size_of, wanted_span
from internvid_pipeline.browse.queries import MOST_PAGE, Queries
from internvid_pipeline.browse.questions import Lost, Mark, Numbers, Page, Written
from internvid_pipeline.browse.wanted import Wanted
from internvid_pipeline.browse.written import written
from internvid_pipeline.config import validated
from internvid_pipeline.errors import InternvidError, UsageError
from internvid_pipeline.media.picture_type import frame_format
from internvid_pipeline.records import CaptionRecord, MediaRef
from internvid_pipeline.report.frames import PictureFinder, Pictures

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

_TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
_MOST_BODY_BYTES = 64_000
_MOST_FRAME_BYTES = 8 * 10**6
_KEPT = {"cache-control": "private, max-age=3600"}


class Browser:
    """What the addresses answer, as plain functions: they run in threads."""

    def __init__(self, name: str, queries: Queries) -> None:
        self.name, self.queries, self.index = name, queries, queries.index
        self.reader = queries.index.reader
        self.finder = PictureFinder(self.reader)
        self.details = Details(self.reader, self.finder)

    def set(self) -> dict[str, Any]:
        """What the page needs to know at its start."""
        index = self.index
        return {
            "name": self.name,
            "clips": index.rows("SELECT count(*) FROM rows")[0][0],
            "partitions": [len(index.partitions), len(self.reader.partitions)],
            "names": self.queries.names,
            "lost": self.queries.lost_names(),
            "has_speech": index.has_speech,
            "fingerprints": self.details.fingerprints(CaptionRecord),
            "columns": list(index.columns),
        }

    def place(self, number: int) -> tuple[int, str, str]:
        """Partition, clip and video of a clip's number. Raises FileNotFoundError."""
        found = self.index.rows("SELECT partition, clip_id, video_id FROM rows WHERE number = ?", [number])
        if not found:
            raise FileNotFoundError(f"there is no clip {number}")
        return found[0][0], found[0][1], found[0][2]

    def lost_place(self, number: int) -> tuple[int, str, str | None]:
        """Partition, item and what it is part of. Raises FileNotFoundError."""
        found = self.index.rows("SELECT partition, item_id, part_of FROM lost WHERE id = ?", [number])
        if not found:
            raise FileNotFoundError(f"there is no lost item {number}")
        return found[0][0], found[0][1], found[0][2]

    def clip(self, number: int) -> dict[str, Any]:
        """Everything known of a clip."""
        return {"number": number, **self.details.clip(*self.place(number)), "mark": self.queries.marks.verdict(self.place(number)[1])}

    def lost_item(self, number: int) -> dict[str, Any]:
        """Everything known of a lost item."""
        return {"id": number, **self.details.lost(*self.lost_place(number))}

    def captions(self, numbers: list[int]) -> list[dict[str, Any]]:
        """Captions of every fingerprint, of some clips."""
        return [{"number": n, "versions": self.details.versions(CaptionRecord, *self.place(n)[:2])} for n in numbers[:MOST_PAGE]]

    def pictures(self, kind: str, number: int) -> Pictures:
        """Media and frames of a clip or of a lost item. Raises FileNotFoundError where nothing was kept."""
        found = self.finder.find(*self.place(number)[:2]) if kind == "clip" else self.finder.find(*self.lost_place(number))
        if found is None:
            raise FileNotFoundError("nothing was kept of it")
        return found

    def frame(self, kind: str, number: int, place: int) -> bytes:
        """A kept frame, JPEG. Raises FileNotFoundError, StorageError."""
        frames = self.pictures(kind, number).frames
        if not frames:
            raise FileNotFoundError("no frame was kept of it")
        return self.finder.read(frames[min(place, len(frames) - 1)].media, _MOST_FRAME_BYTES)

    def media(self, kind: str, number: int) -> tuple[MediaRef, int]:
        """The file of a clip, or the source file of a lost item where it lies in the data set, and its length."""
        found = self.pictures(kind, number)
        ref = found.clip or found.video
        if ref is None:
            raise FileNotFoundError("nothing that plays was kept of it")
        return ref, size_of(self.reader.root, ref)


def build_app(browser: Browser, token: str) -> App:
    """The application with its guard around it."""
    from starlette.applications import Starlette
    from starlette.routing import Route

    queries = browser.queries
    get = {
        "/api/set": lambda request: browser.set(),
        "/api/clip": lambda request: browser.clip(_number(request, "n")),
        "/api/lost": lambda request: browser.lost_item(_number(request, "n")),
    }
    post: dict[str, Callable[[Any], Any]] = {
        "/api/clips": lambda body: _page(queries, validated(Page, body, "clips")),
        "/api/captions": lambda body: browser.captions([int(n) for n in validated(Numbers, body, "captions").numbers]),
        "/api/counts": lambda body: queries.counts(validated(Wanted, body, "selection")),
        "/api/histograms": lambda body: queries.histograms(validated(Wanted, body, "selection")),
        "/api/losses": lambda body: queries.lost(**validated(Lost, body, "losses").model_dump()),
        "/api/mark": lambda body: _mark(browser, validated(Mark, body, "mark")),
        "/api/yaml": lambda body: written(queries, validated(Written, body, "selection")),
    }
    routes = [
        *(Route(path, _get(answer)) for path, answer in get.items()),
        *(Route(path, _post(answer), methods=["POST"]) for path, answer in post.items()),
        Route("/frame/{kind}", partial(_frame, browser)),
        Route("/media/{kind}", partial(_media, browser)),
        Route("/", _static),
        Route("/static/{name}", _static),
    ]
    return Guard(Starlette(routes=routes), token)


def _page(queries: Queries, page: Page) -> dict[str, Any]:
    return queries.page(page.wanted, page.show, page.order, page.descending, page.offset, page.limit, page.seed)


def _mark(browser: Browser, mark: Mark) -> dict[str, Any]:
    browser.queries.mark(mark.number, mark.verdict)
    return {"number": mark.number, "verdict": mark.verdict}


def _number(request: "Request", name: str) -> int:
    text = request.query_params.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise UsageError(f"{name}={text[:40]!r} is no number")
    return int(text)


def plain(value: Any) -> Any:
    """Data that JSON can say: what is no finite number is none."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list | tuple) else value


def _json(data: Any, status: int = 200) -> "Response":
    from starlette.responses import Response

    text = json.dumps(plain(data), ensure_ascii=False, default=str)
    return Response(text.encode(errors="replace"), status, {"cache-control": "no-store"}, "application/json")


def _failed(error: Exception) -> "Response":
    status = 400 if isinstance(error, UsageError) else 404 if isinstance(error, FileNotFoundError) else 502
    return _json({"error": " ".join(str(error).split())[:1000]}, status)


def _get(answer: Callable[["Request"], Any]) -> Any:
    async def endpoint(request: "Request") -> "Response":
        return await _answered(lambda: answer(request))

    return endpoint


def _post(answer: Callable[[Any], Any]) -> Any:
    async def endpoint(request: "Request") -> "Response":
        data = b""
        async for piece in request.stream():
            data += piece
            if len(data) > _MOST_BODY_BYTES:
                return _json({"error": f"more than {_MOST_BODY_BYTES} bytes"}, 413)
        if not request.headers.get("content-type", "").startswith("application/json"):
            return _json({"error": "send application/json"}, 415)
        try:
            body = json.loads(data)
        except (ValueError, RecursionError):
            return _json({"error": "this is no JSON"}, 400)
        return await _answered(lambda: answer(body))

    return endpoint


async def _answered(work: Callable[[], Any]) -> "Response":
    from starlette.concurrency import run_in_threadpool

    try:
        return _json(await run_in_threadpool(work))
    except (InternvidError, FileNotFoundError) as error:
        return _failed(error)


async def _frame(browser: Browser, request: "Request") -> "Response":
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import Response

    try:
        kind, number, place = _kind(request), _number(request, "n"), _number(request, "i")
        data = await run_in_threadpool(browser.frame, kind, number, place)
    except (InternvidError, FileNotFoundError) as error:
        return _failed(error)
    return Response(data, 200, _KEPT, f"image/{frame_format(data)}")


def _kind(request: "Request") -> str:
    kind: str = request.path_params["kind"]
    if kind not in ("clip", "lost"):
        raise FileNotFoundError("there are clip and lost")
    return kind


async def _media(browser: Browser, request: "Request") -> "Response":
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import StreamingResponse

    try:
        ref, total = await run_in_threadpool(browser.media, _kind(request), _number(request, "n"))
    except (InternvidError, FileNotFoundError) as error:
        return _failed(error)
    try:
        span = wanted_span(request.headers.get("range"), total)
    except UsageError as error:
        response = _json({"error": str(error)}, 416)
        response.headers["content-range"] = f"bytes */{total}"
        return response
    headers = {"accept-ranges": "bytes", **_KEPT}
    if span is not None:
        headers["content-range"] = f"bytes {span.start}-{span.end - 1}/{total}"
    sent = span or Span(0, total, total)
    headers["content-length"] = str(sent.end - sent.start)
    return StreamingResponse(pieces(browser.reader.root, ref, sent), 200 if span is None else 206, headers, "video/mp4")


async def _static(request: "Request") -> "Response":
    from starlette.responses import Response

    name = request.path_params.get("name", "index.html")

    folder = resources.files("internvid_pipeline.browse").joinpath("static")
    known = {file.name: file for file in folder.iterdir()}  # looked up, never joined: a name cannot lead anywhere else
    ending = name.rsplit(".", 1)[-1]
    if name not in known or ending not in _TYPES:
        return _json({"error": "not found"}, 404)
    return Response(known[name].read_bytes(), 200, {"cache-control": "no-cache"}, _TYPES[ending])
