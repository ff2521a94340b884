"""The diagrams are current, complete and legible, and their styles stay inside."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from attrs import evolve, frozen

from machines import diagrams
from machines.diagrams import LayoutError, mermaid, svg
from machines.diagrams.layout import (
    ADMISSION_LAYOUT,
    BREAKER_LAYOUT,
    CALL_LAYOUT,
    CONVERSATION_LAYOUT,
    LINK_LAYOUT,
    Layout,
    RoomPlace,
    Route,
)
from machines.diagrams.text import in_lines
from machines.tables import (
    ADMISSION,
    BREAKER,
    CALL,
    CONVERSATION,
    LINK,
    MACHINES,
    Kind,
    Machine,
    leaves,
    rooms,
    rows,
)

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"
PICTURES = [
    (CONVERSATION, CONVERSATION_LAYOUT),
    (LINK, LINK_LAYOUT),
    (BREAKER, BREAKER_LAYOUT),
    (CALL, CALL_LAYOUT),
    (ADMISSION, ADMISSION_LAYOUT),
]
NAMES = [machine.name for machine in MACHINES]
pictures = pytest.mark.parametrize(("machine", "layout"), PICTURES, ids=NAMES)


def drawn(machine: Machine, layout: Layout, highlight: str = "") -> ElementTree.Element:
    return ElementTree.fromstring(svg.draw(machine, layout, highlight))


def by_id(picture: ElementTree.Element, name: str) -> ElementTree.Element:
    found = [element for element in picture.iter() if element.get("id") == name]
    assert len(found) == 1, f"{len(found)} elements with the id {name}"
    return found[0]


def classes(element: ElementTree.Element) -> list[str]:
    return element.get("class", "").split()


# --- the files --------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_same_machine_is_drawn_the_same() -> None:
    assert diagrams.svg_of_conversation() == diagrams.svg_of_conversation()
    assert (ROOT / "diagrams" / "conversation.svg").read_text() == diagrams.svg_of_conversation()
    assert (ROOT / "diagrams" / "link.svg").read_text() == diagrams.svg_of_link()


# --- the tables and Mermaid -------------------------------------------------------------------------------


@pytest.mark.parametrize("machine", MACHINES, ids=NAMES)
def test_the_table_has_every_transition_and_every_reason(machine: Machine) -> None:
    table = (ROOT / "diagrams" / f"{machine.name}.md").read_text()
    for row in rows(machine.chart):
        assert f"`{row.event}`" in table
        assert row.reason in table
    transitions = [row for row in rows(machine.chart) if row.kind is not Kind.IGNORED]
    by_state = table.split("## State by state")[1].split("## Guards")[0]
    assert len(re.findall(r"^\| `", by_state, re.MULTILINE)) == len(transitions)


@pytest.mark.parametrize("machine", MACHINES, ids=NAMES)
def test_the_mermaid_drawing_has_every_state_and_move(machine: Machine) -> None:
    text = mermaid.draw(machine)
    for state in leaves(machine.chart):
        assert re.search(rf"\b{state.id}\b", text)
    for row in rows(machine.chart):
        if row.kind is Kind.TRANSITION:
            inside = row.room == row.target_room
            arrow = f"{row.state} --> {row.target}" if inside else f"{row.room} --> {row.target_room}"
            assert f"{arrow}: " in text


# --- the pictures -----------------------------------------------------------------------------------------


@pictures
def test_every_room_substate_and_way_is_drawn_with_its_transitions(machine: Machine, layout: Layout) -> None:
    picture = drawn(machine, layout)
    for room in rooms(machine.chart):
        assert "state" in classes(by_id(picture, f"state-{room}"))
    for state in leaves(machine.chart):
        if state.parent is not None:
            chip = by_id(picture, f"substate-{state.id}")
            assert "substate" in classes(chip)
            assert (chip.findtext(f"{SVG}title") or "").startswith(state.id)
    for row in rows(machine.chart):
        if row.room != row.target_room:
            edge = by_id(picture, f"edge-{row.room}-{row.target_room}")
            assert f"{row.state}: {row.event.replace('_', ' ')}" in (edge.findtext(f"{SVG}title") or "")


@pytest.mark.slow
@pictures
def test_a_state_can_be_lit(machine: Machine, layout: Layout) -> None:
    for state in leaves(machine.chart):
        lit = [
            element.get("id")
            for element in drawn(machine, layout, state.id).iter()
            if "active" in classes(element)
        ]
        room = f"state-{state.parent.id if state.parent is not None else state.id}"
        assert lit == ([room, f"substate-{state.id}"] if state.parent is not None else [room])


@pictures
def test_the_styles_of_a_picture_touch_nothing_outside_it(machine: Machine, layout: Layout) -> None:
    style = drawn(machine, layout).findtext(f"{SVG}style") or ""
    for selectors in re.findall(r"(?:^|[{}])\s*([^{}@]+?)\s*\{", style):
        assert all(selector.strip().startswith(".vantum-diagram") for selector in selectors.split(",")), (
            selectors
        )
    assert "prefers-color-scheme: dark" in style


@frozen
class Box:
    """The estimated place of a text."""

    text: str
    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Box) -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


def text_boxes(element: ElementTree.Element) -> list[Box]:
    """The texts at full width below an element, not those for phones."""
    if "compact" in classes(element):
        return []
    boxes = [box for child in element for box in text_boxes(child)]
    if element.tag == f"{SVG}text":
        text = "".join(element.itertext())
        x, y = float(element.get("x", "0")), float(element.get("y", "0"))
        size, width = (17, 12.0) if "name" in classes(element) else (12, 6.2)
        # Bold letters are wider: this is what Chromium draws.
        width = 7.5 if "substate-name" in classes(element) else width
        width *= len(text)
        left = x - {"start": 0, "middle": width / 2, "end": width}[element.get("text-anchor", "start")]
        boxes.append(Box(text, left, y - size * 0.75, left + width, y + 2))
    return boxes


@pictures
def test_no_text_covers_another_or_leaves_the_picture(machine: Machine, layout: Layout) -> None:
    boxes = text_boxes(drawn(machine, layout))
    assert len(boxes) > 20
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other), f"{one.text!r} covers {other.text!r}"
    for box in boxes:
        assert box.left >= 0, box.text
        assert box.right <= layout.width, box.text
        assert box.bottom <= layout.height, box.text


@pictures
def test_labels_of_ways_stay_outside_the_rooms(machine: Machine, layout: Layout) -> None:
    picture = drawn(machine, layout)
    places = [
        Box(place.room, place.x, place.y, place.x + place.width, place.y + place.height)
        for place in layout.rooms
    ]
    for route in layout.routes:
        for box in text_boxes(by_id(picture, f"edge-{route.source}-{route.target}")):
            assert not any(box.overlaps(place) for place in places), box.text


# --- a picture that would lie -----------------------------------------------------------------------------


def without_last_room(layout: Layout) -> Layout:
    return evolve(layout, rooms=layout.rooms[:-1])


def without_a_substate(layout: Layout) -> Layout:
    first, *others = layout.rooms
    return evolve(layout, rooms=(evolve(first, substates=()), *others))


def without_a_way(layout: Layout) -> Layout:
    return evolve(layout, routes=layout.routes[1:])


def with_a_room_too_many(layout: Layout) -> Layout:
    return evolve(layout, rooms=(*layout.rooms, RoomPlace("NOWHERE", 0, 0, 10, 10, ())))


def with_a_way_too_many(layout: Layout) -> Layout:
    way = Route("ENDING", "LISTENING", ((0, 0), (1, 1)), (0, 0), 100, 9)
    return evolve(layout, routes=(*layout.routes, way))


def with_no_space_for_labels(layout: Layout) -> Layout:
    first, *others = layout.routes
    return evolve(layout, routes=(evolve(first, label_lines=0), *others))


def with_a_room_too_low(layout: Layout) -> Layout:
    return evolve(layout, rooms=tuple(evolve(place, height=40) for place in layout.rooms))


def with_a_last_room_too_low(layout: Layout) -> Layout:
    *others, last = layout.rooms
    return evolve(layout, rooms=(*others, evolve(last, height=10)))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (without_last_room, "no place for the room ENDING"),
        (without_a_substate, "no place for the substate INITIALIZING / connecting"),
        (without_a_way, "no place for the way INITIALIZING to LISTENING"),
        (with_a_room_too_many, "the machine has no room NOWHERE"),
        (with_a_way_too_many, "the machine has no way ENDING to LISTENING"),
        (with_no_space_for_labels, "1 lines of labels from INITIALIZING to LISTENING: 0 fit"),
        (with_a_room_too_low, "px too low for its substates"),
        (with_a_last_room_too_low, "ENDING is too low for the moves from saying_goodbye"),
    ],
)
def test_a_layout_that_does_not_fit_the_machine_is_not_drawn(change: object, complaint: str) -> None:
    assert callable(change)
    with pytest.raises(LayoutError, match=complaint):
        svg.draw(CONVERSATION, change(CONVERSATION_LAYOUT))


def test_long_labels_are_broken_before_their_guards() -> None:
    assert in_lines("link failed [worth retrying]", 1000) == ["link failed [worth retrying]"]
    assert in_lines("link failed [worth retrying]", 110) == ["link failed", "  [worth retrying]"]
    assert in_lines("link deadline passed", 100) == ["link deadline", "  passed"]


def test_a_broken_label_shows_as_guard_only_what_is_a_guard() -> None:
    """Guards are grey and italic: the second line of a long fact must not look like one."""
    picture = diagrams.svg_of_link()
    for line, style in [
        ("link replacement", "label"),
        ("wanted", "label"),
        ("[another ready or", "guard"),
        ("worth waiting]", "guard"),
    ]:
        assert set(re.findall(rf'<text class="(label|guard)"[^>]*>{re.escape(line)}</text>', picture)) == {
            style
        }
