"""The choice of cases that tests marked `grid` make: few, always the same, and every pair of two values."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, product
from math import prod

import pytest

from tests.grid import choice


@pytest.mark.parametrize(
    ("axes", "most"),
    [
        ([range(20), ["cough", "noise", "yes"], [False, True]], 60),
        ([range(0, 320, 20), ["yes", "no"], [False, True]], 32),
        ([range(10), range(3), range(2)], 30),
        ([range(2)] * 5, 8),
        ([["same", "same"], [[], {}], range(2)], 4),
    ],
)
def test_every_value_meets_every_value_of_every_other_axis(axes: list[Sequence[object]], most: int) -> None:
    chosen = list(choice(*axes))
    assert chosen == list(choice(*axes))
    assert len(chosen) <= most <= prod(map(len, axes))
    for (one, values), (other, others) in combinations(enumerate(axes), 2):
        for pair in product(values, others):
            assert pair in [(case[one], case[other]) for case in chosen]


@pytest.mark.parametrize(
    ("axes", "count"), [([range(29), "abc"], 29), ([range(2), range(5)], 5), ([range(7)], 7)]
)
def test_of_two_axes_every_value_is_tried(axes: list[Sequence[object]], count: int) -> None:
    chosen = list(choice(*axes))
    assert len(chosen) == count
    for place, axis in enumerate(axes):
        assert {case[place] for case in chosen} == set(axis)
