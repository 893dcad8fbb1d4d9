"""Finding the job server of a cluster, and saying in one line what is wrong where it is not there. Plain HTTP, so that it takes
seconds and no Ray."""

import http.client
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from internvid_pipeline.errors import SetupError, UsageError

ADDRESS_VARIABLES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
OLDEST_RAY = (2, 50)
_TIMEOUT_S = 10.0
_TOKEN_ADVICE = "set RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH to a file with it, to the token that the cluster was started with"


def server_address(given: str | None) -> str:
    """The job server's URL, from the command line or the environment. Raises UsageError for what cannot be one."""
    address = given or next((os.environ[name] for name in ADDRESS_VARIABLES if os.environ.get(name)), "")
    if not address:
        raise UsageError(f"no cluster given; add --address http://HEAD:8265, or set {ADDRESS_VARIABLES[0]}")
    if "://" not in address and ":" in address:
        address = f"http://{address}"
    parts = urllib.parse.urlsplit(address)
    if parts.scheme == "ray":
        raise UsageError(f"{address!r} is the address of Ray Client; jobs go to the job server: http://{parts.hostname}:8265")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{address!r} is not the address of a job server; write it as http://HEAD:8265")
    if parts.username or parts.password:
        raise UsageError(f"the address of {parts.hostname} holds a password, which would end up in logs; {_TOKEN_ADVICE}")
    try:
        port = parts.port
    except ValueError:
        raise UsageError(f"{address!r}: the port is not a number up to 65535; the job server's is 8265 by default") from None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port or 8265}"


def auth_token() -> str | None:
    """The token, found as Ray finds it: RAY_AUTH_TOKEN, the file RAY_AUTH_TOKEN_PATH, ~/.ray/auth_token. Never printed."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return os.environ["RAY_AUTH_TOKEN"].strip()
    try:
        path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
        return path.read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError, RuntimeError):  # not there, or there is no home
        return None


def check_server(address: str) -> str:
    """The version of Ray behind the address. Sends the token only to a server that asks for one, and then puts `RAY_AUTH_MODE=token` into
    the environment, for Ray's own client. Raises SetupError saying what is there instead."""
    status, body = _get(address, None)
    if status in (401, 403):
        token = auth_token()
        if token is None:
            raise SetupError(f"the cluster at {address} asks for a token and there is none; {_TOKEN_ADVICE}")
        status, body = _get(address, token)
        if status in (401, 403):
            raise SetupError(f"the cluster at {address} refuses the token; {_TOKEN_ADVICE}")
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    try:
        version = str(json.loads(body)["ray_version"])
    except (ValueError, KeyError, TypeError):
        raise SetupError(
            f"what answers at {address} is not Ray's job server (HTTP status {status}); its port is 8265 unless the cluster has "
            "its own --dashboard-port"
        ) from None
    if _numbers(version) < OLDEST_RAY:
        raise SetupError(f"the cluster at {address} runs Ray {version}; {'.'.join(map(str, OLDEST_RAY))} or newer is needed")
    return version


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def _get(address: str, token: str | None) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"{address}/api/version", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            return answer.status, answer.read(100_000)
    except urllib.error.HTTPError as error:
        return error.code, b""
    except urllib.error.URLError as error:
        raise SetupError(_nothing_there(address, error.reason)) from error
    except TimeoutError as error:
        raise SetupError(_nothing_there(address, error)) from error
    except (http.client.HTTPException, OSError) as error:  # something listens, and does not speak HTTP
        raise SetupError(
            f"what answers at {address} does not speak HTTP ({type(error).__name__}); the job server's port is 8265 by default, "
            "6379 is the cluster's inner one"
        ) from error


def _nothing_there(address: str, reason: object) -> str:
    if isinstance(reason, TimeoutError):
        words = f"no answer within {_TIMEOUT_S:.0f} s"
    elif isinstance(reason, OSError):
        words = reason.strerror or str(reason)
    else:
        words = str(reason)
    return (
        f"no cluster at {address}: {words}; give the head's job server, for KubeRay after `kubectl port-forward service/NAME-head-svc 8265`"
    )
