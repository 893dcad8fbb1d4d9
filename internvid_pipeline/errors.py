"""Every error that this library raises on purpose, and the exit status that each becomes.

    InternvidError                 3  nothing could run
    ├── UsageError                 2  wrong command line, config or input list
    ├── StorageError               3  the root cannot be read or written (full disk, no permission, no bucket)
    ├── SetupError                 3  a stage cannot start (missing package, missing weights, no GPU)
    ├── ContractError              3  a stage broke its contract: a bug in the stage, not in its input
    ├── TransientError             -  one item met a fault that may pass; it is tried again
    └── ItemError                  -  one item cannot be processed; it becomes a `Fail` with the class's name
        ├── UnreadableMedia            not a media file, or its header is broken
        ├── DamagedMedia               opens, but cannot be decoded
        ├── MediaLimitError            claims a size, rate or count beyond the bounds of config
        └── ModelError                 a model gave no usable answer

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
