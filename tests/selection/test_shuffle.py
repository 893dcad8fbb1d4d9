"""The order of training samples: every clip once, always the same, neighbours of different videos where there can be."""

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from internvid_pipeline.selection.shuffle import shuffled_apart


def neighbours_alike(order: list[int], groups: list[int]) -> int:
    return sum(groups[one] == groups[other] for one, other in pairwise(order))


@given(st.lists(st.integers(0, 6), max_size=60), st.integers(0, 5))
def test_every_clip_once_and_neighbours_differ_where_they_can(groups: list[int], seed: int):
    keys = [f"clip-{position}" for position in range(len(groups))]
    order = shuffled_apart(keys, groups, seed)
    assert sorted(order) == list(range(len(groups)))
    most = max(Counter(groups).values(), default=0)
    possible = max(0, most - (len(groups) - most) - 1)
    assert neighbours_alike(order, groups) <= possible + 1, "one pair at the seam at most"


@given(st.lists(st.integers(0, 6), min_size=2, max_size=40), st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_the_order_of_input(groups: list[int], chance):
    keys = [f"clip-{position}" for position in range(len(groups))]
    order = [keys[position] for position in shuffled_apart(keys, groups)]
    mixed = list(range(len(groups)))
    chance.shuffle(mixed)
    again = shuffled_apart([keys[position] for position in mixed], [groups[position] for position in mixed])
    assert [keys[mixed[position]] for position in again] == order


def test_it_is_a_shuffle():
    keys = [f"{video:02d}-{k}" for video in range(30) for k in range(10)]
    groups = [key[:2] for key in keys]
    order = shuffled_apart(keys, groups)
    assert order != list(range(300)) and neighbours_alike(order, groups) == 0
    assert shuffled_apart(keys, groups, seed=1) != order
    first_half = Counter(groups[position] for position in order[:150])
    assert len(first_half) == 30 and max(first_half.values()) < 10
