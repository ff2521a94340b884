"""Runs charts by their tables: the same steps as by the library's engine, in a tenth of the time.

For every fact the engine works out again which transitions the state has for the fact, in which order, and
where they lead. The tables hold this once and for all. Guards and actions are the chart's own methods, called
in the same order on the same memory. `tests/machines/check/test_table_driver.py` compares both, step by step.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from attrs import frozen

from machines.driver import C, Chart
from machines.facts import Fact
from machines.guard_expressions import compiled
from machines.tables import Kind, Row, rows

Guard = Callable[[Fact], bool]
Action = Callable[[Fact], None]
Note = Callable[[Row], None]


@frozen
class ReadyRow:
    """A row of the table with its guard and actions as functions of the fact."""

    row: Row
    guard: Guard | None
    """None for a row without a guard."""
    actions: tuple[Action, ...]
    arrival: tuple[str, ...] | None
    """The target's state and the states around it, outermost first; None where the state stays."""


def run_by_tables(chart: Chart[C], note: Note | None = None) -> None:
    """Have `chart` take transitions by its tables from now on, not by the engine.

    The tables are read once, here: if the class is changed later, another chart is needed.

    Args:
        chart: a chart made for this purpose. Its drivers do not notice a difference.
        note: called with the row of every transition that is taken.

    Raises:
        ValueError: a guard is not a boolean expression, or a method has other parameters than `fact`.
    """
    ready_rows = _ready_rows(chart)

    def send(event: str, *, fact: Fact) -> None:
        context = chart.context
        state = context.state
        for ready_row in ready_rows.get((state if isinstance(state, str) else tuple(state)[-1], event), ()):
            if ready_row.guard is None or ready_row.guard(fact):
                for action in ready_row.actions:
                    action(fact)
                if ready_row.arrival is not None:
                    context.state = ready_row.arrival
                chart.transition_taken = True
                if note is not None:
                    note(ready_row.row)
                return

    chart.send = send  # type: ignore[method-assign, assignment]  # the one way into the engine


def _ready_rows(chart: Chart[Any]) -> dict[tuple[str, str], tuple[ReadyRow, ...]]:
    """The rows of each pair of a state and a fact, in the order of trial."""

    def question_of(name: str) -> Guard:
        return _taking_fact(getattr(chart, name))

    found: dict[tuple[str, str], tuple[ReadyRow, ...]] = {}
    for row in rows(type(chart)):
        if row.kind is not Kind.IGNORED:
            ready_row = ReadyRow(
                row=row,
                guard=compiled(row.guard, question_of) if row.guard else None,
                actions=tuple(_taking_fact(getattr(chart, name)) for name in row.actions),
                arrival=None if row.kind is Kind.INTERNAL else _nesting(row),
            )
            found[row.state, row.event] = (*found.get((row.state, row.event), ()), ready_row)
    return found


def _nesting(row: Row) -> tuple[str, ...]:
    return (row.target,) if row.target == row.target_room else (row.target_room, row.target)


def _taking_fact(method: Callable[..., Any]) -> Callable[[Fact], Any]:
    """A guard or an action as a function of the fact, whether it takes the fact or not."""
    wanted = tuple(inspect.signature(method).parameters)
    if wanted == ("fact",):
        return method
    if wanted:
        raise ValueError(f"{method.__name__} wants {', '.join(wanted)}: the tables have nothing but the fact")
    return lambda fact: method()
