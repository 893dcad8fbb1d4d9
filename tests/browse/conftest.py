"""One strange set, and one browser served over it, for all tests of this folder."""

import http.client
import json
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from internvid_pipeline.browse.server import Server, opened_browser
from internvid_pipeline.cli.dataset import open_dataset
from tests.browse.strange_set import made_once


@dataclass
class Client:
    """Asks the server as a web browser does."""

    server: Server
    root: Path
    annotator: str

    def ask(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """path: behind the token. Returns status, headers by small names, and the body."""
        return self.raw(f"/{self.server.token}/{path}", method, body, **headers)

    def raw(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def get(self, path: str, status: int = 200) -> Any:
        found, _, body = self.ask(f"api/{path}")
        assert found == status, body
        return json.loads(body)

    def post(self, path: str, data: Any, status: int = 200) -> Any:
        found, _, body = self.ask(f"api/{path}", "POST", json.dumps(data).encode(), content_type="application/json")
        assert found == status, body
        return json.loads(body)

    def clips(self, **page: Any) -> list[dict[str, Any]]:
        return self.post("clips", {"show": "all", "limit": 200, **page})["clips"]


@pytest.fixture(scope="session")
def strange_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for the whole process, whichever folders' tests ask for it. It is left as it was found, but for marks."""
    return made_once(tmp_path_factory.getbasetemp() / "strange")


def serve(root: Path | str) -> Iterator[Client]:
    """A browser of somebody of its own."""
    opened, config, plans, partitions = open_dataset(str(root))
    annotator = f"tester-{secrets.token_hex(4)}"
    with opened_browser(opened, config.name, plans, partitions, annotator) as browser:
        server = Server(browser)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        yield Client(server, Path(root), annotator)
        server.stop()
        thread.join(20)


@pytest.fixture(scope="session")
def client(strange_root: Path) -> Iterator[Client]:
    yield from serve(strange_root)
