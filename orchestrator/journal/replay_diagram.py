"""Draws the way that a call took onto the diagram of the conversation machine.

Arrows and moves that were taken are highlighted and show how often; each substate says how often and how long
the call was in it. All times are in a table below the diagram, and in the tooltips. The diagram itself is the
one of `machines/diagrams`; marks are added to it.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from itertools import pairwise

from attrs import Factory, define, frozen

from adapters.neutral import neutral
from machines.declarations import Outcome, Step
from machines.diagrams import svg_of_conversation
from machines.diagrams.layout import CONVERSATION_LAYOUT, Point, Route
from machines.diagrams.style import SCOPE
from machines.system import Handled
from machines.tables import CONVERSATION, leaves, room_of
from orchestrator.journal.format import Journal

SVG = "http://www.w3.org/2000/svg"
ROW = 18.0
"""Height of a row of the table."""
MARGIN = 48.0
COLUMNS = (("from", 48.0), ("to", 190.0), ("because of", 332.0), ("times", 590.0), ("stayed before", 650.0))
"""The table's columns: (heading, x at which it begins)."""
TIMES_AT = 780.0
TIMES_WIDTH = 452.0
CHARACTER = 6.6
"""Width of an average character of the table, in px."""
STYLE = """
.edge .way, .edge .head, .edge .label, .edge .guard { opacity: 0.3 }
.move, .target { opacity: 0.35 }
.edge.taken .way { opacity: 1; stroke: var(--responding); stroke-width: 3.5 }
.edge.taken .head { opacity: 1; fill: var(--responding) }
.edge.taken .label, .edge.taken .guard { opacity: 1 }
.target.taken { opacity: 1; fill: var(--responding) }
.badge rect { fill: var(--responding) }
.badge text { fill: var(--on-accent); font-size: 12px; font-weight: 700; text-anchor: middle }
.stay { fill: var(--ink); font-size: 11px; font-weight: 700 }
.unvisited { opacity: 0.45 }
.row { font-size: 12px }
.heading { font-size: 12px; font-weight: 700 }
.caption { font-size: 15px; font-weight: 700 }
"""


@define
class Passage:
    """A way from a state to another or to itself, as a call took it. Times are ms since the call began."""

    source: str
    target: str
    event: str
    at: list[float] = Factory(list)
    stayed: list[float] = Factory(list)
    """How long the call had been in the source, each time."""


@define
class Stay:
    """How often a state was entered, and how long it lasted in all, in ms."""

    times: int = 0
    ms: float = 0.0


@frozen
class Traffic:
    """What a call did, as the diagram shows it."""

    passages: tuple[Passage, ...]
    """One for each (source, target, fact), in the order in which they were first taken."""
    stays: dict[str, Stay]

    def between(self, sources: Iterable[str], targets: Iterable[str]) -> list[Passage]:
        """The passages from one of `sources` to one of `targets`."""
        return [each for each in self.passages if each.source in sources and each.target in targets]


def traffic_of(journal: Journal) -> Traffic:
    """The way that the call took through the conversation machine, by its journal."""
    passages: dict[tuple[str, str, str], Passage] = {}
    entered = 0.0
    first = next(iter(leaves(CONVERSATION.chart))).id
    stays = {first: Stay(1)}
    state = first
    for step in _moves(journal):
        at = step.fact.at_ms - journal.head.at_ms
        passage = passages.setdefault(
            (step.source, step.target, step.fact.name), Passage(step.source, step.target, step.fact.name)
        )
        passage.at.append(at)
        passage.stayed.append(at - entered)
        stays.setdefault(step.source, Stay()).ms += at - entered
        stays.setdefault(step.target, Stay()).times += 1
        state, entered = step.target, at
    stays[state].ms += journal.last_ms - journal.head.at_ms - entered
    return Traffic(tuple(passages.values()), stays)


def _moves(journal: Journal) -> Iterator[Step]:
    for each in (journal.beginning, *journal.handled):
        if isinstance(each, Handled):
            for step in each.steps:
                if (
                    step.machine == CONVERSATION.name
                    and step.outcome is Outcome.TAKEN
                    and step.source != step.target
                ):
                    yield step


# --- marks on the diagram -------------------------------------------------------------------------------


def draw(journal: Journal) -> str:
    """The diagram of a call, as SVG."""
    ET.register_namespace("", SVG)
    picture = ET.fromstring(svg_of_conversation())
    traffic = traffic_of(journal)
    _light_arrows(picture, traffic)
    _light_moves(picture, traffic)
    _write_stays(picture, traffic)
    _write_table(picture, journal, traffic)
    style = ET.SubElement(picture, "style")
    style.text = "\n".join(f".{SCOPE} {rule}" if rule else "" for rule in _rules())
    return ET.tostring(picture, encoding="unicode") + "\n"


def _rules() -> Iterator[str]:
    """A rule for each selector of the style, so that every one can be bound to the diagram's class."""
    for line in STYLE.strip().splitlines():
        selectors, _, body = line.partition("{")
        yield from (f"{selector.strip()} {{{body}" for selector in selectors.split(","))


def _light_arrows(picture: ET.Element, traffic: Traffic) -> None:
    rooms: dict[str, list[str]] = {}
    for state in leaves(CONVERSATION.chart):
        rooms.setdefault(room_of(state), []).append(state.id)
    for route in CONVERSATION_LAYOUT.routes:
        taken = traffic.between(rooms[route.source], rooms[route.target])
        arrow = _found(picture, f"edge-{route.source}-{route.target}")
        if taken:
            arrow.set("class", arrow.get("class", "") + " taken")
            _put_before_tooltip(arrow, taken)
            _badge(picture, route, sum(len(each.at) for each in taken))


