"""Draws a room: its box, its name and its substates, each with the transitions from it within the room."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape

from attrs import frozen

from machines.diagrams.edges import Edge, substate_edges, words
from machines.diagrams.layout import Heading, LayoutError, Point, RoomPlace
from machines.diagrams.text import CHARACTER, INDENT, LINE, in_lines, tooltip_of_state
from machines.tables import Deadline, Machine, deadlines

CHIP_HEIGHT = 26.0
BASELINE = 17.5
"""From the top of a chip to the baseline of its text."""
MARGIN = 16.0
NAME_HEIGHT, NAME_WIDTH = 44.0, 110.0
"""The height that the room's name takes above its substates, and the width beside them."""
GAP = 14.0
MOST_GAP = 13.0
"""The widest gap between two substates."""
AGAIN = "again"
"""Written instead of a target if the state stays."""
BOLD_CHARACTER = 7.7
"""Width of an average character of a substate's name."""


@frozen
class Move:
    """A line beside a chip: what leads to which target. The target is empty on a continued line."""

    target: str
    text: str


@frozen
class Chip:
    """The box of a substate, with its place."""

    substate: str
    x: float
    y: float
    width: float
    moves: tuple[Move, ...]
    target_width: float
    """The width of the column that says where a move leads."""
    lift: float = 0.0
    """By how much the moves are lowered; negative where they are centred on the chip."""


def draw_room(machine: Machine, place: RoomPlace, highlight: str) -> str:
    """The room as one group, with a group for each substate. It is lit if it holds the state `highlight`."""
    active = " active" if highlight and highlight in (place.room, *place.substates) else ""
    lines = [f'<g id="state-{place.room}" class="state {place.room}{active}">']
    if not place.substates:
        lines.append(f"<title>{escape(tooltip_of_state(machine, place.room))}</title>")
    lines.append(
        f'<rect class="room" x="{place.x:g}" y="{place.y:g}" width="{place.width:g}"'
        f' height="{place.height:g}" rx="18"/>'
    )
    lines.extend(_name(place))
    limits = {each.state: _limit(each) for each in deadlines(machine)}
    moves = sorted(substate_edges(machine, place.room), key=lambda edge: place.substates.index(edge.target))
    for number, chip in enumerate(_chips(place, tuple(moves))):
        lit = " active" if chip.substate == highlight else ""
        lines.append(f'<g id="substate-{chip.substate}" class="substate{lit}">')
        lines.append(f"<title>{escape(tooltip_of_state(machine, chip.substate))}</title>")
        lines.extend(_wide_chip(chip, limits.get(chip.substate)))
        lines.append(_compact_chip(place, number, chip.substate))
        lines.append("</g>")
    return "\n".join([*lines, "</g>"])


def _name(place: RoomPlace) -> Iterator[str]:
    """The room's name, once for each width of the picture."""
    middle_x, middle_y = place.x + place.width / 2, place.y + place.height / 2
    if not place.substates:
        yield _text("name wide", (middle_x, middle_y + 6), place.room, "middle")
        yield f'<g class="compact">{_text("name", (middle_x, middle_y + 14), place.room, "middle")}</g>'
    elif place.heading is Heading.BESIDE:
        yield _text("name wide", (place.x + MARGIN, middle_y + 6), place.room)
        yield f'<g class="compact">{_text("name", (place.x + MARGIN, middle_y + 14), place.room)}</g>'
    else:
        yield _text("name wide", (place.x + MARGIN, place.y + 29), place.room)
        yield f'<g class="compact">{_text("name", (middle_x, place.y + 42), place.room, "middle")}</g>'


def _text(kind: str, at: Point, text: str, anchor: str = "start") -> str:
    x, y = at
    end = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text class="{kind}" x="{x:g}" y="{y:g}"{end}>{escape(text)}</text>'


# --- at full width ----------------------------------------------------------------------------------------


def _chips(place: RoomPlace, edges: tuple[Edge, ...]) -> tuple[Chip, ...]:
    if place.heading is Heading.BESIDE:
        return tuple(_side_by_side(place, edges))
    return tuple(_one_below_the_other(place, edges))


def _one_below_the_other(place: RoomPlace, edges: tuple[Edge, ...]) -> Iterator[Chip]:
    x = place.x + MARGIN
    column = _target_width(edges)
    width = place.width - 2 * MARGIN - place.chip_width - GAP - column
    moves = [_moves(substate, edges, width) for substate in place.substates]
    heights = [max(CHIP_HEIGHT, LINE * len(each) + 6) for each in moves]
    free = place.height - NAME_HEIGHT - MARGIN / 2 - sum(heights)
    if free < 0:
        raise LayoutError(f"{place.room} is {-free:g} px too low for its substates")
    y = place.y + NAME_HEIGHT
    for substate, lines, height in zip(place.substates, moves, heights, strict=True):
        yield Chip(substate, x, y, place.chip_width, lines, column)
        y += height + min(MOST_GAP, free / max(1, len(heights) - 1))


