"""Batches that fill the device and no more: by count and by cost, smaller ones after it ran out of memory."""

import gc
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from internvid_pipeline.errors import ModelError

T = TypeVar("T")


class BatchSizer:
    """How much goes into one forward pass. It learns: where memory did not suffice, the bounds stay halved for the life of the worker.

    max_items: inputs in a batch. max_cost: the number of inputs times the cost of the dearest, which is what padding makes of a batch;
    None: no bound. A single input is always a batch.
    """

    def __init__(self, max_items: int, max_cost: float | None = None) -> None:
        self.max_items, self.max_cost = max_items, max_cost
        self.num_halvings = 0

    def fitting(self, costs: Sequence[float]) -> int:
        """How many of the first inputs, by ascending cost, make a batch; at least 1."""
        count = 1
        while count < min(len(costs), self.max_items) and (self.max_cost is None or (count + 1) * costs[count] <= self.max_cost):
            count += 1
        return count

    def halve(self, failed: Sequence[float]) -> None:
        """After a batch of these costs did not fit into memory."""
        self.num_halvings += 1
        self.max_items = max(1, min(self.max_items, len(failed)) // 2)
        if self.max_cost is not None:
            self.max_cost = min(self.max_cost, len(failed) * max(failed)) / 2


def in_batches(sizer: BatchSizer, costs: Sequence[float], run: Callable[[list[int]], Sequence[T]]) -> list[T]:
    """Results of `run`, which is given the numbers of the inputs of a batch and returns one result each, in the order of the inputs.

    Inputs of like cost share a batch. Where the device runs out of memory the batch is halved and tried again. Raises ModelError where
    a single input does not fit.
    """
    order = sorted(range(len(costs)), key=lambda i: costs[i])
    results: dict[int, T] = {}
    start = 0
    while start < len(order):
        chosen = order[start : start + sizer.fitting([costs[i] for i in order[start : start + sizer.max_items]])]
        answers = _attempt(run, chosen)
        if answers is None:
            if len(chosen) == 1:
                raise ModelError("a single input does not fit into the device's memory; show fewer or smaller frames")
            sizer.halve([costs[i] for i in chosen])
            continue
        results.update(zip(chosen, answers, strict=True))
        start += len(chosen)
    return [results[i] for i in range(len(costs))]


def _attempt(run: Callable[[list[int]], Sequence[T]], chosen: list[int]) -> Sequence[T] | None:
    """The results, None where memory ran out. What the failed attempt held is let go of before anything else is tried: the exception's
    traceback keeps its tensors alive, so it must be gone when the cache is emptied."""
    try:
        return run(chosen)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    _empty_cache()
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """True for torch's own error, and for those of the libraries below it."""
    text = str(error).lower()
    return type(error).__name__ == "OutOfMemoryError" or "out of memory" in text or "cublas_status_alloc_failed" in text


def _empty_cache() -> None:
    gc.collect()
    torch: Any = sys.modules.get("torch")  # CTranslate2 works without it
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
