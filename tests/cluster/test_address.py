"""What is said, in one line and with status 2 or 3, where there is no job server to be found."""

import http.server
import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from internvid_pipeline.cluster.address import auth_token, check_server, server_address
from internvid_pipeline.errors import SetupError, UsageError
from tests.cluster.nodes import Cluster
from tests.s3 import free_port

REPO = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("http://head:8265", "http://head:8265"),
        ("https://ray.example/", "https://ray.example:8265"),
        ("head:1234", "http://head:1234"),
        ("http://[::1]:8265", "http://[::1]:8265"),
    ],
)
def test_addresses(given: str, wanted: str):
    assert server_address(given) == wanted


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("ray://head:10001", "jobs go to the job server: http://head:8265"),
        ("head", "write it as http://HEAD:8265"),
        ("ftp://head", "write it as http://HEAD:8265"),
        ("http://head:99999", "the port is not a number up to 65535"),
        ("http://me:password1@head:8265", "holds a password"),
    ],
)
def test_what_is_no_address(given: str, words: str):
    with pytest.raises(UsageError, match=r"job server|password|port") as caught:
        server_address(given)
    assert words in str(caught.value) and "password1" not in str(caught.value)


def test_the_environment_gives_the_address(monkeypatch: pytest.MonkeyPatch):
    for name in ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match="add --address"):
        server_address(None)
    monkeypatch.setenv("RAY_ADDRESS", "http://other:8265")
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://head:8265")
    assert server_address(None) == "http://head:8265"
    assert server_address("http://mine:1") == "http://mine:1"


class _Silly(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(100)
        self.request.sendall(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00 what a gRPC server says to HTTP\r\n")


@pytest.fixture
def no_ray() -> Iterator[tuple[str, str]]:
    """Addresses of a web server that is not Ray's, and of something that speaks no HTTP."""
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    raw = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Silly)
    servers = (web, raw)
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield tuple(f"http://127.0.0.1:{server.server_address[1]}" for server in servers)
    for server in servers:
        server.shutdown()
        server.server_close()


def test_something_else_listens(no_ray: tuple[str, str]):
    web, raw = no_ray
    with pytest.raises(SetupError, match="is not Ray's job server"):
        check_server(web)
    with pytest.raises(SetupError, match="does not speak HTTP"):
        check_server(raw)


def test_nothing_listens():
    with pytest.raises(SetupError, match=r"no cluster at http://127.0.0.1:[0-9]+: Connection refused"):
        check_server(f"http://127.0.0.1:{free_port()}")


def test_the_token_is_found_as_ray_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "token").write_text("from-file\n")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    assert auth_token() == "from-file"
    monkeypatch.setenv("RAY_AUTH_TOKEN", "from-variable")
    assert auth_token() == "from-variable"
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "none"))
    assert auth_token() is None


@pytest.mark.ray
@pytest.mark.parametrize(
    ("env", "words"),
    [({"RAY_AUTH_TOKEN": "not-the-token"}, "refuses the token"), ({"RAY_AUTH_TOKEN_PATH": "/none"}, "asks for a token and there is none")],
    ids=["wrong", "none"],
)
def test_a_token_that_does_not_fit(cluster: Cluster, env: dict[str, str], words: str):
    command = [sys.executable, "-m", "internvid_pipeline.cli.main", "jobs", "--address", cluster.http]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, env={**kept, **env}, timeout=60)
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1 and words in done.stderr and "RAY_AUTH_TOKEN" in done.stderr
    assert "not-the-token" not in done.stderr
