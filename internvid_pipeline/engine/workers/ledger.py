"""Which units (a stage over a partition) are under way, and whose worker died on them. Kept beside the driver, so that it outlives the
workers: one whose supervisor is killed again and again (the kernel's memory killer takes the wrong one, a node freezes) would otherwise be
restarted by Ray without end."""

import time
from dataclasses import dataclass, field

Unit = tuple[str, int]


@dataclass
class Ledger:
    """Plain counting; the engine makes an actor of it. Lost with its driver: a new run gives every partition its chances anew."""

    _under_way: set[Unit] = field(default_factory=set)
    _deaths: dict[Unit, int] = field(default_factory=dict)
    _changed_at: float = field(default_factory=time.monotonic)

    def begin(self, stage: str, partition: int) -> int:
        """Notes that a unit is begun. Returns how often it was begun before without an end: so many workers died on it."""
        unit = (stage, partition)
        if unit in self._under_way:
            self._deaths[unit] = self._deaths.get(unit, 0) + 1
        self._under_way.add(unit)
        self._changed_at = time.monotonic()
        return self._deaths.get(unit, 0)

    def end(self, stage: str, partition: int) -> None:
        """Notes that a unit is over, be it done, failed, or given back by a worker that was told to leave."""
        self._under_way.discard((stage, partition))
        self._changed_at = time.monotonic()

    def beat(self) -> None:
        """A worker that is at work says so now and then; what is under way may have lost its worker."""
        self._changed_at = time.monotonic()

    def idle_s(self) -> float:
        """Seconds since any worker gave a sign of life."""
        return time.monotonic() - self._changed_at