def _light_moves(picture: ET.Element, traffic: Traffic) -> None:
    """Highlight the lines beside a substate that name its targets within the same state."""
    for substate in (state.id for state in leaves(CONVERSATION.chart)):
        group = _found(picture, f"substate-{substate}")
        for line in group.iter(f"{{{SVG}}}text"):
            if line.get("class") != "target":
                continue
            taken = traffic.between([substate], [(line.text or "").removeprefix("→ ")])
            if taken:
                line.set("class", "target taken")
                # In place of the arrow, since there is no room beside it.
                line.text = f"{sum(len(each.at) for each in taken)}× {taken[0].target}"
                _put_before_tooltip(group, taken)


def _write_stays(picture: ET.Element, traffic: Traffic) -> None:
    """Write how often and how long the call was in each substate, beside its deadline or under it."""
    for substate in (state.id for state in leaves(CONVERSATION.chart)):
        group = _found(picture, f"substate-{substate}")
        stay = traffic.stays.get(substate)
        chip = next(each for each in group.iter(f"{{{SVG}}}rect"))
        if stay is None:
            group.set("class", "substate unvisited")
            continue
        x, y = float(chip.get("x", 0)), float(chip.get("y", 0))
        told = ET.SubElement(group, "text", {"class": "stay wide", "x": f"{x + 12:g}", "y": f"{y + 39:g}"})
        told.text = f"{stay.times}× {stay.ms / 1000:.1f} s"


def _badge(picture: ET.Element, route: Route, count: int) -> None:
    """Put a number on an arrow, half way along it and away from the arrow's labels."""
    text = f"{count}×"
    width = 14 + 7 * len(text)
    x, y, across = _middle(route.points)
    at = (x, y + (6 if route.label[1] < y else -5)) if across else (x - width / 2 + 5, y)
    group = ET.SubElement(picture, "g", {"class": "badge"})
    ET.SubElement(
        group,
        "rect",
        {
            "x": f"{at[0] - width / 2:g}",
            "y": f"{at[1] - 10:g}",
            "width": f"{width:g}",
            "height": "20",
            "rx": "10",
        },
    )
    ET.SubElement(group, "text", {"x": f"{at[0]:g}", "y": f"{at[1] + 4:g}"}).text = text


def _middle(points: tuple[Point, ...]) -> tuple[float, float, bool]:
    """The point half way along a route as (x, y), and whether the route is horizontal there."""
    pieces = list(pairwise(points))
    left = sum(_length(*piece) for piece in pieces) / 2
    for start, end in pieces:
        length = _length(start, end)
        if left <= length:
            part = left / length
            (x, y), (ex, ey) = start, end
            return x + (ex - x) * part, y + (ey - y) * part, y == ey
        left -= length
    raise ValueError("a route without points has no middle")


def _length(start: Point, end: Point) -> float:
    return abs(end[0] - start[0]) + abs(end[1] - start[1])


def _put_before_tooltip(group: ET.Element, taken: Iterable[Passage]) -> None:
    tooltip = next(each for each in group.iter(f"{{{SVG}}}title"))
    lines = [f"{each.source} → {each.target}, {each.event}: {_all_times(each)}" for each in taken]
    tooltip.text = "\n".join([*map(neutral, lines), "", tooltip.text or ""])


def _found(picture: ET.Element, name: str) -> ET.Element:
    return next(each for each in picture.iter() if each.get("id") == name)


# --- the table --------------------------------------------------------------------------------------------


def _write_table(picture: ET.Element, journal: Journal, traffic: Traffic) -> None:
    """Write the table below the diagram: every way that was taken, with its times."""
    top = CONVERSATION_LAYOUT.height
    height = top + ROW * (len(traffic.passages) + 4)
    picture.set("viewBox", f"0 0 {CONVERSATION_LAYOUT.width:g} {height:g}")
    paper = next(each for each in picture.iter() if each.get("class") == "paper")
    paper.set("height", f"{height:g}")
    ended = journal.ended
    seconds = (journal.last_ms - journal.head.at_ms) / 1000
    caption = (
        f"Call {journal.head.about.session_id}: {len(journal.handled)} facts in {seconds:.1f} s,"
        f" ended: {ended.value if ended else 'not within the journal'}"
    )
    _text(picture, "caption", MARGIN, top + ROW, caption)
    for name, x in (*COLUMNS, ("at, in seconds of the call", TIMES_AT)):
        _text(picture, "heading", x, top + 2.3 * ROW, name)
    for number, each in enumerate(traffic.passages):
        mean = sum(each.stayed) / len(each.stayed) / 1000
        cells = (each.source, each.target, each.event.replace("_", " "), f"{len(each.at)}×", f"{mean:.2f} s")
        y = top + (3.4 + number) * ROW
        for (_, x), cell in zip(COLUMNS, cells, strict=True):
            _text(picture, "row", x, y, cell)
        _text(picture, "row", TIMES_AT, y, _times_that_fit(each))


def _times_that_fit(passage: Passage) -> str:
    """As many of the times as fit into the column."""
    times = _all_times(passage)
    most = int(TIMES_WIDTH / CHARACTER)
    return times if len(times) <= most else times[: most - 1].rpartition(" ")[0] + " …"


def _all_times(passage: Passage) -> str:
    return " ".join(f"{at / 1000:.2f}" for at in passage.at)


def _text(picture: ET.Element, kind: str, x: float, y: float, text: str) -> None:
    ET.SubElement(picture, "text", {"class": kind, "x": f"{x:g}", "y": f"{y:g}"}).text = neutral(text)