def _side_by_side(place: RoomPlace, edges: tuple[Edge, ...]) -> Iterator[Chip]:
    """The chips from the name to the right edge. Each has the space that its moves need."""
    x, column = place.x + MARGIN + NAME_WIDTH, _target_width(edges)
    y = place.y + (place.height - CHIP_HEIGHT) / 2
    going = [substate for substate in place.substates if _moves(substate, edges, math.inf)]
    space = place.x + place.width - MARGIN - x - place.chip_width * len(place.substates)
    free = space - len(going) * (2 * GAP + column)
    needs = {substate: _narrowest(substate, edges, free) for substate in going}
    for substate in place.substates:
        width = needs.get(substate, 0.0) / max(1.0, sum(needs.values())) * free
        moves = _moves(substate, edges, width)
        if LINE * len(moves) > place.height:
            raise LayoutError(f"{place.room} is too low for the moves from {substate}")
        yield Chip(substate, x, y, place.chip_width, moves, column, -LINE * max(0, len(moves) - 1) / 2)
        x += place.chip_width + (width + 2 * GAP + column if moves else 0.0)


def _narrowest(substate: str, edges: tuple[Edge, ...], width: float) -> float:
    """The width of the moves from a substate if facts and guards are on lines of their own."""
    labels = [label for edge in edges if edge.source == substate for label in edge.labels]
    pieces = [piece for label in labels for piece in label.replace(" [", "\n[").split("\n")]
    return min(width, max(len(piece) for piece in pieces) * CHARACTER)


def _target_width(edges: tuple[Edge, ...]) -> float:
    elsewhere = (edge.target for edge in edges if edge.source != edge.target)
    return 26 + BOLD_CHARACTER * max(map(len, (AGAIN, *elsewhere)))


def _moves(substate: str, edges: tuple[Edge, ...], width: float) -> tuple[Move, ...]:
    moves: list[Move] = []
    for edge in edges:
        if edge.source == substate:
            texts = [text for label in edge.labels for text in in_lines(label, width)]
            where = f"↻ {AGAIN}" if edge.target == substate else f"→ {words(edge.target)}"
            targets = [where, *[""] * (len(texts) - 1)]
            moves.extend(map(Move, targets, texts))
    return tuple(moves)


def _limit(deadline: Deadline) -> str:
    """The longest deadline, as a chip says it."""
    longest = f"{deadline.longest_ms / 1000:g} s" + ("…" if deadline.begins_anew else "")
    return f"♪+{longest}" if deadline.after_audio else longest


def _wide_chip(chip: Chip, limit: str | None) -> Iterator[str]:
    base = chip.y + BASELINE
    yield '<g class="wide">'
    yield (
        f'<rect class="chip" x="{chip.x:g}" y="{chip.y:g}" width="{chip.width:g}" height="{CHIP_HEIGHT:g}"'
        ' rx="13"/>'
    )
    yield _text("substate-name", (chip.x + 12, base), words(chip.substate))
    if limit is not None:
        yield _text("deadline", (chip.x + chip.width - 10, base), limit, "end")
    x = chip.x + chip.width + GAP
    for number, move in enumerate(chip.moves):
        y = base + chip.lift + LINE * number
        if move.target:
            yield _text("target", (x, y), move.target)
        yield _text(
            "move", (x + chip.target_width + (8 if move.text.startswith(INDENT) else 0), y), move.text.strip()
        )
    yield "</g>"


# --- at phone width ---------------------------------------------------------------------------------------


def _compact_chip(place: RoomPlace, number: int, substate: str) -> str:
    """The chip at phone width: large, in a grid of two columns beside or below the room's name."""
    beside = place.heading is Heading.BESIDE
    columns = min(2, len(place.substates))
    rows = -(-len(place.substates) // columns)
    left = place.x + (MARGIN + 210 if beside else MARGIN)
    top = place.y + (4 if beside else 50)
    width = (place.x + place.width - MARGIN - left - GAP * (columns - 1)) / columns
    row_height = (place.y + place.height - 6 - top) / rows
    height = min(64, row_height - 4)
    x = left + number % columns * (width + GAP)
    y = top + number // columns * row_height + (row_height - height) / 2
    middle = (x + width / 2, y + height / 2 + 10)
    return (
        f'<g class="compact"><rect class="chip" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
        f' rx="{height / 2:g}"/>{_text("substate-name", middle, words(substate), "middle")}</g>'
    )
