"""Rates are held in every window, and nobody is refused who stays below them; waits are exact."""

from __future__ import annotations

from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as some

from machines.rate_limit import (
    MICROS,
    Failures,
    NeverError,
    Patience,
    Rate,
    ask,
    failed,
    forgotten,
    wait_us,
)

RATES = some.builds(Rate, some.integers(1, 1000), some.integers(1, 100), some.integers(1, 50))
TIMES = some.integers(0, 10**15)
GAPS = some.lists(some.integers(0, 20 * MICROS), min_size=1, max_size=60)
PATIENCES = some.builds(Patience, some.integers(1, 10), some.integers(1, 100), some.integers(1, 10_000))


def asks(rate: Rate, gaps: list[int], amounts: list[int] | None = None) -> list[tuple[int, int]]:
    """Ask at these times; returns when how much was taken."""
    taken, free_at = [], None
    wanted = amounts or [1] * len(gaps)
    for at, amount in zip(accumulate(gaps), wanted, strict=False):
        answer = ask(rate, free_at, at, min(amount, rate.burst))
        free_at = answer.free_at
        if answer.taken:
            taken.append((at, min(amount, rate.burst)))
    return taken


@given(RATES, GAPS, some.data())
def test_no_window_has_more_than_the_burst_and_what_its_time_allows(
    rate: Rate, gaps: list[int], data: some.DataObject
) -> None:
    amounts = data.draw(some.lists(some.integers(1, 5), min_size=len(gaps), max_size=len(gaps)))
    taken = asks(rate, gaps, amounts)
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            window = taken[last][0] - taken[first][0]
            total = sum(amount for _, amount in taken[first : last + 1])
            # Whole numbers: total <= burst + most * window / per_s
            assert (total - rate.burst) * rate.per_s * MICROS <= rate.most * window


@given(RATES, TIMES, some.integers(1, 60), some.lists(some.integers(0, MICROS), min_size=60, max_size=60))
def test_whoever_stays_below_the_rate_is_never_refused(
    rate: Rate, start: int, count: int, slack: list[int]
) -> None:
    gap = -(-rate.per_s * MICROS // rate.most)
    free_at, at = None, start
    for each in slack[:count]:
        answer = ask(rate, free_at, at)
        assert answer.taken
        free_at, at = answer.free_at, at + gap + each


@given(RATES, GAPS)
def test_a_wait_is_exact_to_the_microsecond(rate: Rate, gaps: list[int]) -> None:
    free_at = None
    for at in accumulate(gaps):
        answer = ask(rate, free_at, at)
        while answer.taken:
            answer = ask(rate, answer.free_at, at)
        free_at = answer.free_at
        then = at + answer.retry_after_us
        assert not ask(rate, free_at, then - 1).taken
        assert ask(rate, free_at, then).taken


@given(RATES, TIMES)
def test_a_burst_is_let_in_at_once_and_not_one_more(rate: Rate, at: int) -> None:
    free_at = None
    for number in range(rate.burst):
        answer = ask(rate, free_at, at)
        assert answer.taken
        assert answer.left == rate.burst - number - 1
        free_at = answer.free_at
    refused = ask(rate, free_at, at)
    assert not refused.taken
    assert (refused.left, refused.free_at) == (0, free_at)


@given(RATES, GAPS)
def test_asking_in_vain_costs_nothing(rate: Rate, gaps: list[int]) -> None:
    free_at = None
    for at in accumulate(gaps):
        answer = ask(rate, free_at, at)
        if not answer.taken:
            again = ask(rate, answer.free_at, at)
            assert again == answer
        free_at = answer.free_at


@given(RATES, GAPS)
def test_who_has_all_of_it_again_need_not_be_remembered(rate: Rate, gaps: list[int]) -> None:
    free_at, at = None, 0
    for at in accumulate(gaps):
        answer = ask(rate, free_at, at)
        free_at = answer.free_at
    full = at + ask(rate, free_at, at).full_after_us
    assert ask(rate, free_at, full) == ask(rate, None, full) or full == at


@given(RATES, GAPS, some.integers(0, 10**12))
def test_a_clock_that_goes_backwards_makes_nobody_wait_for_more_than_a_burst(
    rate: Rate, gaps: list[int], back: int
) -> None:
    free_at, at = None, 0
    for at in accumulate(gaps):
        free_at = ask(rate, free_at, at).free_at
    answer = ask(rate, free_at, at - back)
    longest = rate.burst * rate.per_s * MICROS
    assert answer.retry_after_us * rate.most <= longest + rate.most
    later = at - back + answer.retry_after_us
    assert ask(rate, answer.free_at, later).taken or answer.taken


@given(RATES, GAPS)
def test_taking_several_at_once_is_taking_one_after_the_other(rate: Rate, gaps: list[int]) -> None:
    together = alone = None
    for at in accumulate(gaps):
        amount = min(2, rate.burst)
        answer = ask(rate, together, at, amount)
        together = answer.free_at
        if answer.taken:
            for _ in range(amount):
                alone = ask(rate, alone, at).free_at
        assert together == alone or not answer.taken


def test_what_can_never_be_taken_is_an_error() -> None:
    with pytest.raises(NeverError, match="11 are asked for at once, and never more than 10 may be taken"):
        ask(Rate(1, 1, 10), None, 0, 11)


@pytest.mark.parametrize("wrong", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_a_rate_that_allows_nothing_is_refused(wrong: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="must be >= 1"):
        Rate(*wrong)


# --- failures ---------------------------------------------------------------------------------------------


@given(PATIENCES, TIMES)
def test_the_first_failures_cost_nothing_and_then_each_wait_is_twice_as_long(
    patience: Patience, at: int
) -> None:
    failures = None
    waits = []
    for _ in range(patience.free + 20):
        failures = failed(patience, failures, at)
        waits.append(wait_us(patience, failures, at))
        at += waits[-1]
    assert waits[: patience.free] == [0] * patience.free
    longest = patience.longest_s * MICROS
    assert waits[patience.free] == min(longest, patience.first_s * MICROS)
    assert all(later == min(2 * sooner, longest) for sooner, later in pairwise(waits[patience.free :]))


@given(PATIENCES, some.integers(1, 30), TIMES, some.integers(0, 10**12))
def test_a_wait_ends_in_time_whatever_the_clock_does(
    patience: Patience, count: int, at: int, back: int
) -> None:
    failures = None
    for _ in range(count):
        failures = failed(patience, failures, at)
    assert failures is not None
    wait = wait_us(patience, failures, at)
    assert wait_us(patience, failures, at + wait) == 0
    assert wait == 0 or wait_us(patience, failures, at + wait - 1) == 1
    assert wait_us(patience, failures, at - back) <= patience.longest_s * MICROS


@given(PATIENCES, some.integers(1, 30), TIMES)
def test_failures_are_forgotten(patience: Patience, count: int, at: int) -> None:
    failures = None
    for _ in range(count):
        failures = failed(patience, failures, at)
    assert failures is not None
    long_ago = failures.wait_until_us + patience.memory_us
    assert not forgotten(patience, failures, long_ago - 1)
    assert forgotten(patience, failures, long_ago)
    assert failed(patience, failures, long_ago) == Failures(1, long_ago)


def test_nobody_who_has_not_failed_waits() -> None:
    assert wait_us(Patience(1), None, 0) == 0
