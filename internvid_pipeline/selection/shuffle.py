"""An order of clips for training: shuffled, the same on every run, neighbours from different videos where that is possible."""

import hashlib
from collections import deque
from collections.abc import Hashable, Sequence
from typing import TypeVar

K = TypeVar("K", bound=Hashable)


def shuffled_apart(keys: Sequence[str], groups: Sequence[K], seed: int = 0) -> list[int]:
    """Positions of `keys` in a shuffled order in which neighbours are of different groups, as long as no group has more than half of what
    is left.

    The order follows from the keys alone (sha256 with the seed), not from the order they come in. Items that would stand beside one of
    their group wait, and are taken as soon as they can be; those that never can, because one group outweighs all others, come last.
    """
    order = sorted(range(len(keys)), key=lambda position: hashlib.sha256(f"{seed}\0{keys[position]}".encode()).digest())
    result: list[int] = []
    waiting: deque[int] = deque()
    for position in order:
        while waiting and _fits(result, waiting[0], groups) and groups[waiting[0]] != groups[position]:
            result.append(waiting.popleft())
            if groups[result[-1]] == groups[position]:
                break
        if _fits(result, position, groups):
            result.append(position)
        else:
            waiting.append(position)
    return _woven(result, waiting, groups)


def _fits(result: Sequence[int], position: int, groups: Sequence[K]) -> bool:
    return not result or groups[result[-1]] != groups[position]


def _woven(result: list[int], waiting: deque[int], groups: Sequence[K]) -> list[int]:
    """Puts what still waits, all of one group or nearly so, between neighbours of other groups, from the front; the rest at the end."""
    if not waiting:
        return result
    woven: list[int] = []
    for position in result:
        if waiting and _fits(woven, waiting[0], groups) and groups[waiting[0]] != groups[position]:
            woven.append(waiting.popleft())
        woven.append(position)
    while waiting:  # whoever fits goes first
        chosen = next((item for item in waiting if _fits(woven, item, groups)), waiting[0])
        waiting.remove(chosen)
        woven.append(chosen)
    return woven
