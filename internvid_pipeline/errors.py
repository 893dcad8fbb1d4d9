"""Every error that this library raises on purpose, and the exit status that each becomes.

    InternvidError                 3  nothing could run
    ├── UsageError                 2  wrong command line, config or input list
    ├── StorageError               3  the root cannot be read or written (full disk, no permission, no bucket)
    ├── SetupError                 3  a stage cannot start (missing package, missing weights, no GPU)
    ├── ContractError              3  a stage broke its contract: a bug in the stage, not in its input
    ├── TransientError             -  one item met a fault that may pass; it is tried again
    │   └── Deferred                   so long a fault that the item is put off: its partition stays undone
    │       ├── RateLimited            429, or a bot check: the whole host is left alone for a while
    │       ├── ServerFault            5xx
    │       └── ConnectionFault        no route, cut, stalled, or a body of another length than announced
    └── ItemError                  -  one item cannot be processed; it becomes a `Fail` with the class's name
        ├── UnreadableMedia            not a media file, or its header is broken
        ├── DamagedMedia               opens, but cannot be decoded
        ├── MediaLimitError            claims a size, rate or count beyond the bounds of config
        ├── ModelError                 a model gave no usable answer
        └── Unavailable                a video of the web cannot be had, for good
            ├── Gone, Private, AgeRestricted, GeoBlocked, CopyrightRemoved, LoginRequired, AccessDenied
            ├── Unsupported            no extractor, no format that we read, DRM, a playlist, no media
            ├── BadResponse            the server's answers make no sense: a redirect loop, a range of another file
            ├── AddressRefused         the address lies in a private network
            └── DownloadLimit          larger or slower than the config allows

A message says what was wrong, the value, and what would be right, in one line. All of them carry a single string, so that
they survive pickling between processes.
"""

import errno


class InternvidError(Exception):
    """Base of all errors of this library."""

    exit_status = 3


class UsageError(InternvidError):
    """The command line, the config or the input list is wrong."""

    exit_status = 2


class StorageError(InternvidError):
    """The data set's root cannot be read or written."""


class SetupError(InternvidError):
    """A stage cannot start on this machine."""


class ContractError(InternvidError):
    """A stage returned something that the contract of `stage.Stage` does not allow."""


class TransientError(InternvidError):
    """A fault that may pass (a server that answers 503); the item is tried again."""


class Deferred(TransientError):
    """The item is to be tried again after `retry_after_s` seconds (None: when the engine sees fit), not at once. was_tried: False where
    nobody was asked for the item itself, since its host is being left alone: this does not count as an attempt."""

    retry_after_s: float | None = None
    was_tried: bool = True

    def after(self, seconds: float | None) -> "Deferred":
        """This error, with the time that the server asked for."""
        self.retry_after_s = seconds
        return self

    def untried(self) -> "Deferred":
        """This error, raised before anybody was asked for the item."""
        self.was_tried = False
        return self


class RateLimited(Deferred):
    """The server asks for fewer requests (429), or for a proof that we are no robot."""


class ServerFault(Deferred):
    """The server failed (5xx)."""


class ConnectionFault(Deferred):
    """The connection could not be made, was cut, stalled, or gave fewer bytes than announced."""


class ItemError(InternvidError):
    """One item cannot be processed, its neighbours can."""


class UnreadableMedia(ItemError):
    """The file is not a media file that we read, or its header is broken."""


class DamagedMedia(ItemError):
    """The file opens but cannot be decoded."""


class MediaLimitError(ItemError):
    """The file claims dimensions, streams, rates or lengths beyond the bounds of the config."""


class ModelError(ItemError):
    """A model gave no usable answer for this item."""


class Unavailable(ItemError):
    """A video of the web cannot be had, and asking again will not help. The message holds the site's own words."""


class Gone(Unavailable):
    """There is no such video (any more): 404, 410, removed by its uploader."""


class Private(Unavailable):
    """Its uploader shows it to chosen people only."""


class AgeRestricted(Unavailable):
    """The site wants a proof of age."""


class GeoBlocked(Unavailable):
    """Not shown in the country that we ask from."""


class CopyrightRemoved(Unavailable):
    """Taken down or blocked for a claim of copyright."""


class LoginRequired(Unavailable):
    """For members, subscribers or buyers only."""


class AccessDenied(Unavailable):
    """The server refuses (401, 403) without saying more."""


class Unsupported(Unavailable):
    """Nothing that we can download as a video."""


class BadResponse(Unavailable):
    """The server's answers contradict each other."""


class AddressRefused(Unavailable):
    """The name leads into a private network, which a stranger's list has no business in."""


class DownloadLimit(Unavailable):
    """Larger, longer or slower than the config allows."""


# A full disk or an exhausted machine is never the fault of the item at hand: counted as a failure of the
# item, it would turn a whole run into failures that a resume does not touch again.
_MACHINE_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.EFBIG})


def is_machine_fault(error: BaseException) -> bool:
    """True where `error` (or what caused it) is the machine's fault and not the item's: disk full, read-only, no file handles."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        if isinstance(cause, (StorageError, SetupError, ContractError)):
            return True
        if isinstance(cause, OSError) and cause.errno in _MACHINE_ERRNOS:
            return True
        seen.add(id(cause))
        cause = cause.__cause__ or cause.__context__
    return False
