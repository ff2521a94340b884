"""Edges: the transitions of a machine, gathered into the arrows of a diagram."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from machines.tables import Kind, Machine, Row, assignments, holds, rows


@frozen
class Edge:
    """All transitions from one state to another, or from one room to another."""

    source: str
    target: str
    rows: tuple[Row, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """One line for each fact, with the guards that tell its cases apart."""
        return labels(self.rows)


def room_edges(machine: Machine) -> tuple[Edge, ...]:
    """The edges from room to room, in the order of the tables."""
    moved = [row for row in rows(machine.chart) if row.room != row.target_room]
    return _gathered((row.room, row.target_room, row) for row in moved)


def substate_edges(machine: Machine, room: str) -> tuple[Edge, ...]:
    """The edges between the substates of a room, and from a substate to itself if something is retried."""
    moved = [row for row in rows(machine.chart) if row.room == row.target_room == room]
    return _gathered(
        (row.state, row.target, row) for row in moved if row.kind is Kind.TRANSITION or _tries_again(row)
    )


def _tries_again(row: Row) -> bool:
    """The state stays, and what failed is retried, by the same provider or by another."""
    retried = set(row.effects) & {"OpenLink", "StartGeneration", "RestartSpeech"}
    return row.kind is Kind.INTERNAL and (bool(retried) or row.effects == ("ReplaceLink",))


def _gathered(moves: Iterable[tuple[str, str, Row]]) -> tuple[Edge, ...]:
    pairs: dict[tuple[str, str], tuple[Row, ...]] = {}
    for source, target, row in moves:
        pairs[source, target] = (*pairs.get((source, target), ()), row)
    return tuple(Edge(source, target, found) for (source, target), found in pairs.items())


def labels(moves: Iterable[Row]) -> tuple[str, ...]:
    """One label for each fact, without guards if one of them always holds."""
    guards: dict[str, list[str]] = {}
    for row in moves:
        guards.setdefault(row.event, []).append(row.guard)
    return tuple(_label(event, found) for event, found in guards.items())


def _label(event: str, guards: list[str]) -> str:
    if "" in guards or all(any(holds(each, truth) for each in guards) for truth in assignments(guards)):
        return words(event)
    return f"{words(event)} [{words(' or '.join(_without_special_cases(guards)))}]"


def _without_special_cases(guards: list[str]) -> list[str]:
    """The guards without those that hold only if another one holds too."""
    different = list(dict.fromkeys(guards))
    truths = list(assignments(different))

    def special(guard: str) -> bool:
        return any(
            all(holds(other, truth) for truth in truths if holds(guard, truth))
            for other in different
            if other != guard
        )

    return [guard for guard in different if not special(guard)]


def words(name: str) -> str:
    """A name from the code with blanks instead of underscores."""
    return name.replace("_", " ")
