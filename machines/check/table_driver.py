"""Charts run by their tables: the same steps as by the library's engine, at a tenth of the time.

The engine finds out anew at every fact what the tables know once and for all: which transitions a state has
for an event, in which order, and where they lead. Guards and actions remain the chart's own methods, called
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
class Way:
    """A row of the table, ready to be gone."""

    row: Row
    guard: Guard | None
    """None where nothing is asked."""
    actions: tuple[Action, ...]
    arrival: tuple[str, ...] | None
    """The states around the target and itself, outermost first; None where the state stays."""


def run_by_tables(chart: Chart[C], note: Note | None = None) -> None:
    """Let `chart` take transitions by its tables from now on, and never by the engine.

    The tables are read here and now: a class that is changed later needs another chart.

    Args:
        chart: made for this; its drivers cannot be told from others.
        note: called with the row of every transition that is taken.

    Raises:
        ValueError: a guard is no boolean expression, or a method wants to know more than the fact.
    """
    ways = _ways(chart)

    def send(event: str, *, fact: Fact) -> None:
        context = chart.context
        state = context.state
        for way in ways.get((state if isinstance(state, str) else tuple(state)[-1], event), ()):
            if way.guard is None or way.guard(fact):
                for action in way.actions:
                    action(fact)
                if way.arrival is not None:
                    context.state = way.arrival
                chart.transition_taken = True
                if note is not None:
                    note(way.row)
                return

    chart.send = send  # type: ignore[method-assign, assignment]  # the one way into the engine


def _ways(chart: Chart[Any]) -> dict[tuple[str, str], tuple[Way, ...]]:
    """What can happen in each state at each event, in the order of trial."""

    def question_of(name: str) -> Guard:
        return _told_the_fact(getattr(chart, name))

    found: dict[tuple[str, str], tuple[Way, ...]] = {}
    for row in rows(type(chart)):
        if row.kind is not Kind.IGNORED:
            way = Way(
                row=row,
                guard=compiled(row.guard, question_of) if row.guard else None,
                actions=tuple(_told_the_fact(getattr(chart, name)) for name in row.actions),
                arrival=None if row.kind is Kind.INTERNAL else _nesting(row),
            )
            found[row.state, row.event] = (*found.get((row.state, row.event), ()), way)
    return found


def _nesting(row: Row) -> tuple[str, ...]:
    return (row.target,) if row.target == row.target_room else (row.target_room, row.target)


def _told_the_fact(method: Callable[..., Any]) -> Callable[[Fact], Any]:
    """A guard or an action that may, or may not, take the fact."""
    wanted = tuple(inspect.signature(method).parameters)
    if wanted == ("fact",):
        return method
    if wanted:
        raise ValueError(f"{method.__name__} wants {', '.join(wanted)}: the tables have nothing but the fact")
    return lambda fact: method()
