"""Tests with many cases of a few things each: a choice of them in every run, all with `--full-grid`.

`@pytest.mark.grid(offset_ms=range(0, 320, 20), words=["yes", "no"], drops=[False, True])` makes 64 tests with
the flag, one of each combination. Without it, the first goes through its values while the others go through
their combinations: 16 tests, in which each offset occurs, and each combination of words and drops.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full-grid", action="store_true", help="run every combination of tests marked `grid`")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    full = metafunc.config.getoption("full_grid")
    for grid in metafunc.definition.iter_markers("grid"):
        metafunc.parametrize(tuple(grid.kwargs), list((product if full else choice)(*grid.kwargs.values())))


def choice(first: Sequence[object], *others: Sequence[object]) -> Iterator[tuple[object, ...]]:
    """Each value of the first and each combination of the others, once at least."""
    combinations = list(product(*others))
    for number in range(max(len(first), len(combinations))):
        yield first[number % len(first)], *combinations[number % len(combinations)]


@pytest.fixture
def stride(request: pytest.FixtureRequest) -> int:
    """How far apart the cases are that a test makes in a loop of its own."""
    return 1 if request.config.getoption("full_grid") else 3
