"""Runs the cells, each once in a process, and makes the document of them."""

from __future__ import annotations

import functools

from attrs import frozen

from tests.faults.calls import run_call
from tests.faults.cells import Cell, Role, State, all_cells, dialect_cells
from tests.faults.outcomes import CallOutcome, outcome_of
from tests.faults.table import render

UNDISTURBED = Cell(Role.NOVA, State.LISTENING, "none")


@frozen
class Result:
    """The result of a cell's call, without the call itself, which is large."""

    outcome: CallOutcome
    left_behind: tuple[str, ...]
    settled: bool
    """Whether every turn was settled in time."""


@functools.cache
def result_of(cell: Cell) -> Result:
    """The result of a cell. It is the same every time, so it is run once."""
    finished = run_call(cell)
    return Result(outcome_of(finished), finished.left_behind, all(turn.settled for turn in finished.turns))


def document() -> str:
    """The content of `docs/faults.md`, from a run of all cells."""
    usual = result_of(UNDISTURBED).outcome.turns[0].first_sound
    assert usual is not None
    rows, over_dialects = (
        [(cell, result_of(cell).outcome) for cell in cells] for cells in (all_cells(), dialect_cells())
    )
    return render(rows, over_dialects, usual)
