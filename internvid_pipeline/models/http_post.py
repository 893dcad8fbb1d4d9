"""One connection to an HTTP server that is kept open between requests; answers are bounded, and every fault is one kind of error."""

import contextlib
import email.utils
import http.client
import json
import ssl
import time
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MOST_ANSWER_BYTES = 4_000_000
_MOST_WAIT_S = 120.0
_WORDS = 300


class Fault(Exception):
    """No whole answer came, or the server says that it failed."""


@dataclass(frozen=True)
class Reply:
    """A whole answer."""

    status: int
    data: bytes
    retry_after_s: float | None

    def json(self) -> dict[str, Any]:
        """The answer's JSON object. Raises Fault where it holds none."""
        try:
            found = json.loads(self.data)
        except ValueError as error:
            raise Fault(f"an answer that is no JSON: {self.words()}") from error
        if not isinstance(found, dict):
            raise Fault(f"an answer that is no JSON object: {self.words()}")
        return found

    def words(self) -> str:
        """The beginning of the answer, in one line."""
        return " ".join(self.data.decode(errors="replace").split())[:_WORDS]


class Connection:
    """Opened at the first request and again after a fault. url: the server's address up to the path that requests go below."""

    def __init__(self, url: str, timeout_s: float, headers: Mapping[str, str]) -> None:
        self._parts = urllib.parse.urlsplit(url)
        self._timeout_s, self._headers = timeout_s, dict(headers)
        self._open: http.client.HTTPConnection | None = None

    def post(self, path: str, body: bytes) -> Reply:
        """Sends a request and waits for its whole answer. Raises Fault."""
        return self._request("POST", path, body)

    def get(self, path: str) -> Reply:
        """As `post`, without a body."""
        return self._request("GET", path, None)

    def close(self) -> None:
        """Closes the connection; the next request opens one."""
        if self._open is not None:
            with contextlib.suppress(OSError):
                self._open.close()
        self._open = None

    def _request(self, method: str, path: str, body: bytes | None) -> Reply:
        was_open = self._open is not None
        try:
            return self._once(method, path, body)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
            self.close()
            if not was_open:
                raise Fault(f"{type(error).__name__}: {error}") from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Fault(f"{type(error).__name__}: {error}") from error
        # A server may close a connection that lay idle at the moment in which we use it: once more, on a new one.
        try:
            return self._once(method, path, body)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Fault(f"{type(error).__name__}: {error}") from error

    def _once(self, method: str, path: str, body: bytes | None) -> Reply:
        connection = self._open = self._open or self._connected()
        connection.request(method, f"{self._parts.path.rstrip('/')}{path}", body, self._headers)
        response = connection.getresponse()
        data = response.read(_MOST_ANSWER_BYTES + 1)
        if len(data) > _MOST_ANSWER_BYTES:
            self.close()
            raise Fault(f"an answer of more than {_MOST_ANSWER_BYTES} bytes")
        if response.will_close:
            self.close()
        return Reply(response.status, data, _retry_after_s(response.getheader("Retry-After")))

    def _connected(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=self._timeout_s, context=ssl.create_default_context())
        return http.client.HTTPConnection(host, port, timeout=self._timeout_s)


def _retry_after_s(text: str | None) -> float | None:
    """Seconds that a server asks for: a number, or a date; at most two minutes. None where it does not ask, or not in a known form."""
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, TypeError):
            return None
    return min(max(seconds, 0.0), _MOST_WAIT_S) if seconds == seconds else None
