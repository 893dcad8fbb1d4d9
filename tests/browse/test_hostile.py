"""What strangers put into titles, captions, addresses and questions is text, or is refused; and nobody else is answered."""

import http.client
import json
import socket
from pathlib import Path
from urllib.parse import quote

import pytest

from internvid_pipeline.browse.marks import checked_annotator
from internvid_pipeline.browse.media import Span, pieces, size_of
from internvid_pipeline.errors import StorageError, UsageError
from internvid_pipeline.records import MediaRef
from internvid_pipeline.report.frames import PictureFinder
from internvid_pipeline.report.reading import SetReader
from internvid_pipeline.storage import Root
from tests.browse.conftest import Client
from tests.browse.strange_set import CAPTIONS, LONG_WORD, TITLES

STRANGE = (
    "<script>alert(1)</script>",
    "' OR 1=1; DROP TABLE rows; --",
    "\"; ATTACH '/etc/passwd' AS x; --",
    "../../../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "a\0b",
    "%00",
    "\u202e\u2066مرحبا",
    "x" * 490,
    "$(id) `id` ${7*7} {{7*7}}",
)


def test_texts_come_back_as_they_are(client: Client):
    clips = client.clips()
    assert {clip["video_title"] for clip in clips} == set(TITLES)
    assert {clip["caption"] for clip in clips} == {f"{caption} ." for caption in CAPTIONS}
    (found,) = {clip["video_title"] for clip in client.clips(wanted={"search": "x" * 400, "search_in": "title"})}
    assert found == LONG_WORD


@pytest.mark.parametrize("text", STRANGE)
def test_strange_questions_find_nothing_or_are_refused(client: Client, text: str):
    everything = client.get("set")["clips"]
    for wanted in ({"search": text}, {"languages": [text]}, {"licences": [text]}, {"categories": [text]}):
        found = client.post("clips", {"wanted": wanted, "show": "all" if "search" in wanted else "kept"})
        assert found["total"] < everything
        client.post("counts", wanted)
    assert client.post("losses", {"search": text, "name": text[:200]})["total"] == 0
    assert "error" in client.post("clips", {"order": text}, status=400)
    assert "error" in client.post("counts", {"bounds": {text: [0, 1]}}, status=400)
    assert "error" in client.post("counts", {"top": {text: 0.5}}, status=400)
    assert "error" in client.post("counts", {"where": text}, status=400)
    assert "error" in client.post("yaml", {"name": text, "wanted": {}}, status=400)
    assert "error" in client.post("mark", {"number": 0, "verdict": text}, status=400)
    status, _, body = client.ask(f"api/clip?n={quote(text, safe='')}")
    assert status == 400 and "no number" in json.loads(body)["error"]
    assert client.get("set")["clips"] == everything


@pytest.mark.parametrize(
    "condition",
    [
        "1=1; DROP TABLE rows",
        "(SELECT count(*) FROM read_csv('/etc/passwd')) > 0",
        "clip_id in (SELECT clip_id FROM marked)",
        "read_text('/etc/passwd') is not null",
        "getenv('HOME') = duration_s",
        "nonsense > 3",
        "duration_s > ",
        "rows.duration_s > 1",
        "upper(video_title) + 1 > 0",
        "(" * 200,
    ],
)
def test_conditions_look_at_columns_of_the_set_and_at_nothing_else(client: Client, condition: str):
    for question, body in (
        ("counts", {"where": condition}),
        ("clips", {"wanted": {"where": condition}}),
        ("histograms", {"where": condition}),
    ):
        assert client.post(question, body, status=400)["error"]
    assert client.get("set")["clips"] > 12


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[1", 400),
        (b"[" * 50_000, 400),
        (b"null", 400),
        (b'{"wanted": {"unknown": 1}}', 400),
        (b'{"limit": 100000}', 400),
        (b'{"offset": -1}', 400),
        (b'{"wanted": {"bounds": {"motion": [NaN, null]}}}', 400),
        (b'{"wanted": {"bounds": {"motion": [1e400, null]}}}', 400),
        (b'{"wanted": {"search": "' + b"x" * 70_000 + b'"}}', 413),
        (b'{"wanted": {"search": "' + b"x" * 10_000 + b'"}}', 400),
        (b"\xff\xfe", 400),
        (b'{"wanted": {"search": "\\ud800"}}', 400),
    ],
)
def test_bodies_that_are_no_question(client: Client, body: bytes, status: int):
    found, _, answer = client.ask("api/clips", "POST", body, content_type="application/json")
    assert (found, bool(json.loads(answer)["error"])) == (status, True)


