"""Writes the whole table of a machine in Markdown: state × fact × guard × actions × effects × target."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from typing import Any

from machines.diagrams.edges import words
from machines.guard_expressions import guard_names
from machines.tables import (
    Deadline,
    Kind,
    Machine,
    Row,
    deadlines,
    events,
    fact_classes,
    leaves,
    refusals,
    room_of,
    rows,
)

FIRST_LINE = "<!-- Generated from the live machine by `vantum diagrams`: do not edit. -->"


def write(machine: Machine) -> str:
    """The whole document."""
    parts = [
        FIRST_LINE,
        f"# The {machine.name} machine",
        f"![The {machine.name} machine]({machine.name}.svg)",
        _introduction(machine),
        "## Overview",
        *_overview(machine),
        "## State by state",
        *_states(machine),
        "## Guards and actions",
        *_guards_and_actions(machine),
        "## Refused as stale",
        *_refusals(machine),
        "## Deadlines",
        *_deadlines(machine),
    ]
    return "\n\n".join(parts) + "\n"


def _introduction(machine: Machine) -> str:
    found = rows(machine.chart)
    count = {kind: sum(row.kind is kind for row in found) for kind in Kind}
    pairs = len({(row.state, row.event) for row in found})
    return (
        f"{len(leaves(machine.chart))} states × {len(events(machine.chart))} facts = {pairs} pairs, each"
        f" declared: {count[Kind.TRANSITION]} transitions, {count[Kind.INTERNAL]} that do something and stay,"
        f" {count[Kind.IGNORED]} ignored for a reason. Of several rows for one fact, the first whose guard"
        " holds is taken. The effects are those that the actions *may* ask for; besides them, every change of"
        " state arms the deadline of the new state."
    )


# --- overview ---------------------------------------------------------------------------------------------


def _overview(machine: Machine) -> Iterator[str]:
    """One line for each fact, one column for each state."""
    states = [state.id for state in leaves(machine.chart)]
    found = rows(machine.chart)
    lines = [
        [f"`{event}`", *(_cell(found, state, event) for state in states)] for event in events(machine.chart)
    ]
    yield _table(["fact", *states], lines)
    yield "→ moves to; *stays*: does something and stays; · ignored."


def _cell(found: Iterable[Row], state: str, event: str) -> str:
    said = []
    for row in found:
        if (row.state, row.event) == (state, event):
            symbols = {Kind.TRANSITION: f"→ {row.target}", Kind.INTERNAL: "*stays*", Kind.IGNORED: "·"}
            said.append(symbols[row.kind])
    return "<br>".join(dict.fromkeys(said))


# --- state by state ---------------------------------------------------------------------------------------


def _states(machine: Machine) -> Iterator[str]:
    found = rows(machine.chart)
    limits = {each.state: each for each in deadlines(machine)}
    for state in leaves(machine.chart):
        room = room_of(state)
        yield f"### {state.id}" if room == state.id else f"### {room} · {state.id}"
        if state.id in limits:
            limit = limits[state.id]
            yield f"Deadline: at most {_milliseconds(limit)} ({_settings(limit)})."
        mine = [row for row in found if row.state == state.id]
        taken = [row for row in mine if row.kind is not Kind.IGNORED]
        if taken:
            yield _table(["fact", "if", "does", "effects", "goes to"], [_row(row) for row in taken])
        if len(taken) < len(mine):
            yield "\n".join(_ignored(mine))


def _row(row: Row) -> list[str]:
    return [
        f"`{row.event}`",
        words(row.guard),
        ", ".join(words(action) for action in row.actions),
        " ".join(f"`{effect}`" for effect in row.effects),
        "*stays*" if row.kind is Kind.INTERNAL else f"**{row.target}**",
    ]


def _ignored(mine: list[Row]) -> Iterator[str]:
    """The ignored facts by reason. Those that have guarded rows too are marked "otherwise"."""
    guarded = {row.event for row in mine if row.kind is not Kind.IGNORED}
    reasons: dict[str, list[str]] = {}
    for row in mine:
        if row.kind is Kind.IGNORED:
            otherwise = " (otherwise)" if row.event in guarded else ""
            reasons.setdefault(row.reason, []).append(f"`{row.event}`{otherwise}")
    yield "Ignored:"
    yield ""
    for reason, found in reasons.items():
        yield f"- {', '.join(found)}: {reason}"


# --- legends ----------------------------------------------------------------------------------------------


def _guards_and_actions(machine: Machine) -> Iterator[str]:
    """Where each is, and what its docstring says: of a guard when it holds, of an action what it does."""
    found = rows(machine.chart)
    guards = {name for row in found for name in guard_names(row.guard)}
    actions = {name for row in found for name in row.actions}
    lines = [
        [f"`{name}`", "guard" if name in guards else "action", _file_of(method), _first_sentence(method)]
        for name in sorted(guards | actions)
        for method in [getattr(machine.chart, name)]
    ]
    yield _table(["name", "is", "in", "holds when, or does"], lines)


def _file_of(method: Any) -> str:
    path = f"{method.__module__.replace('.', '/')}.py"
    return f"[`{path.rpartition('/')[2]}`](../{path})"


def _refusals(machine: Machine) -> Iterator[str]:
    yield "These facts have a number. With any but the current one they are refused in every state."
    lines = [
        [f"`{each.event}`", each.reason, _first_sentence(fact_classes()[each.event])]
        for each in refusals(machine)
    ]
    yield _table(["fact", "is refused because", "what it says otherwise"], lines)


def _first_sentence(named: object) -> str:
    return (inspect.getdoc(named) or "").split("\n\n")[0].replace("\n", " ").replace("|", "\\|")


def _deadlines(machine: Machine) -> Iterator[str]:
    lines = [[each.state, _milliseconds(each), _settings(each)] for each in deadlines(machine)]
    yield (
        "The longest that each deadline can be, whatever happened before. Signs of life begin it anew. A"
        " state that “may go on” can last longer: when the deadline has passed, another one may follow."
    )
    yield _table(["state", "at most", "settings"], lines)
    limited = {each.state for each in deadlines(machine)}
    free = [state.id for state in leaves(machine.chart) if state.id not in limited]
    yield f"Without a deadline: {', '.join(free)}."


def _milliseconds(deadline: Deadline) -> str:
    after = " after the audio that is there to be played" if deadline.after_audio else ""
    again = ", may go on" if deadline.begins_anew else ""
    return f"{deadline.longest_ms:g} ms{after}{again}"


def _settings(deadline: Deadline) -> str:
    """The fields of the policy; what depends on none of them depends on the tools."""
    return ", ".join(f"`{name}`" for name in deadline.settings) or "`timeout_ms` of each tool"


def _table(head: list[str], lines: list[list[str]]) -> str:
    every = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in every)
