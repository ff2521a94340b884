"""Runs cells, each once a process, and holds them together as the document."""

from __future__ import annotations

import functools

from attrs import frozen

from tests.faults.calls import hold
from tests.faults.cells import Cell, Role, State, all_cells
from tests.faults.outcomes import CallOutcome, outcome_of
from tests.faults.table import render

UNDISTURBED = Cell(Role.NOVA, State.LISTENING, "none")


@frozen
class Result:
    """A cell's call, without the call itself, which is large."""

    outcome: CallOutcome
    left_behind: tuple[str, ...]
    settled: bool
    """Every turn came to something."""


@functools.cache
def result_of(cell: Cell) -> Result:
    """The same every time, so it is run once."""
    held = hold(cell)
    return Result(outcome_of(held), held.left_behind, all(turn.settled for turn in held.turns))


def document() -> str:
    """`docs/faults.md`, as the run of all cells gives it."""
    usual = result_of(UNDISTURBED).outcome.turns[0].first_sound
    assert usual is not None
    return render([(cell, result_of(cell).outcome) for cell in all_cells()], usual)
