"""Batches by count and by cost, and what becomes of them where a device has too little memory."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from internvid_pipeline.errors import ModelError
from internvid_pipeline.models.batching import BatchSizer, in_batches

COSTS = st.lists(st.integers(1, 50).map(float), max_size=40)


class Device:
    """Holds batches up to a cost: their number times their dearest."""

    def __init__(self, costs: list[float], memory: float) -> None:
        self.costs, self.memory, self.batches = costs, memory, list[list[int]]()

    def run(self, chosen: list[int]) -> list[str]:
        if len(chosen) * max(self.costs[i] for i in chosen) > self.memory:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")
        self.batches.append(chosen)
        return [f"answer {i}" for i in chosen]


@settings(deadline=None)
@given(COSTS, st.integers(1, 9), st.none() | st.integers(1, 200).map(float), st.integers(50, 300).map(float))
def test_each_input_gets_its_answer_once_in_batches_that_fit(costs: list[float], items: int, most_cost: float | None, memory: float):
    device, sizer = Device(costs, memory), BatchSizer(items, most_cost)
    assert in_batches(sizer, costs, device.run) == [f"answer {i}" for i in range(len(costs))]
    for batch in device.batches:
        assert len(batch) <= items
        assert most_cost is None or len(batch) == 1 or len(batch) * max(costs[i] for i in batch) <= most_cost


def test_bounds_are_halved_until_a_batch_fits_and_stay_so():
    costs = [10.0] * 16
    device, sizer = Device(costs, 35.0), BatchSizer(16, 1000.0)
    in_batches(sizer, costs, device.run)
    assert [len(batch) for batch in device.batches] == [2] * 8
    assert (sizer.num_halvings, sizer.max_items, sizer.max_cost) == (3, 2, 20.0)


def test_single_input_that_does_not_fit_is_named_and_other_errors_pass():
    device = Device([100.0], 50.0)
    with pytest.raises(ModelError, match="a single input does not fit into the device's memory"):
        in_batches(BatchSizer(4), device.costs, device.run)

    def broken(chosen: list[int]) -> list[str]:
        raise ValueError("shapes do not match")

    with pytest.raises(ValueError, match="shapes do not match"):
        in_batches(BatchSizer(4), [1.0], broken)
