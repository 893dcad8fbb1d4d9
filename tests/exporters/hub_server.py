"""A server on loopback that speaks as much of the Hub's API as uploads and readers use, with its refusals on demand."""

import base64
import hashlib
import json
import re
import threading
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "a" * 40
_LARGE = (".tar", ".parquet", ".mp4")


@dataclass
class Hub:
    """repos: files by repository and path. blobs: large contents by sha256. private: repositories created so. requests: method and path.
    refusals: regular expression of a path -> statuses still to be answered there. slow_s: waited before each blob is taken."""

    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    private: dict[str, bool] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    refusals: dict[str, list[int]] = field(default_factory=dict)
    slow_s: float = 0.0
    token: str = "hf_test"
    commits: Counter[str] = field(default_factory=Counter)
    server: ThreadingHTTPServer = field(init=False)

    def __post_init__(self) -> None:
        hub = self

        class Handler(_Handler):
            state = hub

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def uploads(self) -> list[str]:
        """sha256 of every blob sent, in order."""
        return [path.removeprefix("/_blob/") for method, path in self.requests if method == "PUT"]


class _Handler(BaseHTTPRequestHandler):
    state: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self, status: int, content: Any = b"", **headers: str) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", headers.pop("content_type", "application/json"))
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().strip(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _handle(self) -> None:
        url = urlsplit(self.path)
        path, body = unquote(url.path), self._body()
        self.state.requests.append((self.command, path))
        for pattern, statuses in self.state.refusals.items():
            if statuses and re.search(pattern, path):
                return self._answer(statuses.pop(0), {"error": "not now"}, Retry_After="1")
        if not path.startswith("/_blob") and self.headers.get("authorization") != f"Bearer {self.state.token}":
            return self._answer(401, {"error": "Invalid credentials"})
        for pattern, method in _ROUTES:
            match = re.fullmatch(pattern, path)
            if match:
                return method(self, body, parse_qs(url.query), *match.groups())
        return self._answer(404, {"error": f"no route {path}"})

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = _handle

    def _create(self, body: bytes, _: Any) -> None:
        asked = json.loads(body)
        repo = f"{asked.get('organization') or 'me'}/{asked['name']}"
        url = f"{self.state.endpoint}/datasets/{repo}"
        if repo in self.state.repos:
            return self._answer(409, {"error": "exists", "url": url})
        self.state.repos[repo] = {}
        self.state.private[repo] = bool(asked.get("private")) or asked.get("visibility") == "private"
        return self._answer(200, {"url": url, "name": repo, "id": repo})

    def _files(self, repo: str) -> dict[str, bytes] | None:
        if repo not in self.state.repos:
            self._answer(404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
            return None
        return self.state.repos[repo]

    def _info(self, _: bytes, __: Any, repo: str, ___: Any = None) -> None:
        files = self._files(repo)
        if files is not None:
            siblings = [{"rfilename": path} for path in files]
            more = {"private": self.state.private[repo], "tags": [], "downloads": 0, "likes": 0, "gated": False, "disabled": False}
            self._answer(200, {"id": repo, "sha": COMMIT, "siblings": siblings, **more})

    def _preupload(self, body: bytes, _: Any, repo: str, __: str) -> None:
        if self._files(repo) is not None:
            asked = [file["path"] for file in json.loads(body)["files"]]
            modes = [
                {"path": path, "uploadMode": "lfs" if path.endswith(_LARGE) else "regular", "shouldIgnore": False, "oid": None}
                for path in asked
            ]
            self._answer(200, {"files": modes})

    def _commit(self, body: bytes, _: Any, repo: str, __: str) -> None:
        files = self._files(repo)
        if files is None:
            return
        for line in body.decode().splitlines():
            entry = json.loads(line)
            key, value = entry["key"], entry["value"]
            if key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                files[value["path"]] = self.state.blobs[value["oid"]]
            elif key == "deletedFile":
                files.pop(value["path"])
        self.state.commits[repo] += 1
        self._answer(200, {"commitUrl": f"{self.state.endpoint}/datasets/{repo}/commit/{COMMIT}", "commitOid": COMMIT, "success": True})

    def _entry(self, path: str, data: bytes) -> dict[str, Any]:
        entry: dict[str, Any] = {"type": "file", "path": path, "size": len(data)}
        entry["oid"] = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        if path.endswith(_LARGE):
            entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
        return entry

    def _tree(self, _: bytes, query: dict[str, list[str]], repo: str, __: str, below: str | None) -> None:
        files = self._files(repo)
        if files is None:
            return
        start = f"{below}/" if below else ""
        deep = query.get("recursive", ["false"])[0].lower() in ("true", "1")
        found, folders = [], set()
        for path in sorted(files):
            if path.startswith(start):
                parts = path[len(start) :].split("/")
                folders |= {start + "/".join(parts[:depth]) for depth in range(1, len(parts))}
                if deep or len(parts) == 1:
                    found.append(self._entry(path, files[path]))
        shown = sorted(folder for folder in folders if deep or "/" not in folder[len(start) :])
        found += [{"type": "directory", "path": folder, "size": 0, "oid": COMMIT} for folder in shown]
        if below and not found:
            return self._answer(404, {"error": "not found"}, X_Error_Code="EntryNotFound")
        return self._answer(200, found)

    def _paths(self, body: bytes, _: Any, repo: str, __: str) -> None:
        files = self._files(repo)
        if files is None:
            return
        asked = parse_qs(body.decode()) if b"=" in body[:20] else json.loads(body)
        found: list[dict[str, Any]] = []
        for path in asked["paths"]:
            if path in files:
                found.append(self._entry(path, files[path]))
            elif any(file.startswith(path.rstrip("/") + "/") for file in files):
                found.append({"type": "directory", "path": path, "size": 0, "oid": COMMIT})
        self._answer(200, found)

    def _batch(self, body: bytes, _: Any, __: str) -> None:
        objects = []
        for asked in json.loads(body)["objects"]:
            entry = {"oid": asked["oid"], "size": asked["size"]}
            if asked["oid"] not in self.state.blobs:
                entry["actions"] = {"upload": {"href": f"{self.state.endpoint}/_blob/{asked['oid']}"}}
            objects.append(entry)
        self._answer(200, {"transfer": "basic", "objects": objects}, content_type="application/vnd.git-lfs+json")

    def _blob(self, body: bytes, _: Any, oid: str) -> None:
        if self.state.slow_s:
            threading.Event().wait(self.state.slow_s)
        if hashlib.sha256(body).hexdigest() != oid:
            return self._answer(400, {"error": "wrong hash"})
        self.state.blobs[oid] = body
        return self._answer(200)

    def _resolve(self, _: bytes, __: Any, repo: str, ___: str, path: str) -> None:
        data = self.state.repos.get(repo, {}).get(path)
        if data is None:
            code = "EntryNotFound" if repo in self.state.repos else "RepoNotFound"
            return self._answer(404, {"error": "not found"}, X_Error_Code=code, X_Repo_Commit=COMMIT)
        headers = {"X_Repo_Commit": COMMIT, "ETag": f'"{hashlib.sha1(data).hexdigest()}"', "Accept_Ranges": "bytes"}
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if match and self.command == "GET":
            first, last = int(match[1]), min(int(match[2] or len(data) - 1), len(data) - 1)
            headers["Content_Range"] = f"bytes {first}-{last}/{len(data)}"
            return self._answer(206, data[first : last + 1], content_type="application/octet-stream", **headers)
        return self._answer(200, data, content_type="application/octet-stream", **headers)


_REPO = r"([^/]+/[^/]+)"
_ROUTES = [
    (r"/api/repos/create", _Handler._create),
    (rf"/api/datasets/{_REPO}", _Handler._info),
    (rf"/api/datasets/{_REPO}/revision/([^/]+)", _Handler._info),
    (rf"/api/datasets/{_REPO}/preupload/([^/]+)", _Handler._preupload),
    (rf"/api/datasets/{_REPO}/commit/([^/]+)", _Handler._commit),
    (rf"/api/datasets/{_REPO}/tree/([^/]+)(?:/(.+))?", _Handler._tree),
    (rf"/api/datasets/{_REPO}/paths-info/([^/]+)", _Handler._paths),
    (rf"/datasets/{_REPO}\.git/info/lfs/objects/batch", _Handler._batch),
    (r"/_blob/([0-9a-f]+)", _Handler._blob),
    (rf"/datasets/{_REPO}/resolve/([^/]+)/(.+)", _Handler._resolve),
    (r"/api/whoami-v2", lambda handler, *_: handler._answer(200, {"name": "me", "type": "user", "orgs": []})),
    (r"/api/validate-yaml", lambda handler, *_: handler._answer(200, {"errors": [], "warnings": []})),
]
