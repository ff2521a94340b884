"""Draws a machine in Mermaid's language, which GitHub renders: a box for each room, and labelled arrows."""

from __future__ import annotations

from collections.abc import Iterator

from machines.diagrams.edges import Edge, room_edges, substate_edges
from machines.tables import Machine, leaves, room_of, rooms

FIRST_LINE = "%% Generated from the live machine by `vantum diagrams`: do not edit."


def draw(machine: Machine) -> str:
    """The whole diagram."""
    first = next(state for state in leaves(machine.chart) if state.initial)
    lines = [FIRST_LINE, "stateDiagram-v2", f"    [*] --> {room_of(first)}"]
    for room in rooms(machine.chart):
        lines.extend(f"    {line}" for line in _room(machine, room))
    lines.extend(f"    {_arrow(edge)}" for edge in room_edges(machine))
    return "\n".join([*lines, ""])


def _room(machine: Machine, room: str) -> Iterator[str]:
    inside = [state for state in leaves(machine.chart) if room_of(state) == room]
    if [state.id for state in inside] == [room]:
        yield room
        return
    yield f"state {room} {{"
    yield from (f"    [*] --> {state.id}" for state in inside if state.initial)
    yield from (f"    {_arrow(edge)}" for edge in substate_edges(machine, room))
    yield from (f"    {state.id} --> [*]" for state in inside if state.final)
    yield "}"


def _arrow(edge: Edge) -> str:
    return f"{edge.source} --> {edge.target}: {'<br/>'.join(edge.labels)}"
