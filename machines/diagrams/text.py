"""Text in the diagrams: how wide it is, where its lines are broken, and what tooltips say."""

from __future__ import annotations

from machines.diagrams.edges import Edge, words
from machines.tables import Kind, Machine, Row, rows

LINE = 16.0
"""The distance from one baseline to the next."""
CHARACTER = 6.5
"""The width of an average character of the 12.5 px text in wide sans-serif fonts (DejaVu Sans, rounded up). A
diagram must not depend on the fonts of the machine that draws it."""
INDENT = "  "


def in_lines(text: str, width: float) -> list[str]:
    """Break a text so that no line is wider than `width`, at its guard first. Later lines are indented."""
    event, bracket, guard = text.partition(" [")
    if not bracket or len(text) * CHARACTER <= width:
        return _broken(text, width)
    return [*_broken(event, width), *(INDENT + line.strip() for line in _broken("[" + guard, width))]


def _broken(text: str, width: float) -> list[str]:
    """Break a text at blanks."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if not lines or len(longer) * CHARACTER <= width:
            lines[-1:] = [longer]
        else:
            lines.append(INDENT + word)
    return lines


def tooltip_of_edge(edge: Edge) -> str:
    """All transitions along an edge, one on each line."""
    head = f"{edge.source} → {edge.target}"
    return "\n".join([head, *(f"{row.state}: {_transition(row)}" for row in edge.rows)])


def tooltip_of_state(machine: Machine, state: str) -> str:
    """Everything that a state does, one fact on each line, and what it ignores."""
    found = [row for row in rows(machine.chart) if row.state == state]
    ignored = [words(row.event) for row in found if row.kind is Kind.IGNORED]
    lines = [state, *(_transition(row) for row in found if row.kind is not Kind.IGNORED)]
    return "\n".join([*lines, f"ignored: {', '.join(ignored)}"] if ignored else lines)


def _transition(row: Row) -> str:
    guard = f" [{words(row.guard)}]" if row.guard else ""
    target = "stays" if row.kind is Kind.INTERNAL else f"→ {row.target}"
    actions = f": {', '.join(words(action) for action in row.actions)}" if row.actions else ""
    return f"{words(row.event)}{guard} {target}{actions}"
