"""Who may ask, and what the browser may do with the answers: around all of the application."""

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_HOSTS = ("127.0.0.1", "localhost", "[::1]")
# Nothing from elsewhere, nothing inline: text of strangers could not run even if it got into the page as markup.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),  # the address holds the token
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)
_MOST_QUERY_BYTES = 8000


class Guard:
    """Answers only where the path begins with the token, the Host is this machine's own loopback (a name of a stranger's that leads here
    is refused: DNS rebinding), and a POST comes from the page itself. Other requests get 403 or 404 and learn nothing."""

    def __init__(self, app: App, token: str) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        token, _, rest = scope["path"].removeprefix("/").partition("/")
        if not _is_own(headers.get("host", "")) or not _is_own_page(headers):
            await _refuse(send, 403, "only for this machine's own browser")
        elif not hmac.compare_digest(token.encode(errors="replace"), self._token.encode()):
            await _refuse(send, 404, "not found")
        elif len(scope["query_string"]) > _MOST_QUERY_BYTES or "\0" in rest or "\\" in rest or ".." in rest.split("/"):
            await _refuse(send, 400, "this is no address of the browser")
        else:
            path = f"/{rest}"
            await self._app({**scope, "path": path, "raw_path": path.encode(errors="replace"), "root_path": ""}, receive, _headed(send))


def _is_own(host: str) -> bool:
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    return name in _HOSTS


def _is_own_page(headers: MutableMapping[str, str]) -> bool:
    """Browsers say where a request comes from."""
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2] != headers.get("host"):
        return False
    return headers.get("sec-fetch-site", "none") in ("none", "same-origin")


def _headed(send: Send) -> Send:
    async def headed(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *HEADERS]}
        await send(message)

    return headed


async def _refuse(send: Send, status: int, words: str) -> None:
    body = words.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body)), *HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