def test_only_the_page_itself_may_ask(client: Client):
    own = f"127.0.0.1:{client.server.port}"
    ok = json.dumps({}).encode()
    assert client.ask("api/counts", "POST", ok, content_type="application/json", origin=f"http://{own}")[0] == 200
    assert client.ask("api/counts", "POST", ok, content_type="application/json", origin="https://evil.example")[0] == 403
    assert client.ask("api/counts", "POST", ok, content_type="application/json", sec_fetch_site="cross-site")[0] == 403
    assert client.ask("api/counts", "POST", ok, content_type="text/plain")[0] == 415
    assert client.ask("api/set", host="evil.example")[0] == 403
    assert client.ask("api/set", host=f"localhost:{client.server.port}")[0] == 200
    assert client.ask("api/mark", "GET")[0] == 405 and client.ask("api/set", "POST", ok)[0] == 405


def test_without_the_token_nothing(client: Client):
    for path in ("/", "/api/set", "/static/main.js", f"/{client.server.token[:-1]}/api/set", f"/{client.server.token}x/", "//", "/%00/"):
        status, headers, body = client.raw(path)
        assert status in (400, 404) and body in (b"not found", b"this is no address of the browser"), path
        assert "content-security-policy" in headers


@pytest.mark.parametrize(
    "path",
    [
        "static/../app.py",
        "static/..%2fapp.py",
        "static/%2e%2e/app.py",
        "static/..%5capp.py",
        "static//etc/passwd",
        "static/%00",
        "static/main.js%00.css",
        "../../etc/passwd",
        "media/clip?n=../../etc/passwd",
        "media/..?n=1",
        "frame/clip?n=0&i=-1",
        "frame/nothing?n=0&i=0",
        "media/clip?n=99999999",
        "media/clip?n=" + "9" * 400,
        "api/clip?n=" + "1" * 9000,
    ],
)
def test_no_path_leads_out(client: Client, path: str):
    connection = socket.create_connection(("127.0.0.1", client.server.port))
    connection.sendall(f"GET /{client.server.token}/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.split(b" ")[1] in (b"400", b"404"), answer[:300]
    assert b"import " not in answer and b"root:" not in answer


def test_headers_forbid_what_the_page_does_not_need(client: Client):
    for path in ("", "static/main.js", "api/set", "frame/clip?n=0&i=0", "media/clip?n=0", "nothing"):
        _, headers, _ = client.ask(path)
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")


def test_the_page_holds_nothing_inline_and_nothing_from_elsewhere(client: Client):
    page = client.ask("")[2].decode()
    assert "<style" not in page and "style=" not in page and " on" not in page.replace(" one ", "") and page.count("<script") == 1
    for name in ("main", "dom", "api", "state", "sliders", "filters", "grid", "detail", "differ", "lost"):
        status, headers, body = client.ask(f"static/{name}.js")
        assert (status, headers["content-type"].split(";")[0]) == (200, "text/javascript")
        for forbidden in (
            b"innerHTML",
            b"outerHTML",
            b"insertAdjacentHTML",
            b"document.write",
            b"eval(",
            b"https://",
            b'setAttribute("style',
        ):
            assert forbidden not in body, (name, forbidden)


def test_it_listens_on_loopback_only(client: Client):
    assert client.server._socket.getsockname()[0] == "127.0.0.1"
    others = {entry[4][0] for entry in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)} - {"127.0.0.1"}
    for address in others:
        if address.startswith("127."):
            continue
        with pytest.raises(OSError):
            http.client.HTTPConnection(address, client.server.port, timeout=3).request("GET", "/")


def test_media_outside_of_the_root_is_not_read(tmp_path: Path):
    root = Root(str(tmp_path / "root"))
    (tmp_path / "secret").write_bytes(b"secret")
    for uri in (str(tmp_path / "secret"), "file:///etc/passwd", "s3://bucket/x", "../secret", "a/../../secret"):
        with pytest.raises((StorageError, FileNotFoundError)):
            size_of(root, MediaRef(uri=uri))
        finder = PictureFinder(SetReader(root, [], []))
        with pytest.raises((StorageError, FileNotFoundError)):
            finder.read(MediaRef(uri=uri, offset_bytes=0, size_bytes=6), 100)
        told = MediaRef(uri=uri, offset_bytes=0, size_bytes=6)  # a row that says how long it is
        with pytest.raises((StorageError, FileNotFoundError)):
            list(pieces(root, told, Span(0, size_of(root, told), 6)))


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a b", "x" * 50, "..", ".hidden", "a..b"])
def test_names_of_people_cannot_lead_anywhere(name: str):
    with pytest.raises(UsageError):
        checked_annotator(name)
