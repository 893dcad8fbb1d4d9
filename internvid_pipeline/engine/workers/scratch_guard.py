"""The bound on scratch files of a machine, kept by each of its workers: before a partition they wait for room, during one they watch."""

import time
from pathlib import Path

from internvid_pipeline.errors import StorageError
from internvid_pipeline.storage import held_bytes, remove_orphans, scratch_base

_LOOK_S = 2.0
_WAIT_S = 900.0
_LOOKING_SHARE = 0.05  # counting a folder of many files takes long: at most this share of the time goes into it


class ScratchGuard:
    """Counts what all workers of this machine hold."""

    def __init__(self, bound_bytes: int) -> None:
        self.bound_bytes = bound_bytes
        self._next_look = 0.0

    def wait_for_room(self) -> None:
        """Returns when less than the bound is held. A worker that waits holds nothing, so that the others come to an end; what killed
        ones left is deleted. Raises StorageError after a quarter of an hour, and at once where there is nobody to wait for."""
        deadline = time.monotonic() + _WAIT_S
        while held_bytes(scratch_base()) >= self.bound_bytes:
            remove_orphans(scratch_base())
            held = held_bytes(scratch_base())
            if held < self.bound_bytes:
                return
            if not held:
                raise StorageError(
                    f"no room for scratch files in {scratch_base()}: less than a twentieth of its disk is free, and nothing of it is "
                    "ours; free the disk, or move TMPDIR to a larger one"
                )
            if time.monotonic() > deadline:
                raise StorageError(
                    f"scratch files in {scratch_base()} hold {held} bytes, the bound is {self.bound_bytes}; "
                    "raise placement.scratch_mb or free the disk"
                )
            time.sleep(_LOOK_S)

    def is_over(self, own: Path) -> bool:
        """True where the machine's workers hold more than the bound and `own` holds any of it; looks every few seconds."""
        now = time.monotonic()
        if now < self._next_look:
            return False
        over = held_bytes(scratch_base()) > self.bound_bytes and held_bytes(own) > 0
        self._next_look = time.monotonic() + max(_LOOK_S, (time.monotonic() - now) / _LOOKING_SHARE)
        return over
