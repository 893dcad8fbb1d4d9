"""From whatever yt-dlp raises to one of our errors, its own words kept.

Sites say why a video cannot be had in sentences, and yt-dlp passes them on; the expressions below are those of YouTube and of yt-dlp's own
helpers (`raise_login_required`, `raise_geo_restricted`, …). What no rule knows is Unsupported if yt-dlp calls it expected, and keeps
its class in any case.
"""

import re
from collections.abc import Iterator

from internvid_pipeline.errors import (
    AccessDenied,
    AddressRefused,
    AgeRestricted,
    BadResponse,
    ConnectionFault,
    CopyrightRemoved,
    Deferred,
    GeoBlocked,
    Gone,
    InternvidError,
    LoginRequired,
    Private,
    RateLimited,
    ServerFault,
    Unsupported,
    is_machine_fault,
)

_MOST_CHARS = 400
_ADVICE = re.compile(
    r"(; please report this issue on .*|\. Use --cookies-from-browser or --cookies .*|\. See +https://github\.com/yt-dlp.*"
    r"| \(caused by .*|\. Confirm you are on the latest version .*)",
    re.DOTALL,
)
# Looked through from top to bottom: a bot check also says "sign in".
_WORDS: tuple[tuple[type[InternvidError], str], ...] = (
    (RateLimited, r"not a bot|unusual traffic|captcha|rate.?limit|too many requests|HTTP Error 429|try again later"),
    (CopyrightRemoved, r"copyright|infring|DMCA|content claim|blocked it (in your country )?on copyright"),
    (AgeRestricted, r"confirm your age|age.?(restrict|verif|gate)|inappropriate for some users|adults? only|18 years"),
    (
        GeoBlocked,
        r"(not|isn.t|un)\s?(made this video )?available (in|from) your (country|location|region)|geo.?(restrict|block)"
        r"|blocked it in your country|in your country",
    ),
    (Private, r"private video|video is private|this video is private|is not shared|protected tweet"),
    (
        LoginRequired,
        r"members.?only|join this channel|requires? (payment|purchase|subscription|a login|login)|subscribers? only|premium"
        r"|log ?in|sign in|registered users|only available (for|to) (users|members)|account cookies",
    ),
    (Unsupported, r"DRM|unsupported url|no video formats|not a valid url|is not (currently )?live|live event|premieres? in|no suitable"),
    (
        Gone,
        r"has been (removed|deleted|terminated)|no longer (available|exists)|does not exist|doesn.t exist|video unavailable"
        r"|is not available|isn.t available|not found|was deleted|account .*(closed|terminated|suspended)|violat",
    ),
)
_PATTERNS = tuple((kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _WORDS)


def by_status(status: int, host: str) -> InternvidError:
    """An answer that is no success, by its number alone."""
    if status == 429:
        return RateLimited(f"HTTP 429 from {host}: asked for fewer requests")
    if status >= 500 or status in (408, 425):
        return ServerFault(f"HTTP {status} from {host}")
    if status in (404, 410):
        return Gone(f"HTTP {status} from {host}: there is no such file" + (" any more" if status == 410 else ""))
    if status == 451:
        return GeoBlocked(f"HTTP 451 from {host}: not shown for legal reasons")
    if status in (401, 402, 403, 407):
        return AccessDenied(f"HTTP {status} from {host}: it refuses to give the file")
    return BadResponse(f"HTTP {status} from {host}, which is no answer to a request for a file")


def by_words(words: str) -> type[InternvidError] | None:
    """The class that a site's sentence belongs to, None where no rule knows it."""
    return next((kind for kind, pattern in _PATTERNS if pattern.search(words)), None)


def said(error: BaseException) -> str:
    """The site's and yt-dlp's words in one line, without the advice for people at a terminal."""
    words = str(getattr(error, "orig_msg", None) or getattr(error, "msg", None) or error or type(error).__name__)
    words = re.sub(r"\x1b\[[0-9;]*m", "", words).removeprefix("ERROR: ")
    return " ".join(_ADVICE.sub("", words).split())[:_MOST_CHARS]


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what caused it, outermost first, each once."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop(0)
        if one is None or id(one) in seen or not isinstance(one, BaseException):
            continue
        seen.add(id(one))
        yield one
        info = getattr(one, "exc_info", None)
        todo += [getattr(one, "cause", None), info[1] if info else None, *getattr(one, "unexpected_errors", ())]
        todo += [one.__cause__, one.__context__]


def translated(error: BaseException, host: str) -> BaseException:
    """`error` of yt-dlp or of a connection as one of ours; what is the machine's fault, or ours already, as it is."""
    found = list(_chain(error))
    for one in found:
        if isinstance(one, InternvidError) or is_machine_fault(one):
            return one
    words = said(error)
    names = {type(one).__name__ for one in found}
    if "GeoRestrictedError" in names:
        return GeoBlocked(words)
    if "UnsupportedError" in names:
        return Unsupported(words)
    kind = by_words(words)
    for one in found:
        status = getattr(one, "status", None)
        if isinstance(status, int):
            if getattr(one, "redirect_loop", False):
                return BadResponse(f"{host} redirects in a circle")
            by_number = by_status(status, host)
            if isinstance(by_number, Deferred) or kind is None:
                return by_number
    if kind is not None:
        return kind(words)
    if "unknown url type" in words:  # where a redirect led
        return Unsupported(f"{host} redirects to what is not http(s): {words}")
    if names & {"TransportError", "IncompleteRead", "ContentTooShortError", "SSLError", "ProxyError", "timeout", "TimeoutError"}:
        return _of_transport(found, words, host)
    if names & {"NoSupportingHandlers", "UnsupportedRequest"}:
        return AddressRefused(words) if "scheme" in words else Unsupported(words)
    if isinstance(error, (OSError, EOFError)):
        return ConnectionFault(f"{host}: {words}")
    return Unsupported(words)


def _of_transport(found: list[BaseException], words: str, host: str) -> InternvidError:
    for one in found:
        if type(one).__name__ == "CertificateVerifyError":
            return BadResponse(f"the certificate of {host} is not valid: {words}")
    return ConnectionFault(f"{host}: {words}")
