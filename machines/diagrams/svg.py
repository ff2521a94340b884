"""Draws a machine as SVG, by string formatting only: the same machine gives the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from machines.diagrams.edges import Edge, room_edges
from machines.diagrams.layout import Layout, LayoutError, Point, Route, check
from machines.diagrams.rooms import draw_room
from machines.diagrams.style import SCOPE, stylesheet
from machines.diagrams.text import INDENT, LINE, in_lines, tooltip_of_edge
from machines.tables import Machine

CORNER = 12.0
HEAD = 9.0
"""The length of an arrow's head."""


def draw(machine: Machine, layout: Layout, highlight: str = "") -> str:
    """The diagram of a machine, with the state `highlight` (a substate, or a state without any) lit.

    Raises:
        LayoutError: the live machine and the layout differ, or a text does not fit its box.
    """
    check(machine, layout)
    edges = {(edge.source, edge.target): edge for edge in room_edges(machine)}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{SCOPE}" role="img"'
        f' viewBox="0 0 {layout.width:g} {layout.height:g}">',
        f"<title>{escape(layout.title)}</title>",
        f"<style>{stylesheet()}</style>",
        f'<rect class="paper" width="{layout.width:g}" height="{layout.height:g}" rx="16"/>',
        *_entry(layout),
        *(_edge(edges[route.source, route.target], route, layout) for route in layout.routes),
        *(draw_room(machine, place, highlight) for place in layout.rooms),
        _note(layout),
        "</svg>",
        "",
    ]
    return "\n".join(parts)


# --- arrows -----------------------------------------------------------------------------------------------


def _entry(layout: Layout) -> Iterator[str]:
    x, y = layout.entry[0]
    yield f'<circle class="begin" cx="{x:g}" cy="{y:g}" r="5"/>'
    yield f'<path class="way" d="{_path(layout.entry)}"/>{_head(layout.entry)}'


def _note(layout: Layout) -> str:
    x, y = layout.note_at
    return f'<text class="note wide" x="{x:g}" y="{y:g}">{escape(layout.note)}</text>'


def _edge(edge: Edge, route: Route, layout: Layout) -> str:
    """An arrow with its labels and, as a tooltip, all its transitions."""
    is_last = edge.target == layout.rooms[-1].room
    x, y = route.label
    lines = [line for label in edge.labels for line in _marked(in_lines(label, route.label_width))]
    if len(lines) > route.label_lines:
        raise LayoutError(
            f"{len(lines)} lines of labels from {edge.source} to {edge.target}: {route.label_lines} fit"
        )
    return "\n".join(
        [
            f'<g id="edge-{edge.source}-{edge.target}" class="edge{" last" if is_last else ""}">',
            f"<title>{escape(tooltip_of_edge(edge))}</title>",
            f'<path class="way" d="{_path(route.points)}"/>{_head(route.points)}',
            '<g class="wide">',
            *(_label(line, x, y + LINE * number, style) for number, (line, style) in enumerate(lines, 1)),
            "</g>",
            "</g>",
        ]
    )


def _path(points: tuple[Point, ...]) -> str:
    """Straight lines with round corners, up to the arrow's head."""
    stop = _before(points[-2], points[-1], HEAD - 1)
    steps = [f"M{points[0][0]:g} {points[0][1]:g}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        (ax, ay), (bx, by) = _before(before, corner, CORNER), _before(after, corner, CORNER)
        steps.append(f"L{ax:g} {ay:g}Q{corner[0]:g} {corner[1]:g} {bx:g} {by:g}")
    return "".join([*steps, f"L{stop[0]:g} {stop[1]:g}"])


def _before(start: Point, end: Point, distance: float) -> Point:
    """The point at `distance` before `end`, coming from `start`."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = (dx * dx + dy * dy) ** 0.5
    return end[0] - dx / length * distance, end[1] - dy / length * distance


def _head(points: tuple[Point, ...]) -> str:
    (x, y), (bx, by) = points[-1], _before(points[-2], points[-1], HEAD)
    across = ((y - by) / HEAD * 4.5, (bx - x) / HEAD * 4.5)
    corners = ((x, y), (bx + across[0], by + across[1]), (bx - across[0], by - across[1]))
    return f'<polygon class="head" points="{" ".join(f"{px:g},{py:g}" for px, py in corners)}"/>'


def _marked(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Each line of a label with its style: a fact, which its guard may follow, or the rest of a guard."""
    style = "label"
    for line in lines:
        style = "guard" if line.lstrip().startswith("[") else style
        yield line, style
        style = "guard" if "[" in line else style


def _label(line: str, x: float, y: float, style: str) -> str:
    left = x + 10 if line.startswith(INDENT) else x
    event, bracket, guard = line.strip().partition("[")
    if style == "guard" or not bracket:
        return f'<text class="{style}" x="{left:g}" y="{y:g}">{escape(line.strip())}</text>'
    rest = f'<tspan class="guard"> {escape(bracket + guard)}</tspan>'
    return f'<text class="label" x="{left:g}" y="{y:g}">{escape(event.strip())}{rest}</text>'
