"""The calibration finds how many calls a machine bears, and proposes fewer."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.load.calibration import CLOSE_ENOUGH, Proposal, search
from benchmarks.load.run import Measured


def machine(bears: int, tried: list[int] | None = None) -> Callable[[int], Measured]:
    """A machine that answers in time as long as it has no more calls than it bears."""

    def hold(calls: int) -> Measured:
        if tried is not None:
            tried.append(calls)
        row = Measured("a server", "telephone", calls, turns=calls, answer_p50=600, answer_p95=620)
        return row if calls <= bears else evolve(row, errors={"turn lost": calls - bears})

    return hold


@given(st.integers(1, 512))
def test_what_it_bears_is_found_closely_and_less_is_proposed(bears: int) -> None:
    tried: list[int] = []
    found = search(machine(bears, tried), 650, 512)
    assert found.held <= bears < (found.broke or 513)
    assert bears == 512 or bears - found.held <= max(1, found.held * CLOSE_ENOUGH)
    assert 1 <= found.max_sessions <= found.held
    assert len(tried) == len(set(tried)) < 15


def test_the_proposal_is_a_line_for_the_settings() -> None:
    assert str(Proposal(80, 88, "3 × turn lost")) == (
        "80 calls held, 88 did not (3 × turn lost).\n"
        "Proposal for a server that has one core of this machine: MAX_SESSIONS=68"
    )


def test_answers_that_come_late_break_it_too() -> None:
    def slow(calls: int) -> Measured:
        return Measured("a server", "telephone", calls, answer_p50=600, answer_p95=500 + calls * 10)

    found = search(slow, 650, 512)
    assert found.held == 15
    assert found.why == "one answer of twenty began after 660 ms or more, 650 are allowed"


@pytest.mark.parametrize("most", [1, 5, 100])
def test_more_than_may_be_tried_is_not_tried(most: int) -> None:
    tried: list[int] = []
    found = search(machine(1000, tried), 650, most)
    assert max(tried) == found.held == most
    assert f"{most} are the most that were tried" in str(found)


def test_callers_who_cannot_keep_up_end_the_search() -> None:
    def hold(calls: int) -> Measured:
        late = "2.0% of the callers' frames were more than 10 ms late" if calls > 20 else ""
        return evolve(machine(1000)(calls), discarded=late)

    found = search(hold, 650, 512)
    assert (found.held, found.broke) == (16, None)
    assert str(found).startswith("16 calls held, 32 could not be offered: 2.0% of the callers' frames")


def test_a_time_in_which_nobody_can_be_answered_says_nothing_of_the_machine() -> None:
    found = search(lambda calls: Measured("a server", "telephone", calls), 650, 4)
    assert str(found) == (
        "Nothing is known of this machine: 4 could not be offered: nobody's turn was over in time, which"
        " needs more --seconds."
    )


def test_a_machine_that_bears_nothing_gets_no_proposal() -> None:
    assert str(search(machine(0), 650, 512)) == "This machine cannot bear a single call: 1 × turn lost."
