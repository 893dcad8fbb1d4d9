"""A store that misbehaves: an HTTP proxy in front of moto's server, in a process of its own.

    with s3_server("bucket") as s3, faulty(s3.env["AWS_ENDPOINT_URL"], seed=1, share=0.05) as store:
        store.url                       # what AWS_ENDPOINT_URL is to be
        store.counts()                  # {"requests": …, "slow_down": …, "cut_after": …}

Each request is, with the given probability, drawn from a seeded generator:
`slow_down` 503, `internal` 500 (both without asking the store) · `cut_before` the connection is cut, the store never hears of it ·
`cut_after` the store answers, and then the connection is cut: what was asked for has happened · `half` the answer's body is cut ·
`delay` all is well, later · `hang` no answer for a long time, though it has happened.
`conditions`: `keep`; `ignore` (a store that takes every put and never mentions the condition); `refuse` (501).
"""

import argparse
import contextlib
import http.client
import json
import os
import random
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

KINDS = ("slow_down", "internal", "cut_before", "cut_after", "half", "delay")
_ERRORS = {"slow_down": (503, "SlowDown", "Please reduce your request rate."), "internal": (500, "InternalError", "We failed.")}
_HOP_HEADERS = {"connection", "transfer-encoding", "keep-alive"}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    target: tuple[str, int]
    chance: random.Random
    options: argparse.Namespace
    counts: Counter[str]
    lock = threading.Lock()
    conditional = threading.Lock()

    def log_message(self, *arguments: Any) -> None:
        pass

    def handle_one_request(self) -> None:
        with contextlib.suppress(ConnectionError, socket.timeout):
            super().handle_one_request()
            return
        self.close_connection = True

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/__faults__":
            if body:
                vars(self.options).update(json.loads(body))
            self._answer(200, {}, json.dumps(self.counts).encode())
            return
        with self.lock:
            fault = self.chance.choice(self.options.kinds) if self.chance.random() < self.options.share else "none"
            wait_s = self.chance.uniform(0.05, self.options.delay_s)
            self.counts["requests"] += 1
            self.counts[fault] += 1
        self._misbehave(fault, wait_s, body)

    def _misbehave(self, fault: str, wait_s: float, body: bytes) -> None:
        if fault in _ERRORS:
            status, code, message = _ERRORS[fault]
            self._answer(status, {}, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode())
            return
        if fault == "cut_before":
            self._cut()
            return
        if fault == "delay":
            time.sleep(wait_s)
        status, headers, answer = self._ask(body)
        if fault == "hang":
            time.sleep(self.options.hang_s)
        if fault in ("cut_after", "hang"):
            self._cut()
        else:
            self._answer(status, headers, answer, half=fault == "half")

    def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_HEADERS}
        condition = "If-None-Match" in self.headers
        if condition and self.options.conditions == "refuse":
            return 501, {}, b"<Error><Code>NotImplemented</Code><Message>A header you provided is not implemented.</Message></Error>"
        if condition and self.options.conditions == "ignore":
            headers = {name: value for name, value in headers.items() if name.lower() != "if-none-match"}
        connection = http.client.HTTPConnection(*self.target, timeout=60)
        # moto looks whether the name is free, and then writes: two at once are both told that they were first, as S3 never does.
        alone = self.conditional if condition else contextlib.nullcontext()
        with alone:
            return self._forwarded(connection, headers, body)

    def _forwarded(self, connection: http.client.HTTPConnection, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        try:
            connection.request(self.command, self.path, body=body, headers=headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: dict[str, str], body: bytes, half: bool = False) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in {*_HOP_HEADERS, "content-length", "date", "server"}:
                self.send_header(name, value)
        length = headers.get("Content-Length", str(len(body))) if self.command == "HEAD" else str(len(body))
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(body[: len(body) // 2] if half and len(body) > 1 else body)
        if half and len(body) > 1:
            self.wfile.flush()
            self._cut()

    def _cut(self) -> None:
        """A reset, not a polite end."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True
        raise ConnectionAbortedError

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve


@dataclass(frozen=True)
class FaultyStore:
    """url: of the proxy."""

    url: str

    def _speak(self, data: bytes | None = None) -> dict[str, int]:
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/__faults__", data=data), timeout=30) as answer:
            found: dict[str, int] = json.load(answer)
            return found

    def counts(self) -> dict[str, int]:
        """Requests so far, and how many met which fault."""
        return self._speak()

    def set(self, **options: Any) -> None:
        """Changes share, kinds, conditions, delay_s or hang_s from the next request on."""
        self._speak(json.dumps(options).encode())


@contextlib.contextmanager
def faulty(target: str, seed: int, share: float = 0.05, kinds: Sequence[str] = KINDS, conditions: str = "keep") -> Iterator[FaultyStore]:
    """The proxy, listening on loopback."""
    command = [sys.executable, str(Path(__file__)), target, "--seed", str(seed), "--share", str(share), "--conditions", conditions]
    process = subprocess.Popen([*command, "--kinds", *kinds], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        yield FaultyStore(f"http://127.0.0.1:{int(process.stdout.readline())}")
    finally:
        process.kill()
        process.communicate()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("target")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--share", type=float)
    parser.add_argument("--kinds", nargs="+")
    parser.add_argument("--conditions")
    parser.add_argument("--delay-s", type=float, default=0.5)
    parser.add_argument("--hang-s", type=float, default=90.0)
    Handler.options = parser.parse_args()
    host, port = Handler.options.target.removeprefix("http://").split(":")
    Handler.target, Handler.chance, Handler.counts = (host, int(port)), random.Random(Handler.options.seed), Counter()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    main()
