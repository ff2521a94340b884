"""Tests with many cases of a few things each: a choice of them in every run, all with `--full-grid`.

`@pytest.mark.grid(offset_ms=range(0, 320, 20), words=["yes", "no"], drops=[False, True])` makes 64 tests with
the flag, one of each combination. Without it there are 32: each value of one thing occurs together with each
value of every other, which is enough for a fault that takes two of them. If there are two things only, that
would be all cases; then each value occurs once at least.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, product

import pytest

Case = tuple[object, ...]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full-grid", action="store_true", help="run every combination of tests marked `grid`")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    full = metafunc.config.getoption("full_grid")
    for grid in metafunc.definition.iter_markers("grid"):
        cases = (product if full else choice)(*grid.kwargs.values())
        metafunc.parametrize(tuple(grid.kwargs), list(cases))


def choice(*axes: Sequence[object]) -> Iterator[Case]:
    """Few cases in which every pair of values of two axes occurs; of two axes, every value.

    Of all combinations the one with most missing pairs comes next, or the first of several of those: so the
    same axes give the same cases. Values are told by their positions; they may be equal, or not hashable.
    """
    every = list(product(*(range(len(axis)) for axis in axes)))
    together = 2 if len(axes) > 2 else 1
    missing = set().union(*(_parts(case, together) for case in every))
    while missing:
        best = max(every, key=lambda case: len(_parts(case, together) & missing))
        missing -= _parts(best, together)
        yield tuple(axis[position] for axis, position in zip(axes, best, strict=True))


def _parts(case: tuple[int, ...], together: int) -> set[tuple[tuple[int, int], ...]]:
    """The values of a case, by axis and position, or its pairs of values."""
    return set(combinations(enumerate(case), together))


@pytest.fixture
def stride(request: pytest.FixtureRequest) -> int:
    """How far apart the cases are that a test makes in a loop of its own."""
    return 1 if request.config.getoption("full_grid") else 3
