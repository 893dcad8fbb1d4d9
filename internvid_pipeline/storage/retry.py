"""Trying a store again: what passes by itself (timeouts, cut connections, 5xx, SlowDown) is tried again with growing, random waits."""

import errno
import os
import random
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")
ATTEMPTS = 8
LIMIT_S = 120.0  # after this the partition is given back: it is tried again as a whole, later, perhaps elsewhere
LIMIT_VARIABLE = "INTERNVID_STORAGE_RETRY_S"
_FIRST_WAIT_S = 0.2
_MOST_WAIT_S = 20.0
# Classes of drivers that we do not import: botocore, aiohttp, s3fs, gcsfs. All mean that no whole answer came.
_TRANSIENT_NAMES = frozenset(
    {
        "ClientConnectionError",
        "ClientPayloadError",
        "ConnectTimeoutError",
        "ConnectionClosedError",
        "EndpointConnectionError",
        "FSTimeoutError",
        "HTTPClientError",
        "IncompleteReadError",
        "ReadTimeoutError",
        "ResponseParserError",
        "ResponseStreamingError",
        "ServerDisconnectedError",
    }
)
_TRANSIENT_ERRNOS = frozenset(
    {
        errno.EAGAIN,
        errno.EBUSY,
        errno.ECONNABORTED,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.EPIPE,
        errno.EREMOTEIO,
        errno.ETIMEDOUT,
    }
)
_TRANSIENT_STATUSES = frozenset({408, 409, 429})  # 409: S3 answers it where two conditional puts of one name meet
_FINAL = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError)


def is_transient(error: BaseException) -> bool:
    """True where the same request may succeed later: no whole answer came, or the store said that it is busy."""
    return not isinstance(error, _FINAL) and any(_may_pass(cause) for cause in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        yield cause
        seen.add(id(cause))
        cause = cause.__cause__ or cause.__context__


def _may_pass(error: BaseException) -> bool:
    status = _http_status(error)
    if status is not None:
        return (status >= 500 and status != 501) or status in _TRANSIENT_STATUSES
    if isinstance(error, TimeoutError | ConnectionError):
        return True
    if isinstance(error, OSError) and error.errno in _TRANSIENT_ERRNOS:
        return True
    return any(cls.__name__ in _TRANSIENT_NAMES for cls in type(error).__mro__)


def _http_status(error: BaseException) -> int | None:
    """Status of the answer that the error tells of: botocore keeps it in `response`, gcsfs in `code`."""
    response = getattr(error, "response", None)
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(response, dict) else getattr(error, "code", None)
    return status if isinstance(status, int) else None


def _limit_s() -> float:
    """Seconds from the environment, where a number stands there."""
    try:
        return float(os.environ.get(LIMIT_VARIABLE, LIMIT_S))
    except ValueError:
        return LIMIT_S


def retried(call: Callable[[], T], limit_s: float | None = None) -> T:
    """The call's result. What may pass is tried again at most eight times within `limit_s` seconds (default 120, or what
    INTERNVID_STORAGE_RETRY_S says), after random waits that grow, so that a thousand workers do not come back at the same instant; then,
    or if it cannot pass, it is raised.

    The call must be idempotent, since one that failed may have been carried out."""
    start, most_s = time.monotonic(), _limit_s() if limit_s is None else min(limit_s, _limit_s())
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return call()
        except Exception as error:
            wait_s = random.uniform(0, min(_MOST_WAIT_S, _FIRST_WAIT_S * 2**attempt))
            if attempt == ATTEMPTS or not is_transient(error) or time.monotonic() - start + wait_s > most_s:
                raise
        time.sleep(wait_s)
    raise AssertionError("unreachable: the loop returns or raises")
