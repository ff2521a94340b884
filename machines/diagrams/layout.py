"""Layouts: where the parts of each diagram are. They are made by hand, and checked against the live machine.

Lengths are in the picture's own pixels, `x` to the right and `y` downwards.
"""

from __future__ import annotations

import enum

from attrs import frozen

from machines.diagrams.edges import room_edges
from machines.tables import Machine, leaves, room_of, rooms

Point = tuple[float, float]


class LayoutError(ValueError):
    """The live machine and its layout differ. The message says what has no place."""


class Heading(enum.Enum):
    """Where the name of a room is written."""

    ABOVE = "above"
    BESIDE = "beside"


@frozen
class RoomPlace:
    """The box of a room, with its substates in the order in which they are drawn."""

    room: str
    x: float
    y: float
    width: float
    height: float
    substates: tuple[str, ...]
    heading: Heading = Heading.ABOVE
    chip_width: float = 128
    """The width of each substate's box. It must hold the longest name and its deadline."""


@frozen
class Route:
    """The path of an arrow from room to room, and the box of its labels."""

    source: str
    target: str
    points: tuple[Point, ...]
    label: Point
    """The upper left corner of the labels."""
    label_width: float
    label_lines: int


@frozen
class Layout:
    """The layout of a whole diagram."""

    title: str
    width: float
    height: float
    rooms: tuple[RoomPlace, ...]
    routes: tuple[Route, ...]
    entry: tuple[Point, ...]
    """The path of the arrow that points to the initial state."""
    note: str
    note_at: Point


CONVERSATION_LAYOUT = Layout(
    title="The conversation machine",
    width=1360,
    height=1694,
    rooms=(
        RoomPlace("INITIALIZING", 48, 28, 330, 108, ("connecting",)),
        RoomPlace(
            "LISTENING",
            48,
            392,
            534,
            1010,
            ("quiet", "hearing", "endpointing", "speculating", "keypad", "finalizing"),
            chip_width=140,
        ),
        RoomPlace("THINKING", 830, 28, 482, 288, ("generating", "retrying", "running_tools"), chip_width=158),
        RoomPlace("RESPONDING", 830, 476, 482, 590, ("speaking", "paused", "confirming"), chip_width=146),
        RoomPlace(
            "ENDING", 160, 1456, 1152, 232, ("saying_goodbye", "closing", "ended"), Heading.BESIDE, 184
        ),
    ),
    routes=(
        Route("INITIALIZING", "LISTENING", ((150, 136), (150, 392)), (162, 162), 260, 2),
        Route("LISTENING", "THINKING", ((470, 392), (470, 46), (830, 46)), (484, 50), 340, 6),
        Route("THINKING", "LISTENING", ((830, 142), (530, 142), (530, 392)), (592, 146), 240, 10),
        Route("THINKING", "RESPONDING", ((850, 316), (850, 476)), (862, 319), 202, 9),
        Route("RESPONDING", "THINKING", ((1066, 476), (1066, 316)), (1078, 319), 230, 9),
        Route("LISTENING", "RESPONDING", ((582, 638), (830, 638)), (596, 366), 230, 16),
        Route("RESPONDING", "LISTENING", ((830, 924), (582, 924)), (596, 660), 230, 16),
        Route("INITIALIZING", "ENDING", ((48, 80), (22, 80), (22, 1546), (160, 1546)), (36, 1480), 110, 3),
        Route("LISTENING", "ENDING", ((582, 1244), (700, 1244), (700, 1456)), (712, 1370), 100, 2),
        Route("RESPONDING", "ENDING", ((880, 1066), (880, 1456)), (892, 1074), 200, 5),
        Route(
            "THINKING", "ENDING", ((1312, 94), (1338, 94), (1338, 1546), (1312, 1546)), (1252, 1414), 80, 2
        ),
    ),
    entry=((14, 48), (48, 48)),
    note="Times: the longest deadline (♪: after the audio; …: more may follow); signs of life begin it anew."
    " ↻: by another provider, if ready. Dashed: end.",
    note_at=(440, 18),
)

LINK_LAYOUT = Layout(
    title="The link machine",
    width=1280,
    height=904,
    rooms=(
        RoomPlace("idle", 36, 266, 90, 64, ()),
        RoomPlace("CONNECTING", 220, 190, 354, 330, ("opening", "waiting")),
        RoomPlace("UP", 668, 266, 90, 120, ()),
        RoomPlace("DEGRADED", 900, 190, 354, 550, ("reopening", "pausing", "dormant")),
        RoomPlace("DOWN", 623, 28, 180, 56, ()),
        RoomPlace("RELEASED", 623, 820, 180, 56, ()),
    ),
    routes=(
        Route("idle", "CONNECTING", ((126, 298), (220, 298)), (134, 256), 84, 2),
        Route("idle", "DOWN", ((81, 266), (81, 42), (623, 42)), (93, 48), 150, 3),
        Route("CONNECTING", "UP", ((574, 298), (668, 298)), (584, 272), 84, 1),
        Route("UP", "DEGRADED", ((758, 344), (900, 344)), (766, 100), 126, 14),
        Route("DEGRADED", "UP", ((900, 368), (758, 368)), (790, 370), 84, 1),
        Route("CONNECTING", "DOWN", ((397, 190), (397, 70), (623, 70)), (409, 78), 200, 4),
        Route("UP", "DOWN", ((713, 266), (713, 84)), (632, 134), 74, 4),
        Route("DEGRADED", "DOWN", ((1077, 190), (1077, 56), (803, 56)), (905, 64), 160, 4),
        Route("idle", "RELEASED", ((81, 330), (81, 862), (623, 862)), (93, 836), 90, 1),
        Route("CONNECTING", "RELEASED", ((397, 520), (397, 834), (623, 834)), (409, 808), 90, 1),
        Route("UP", "RELEASED", ((713, 386), (713, 820)), (725, 768), 90, 1),
        Route("DEGRADED", "RELEASED", ((1077, 740), (1077, 848), (803, 848)), (970, 822), 94, 1),
    ),
    entry=((12, 298), (36, 298)),
    note="Times: the longest deadline; …: another may follow. Dashed: released.",
    note_at=(36, 890),
)

BREAKER_LAYOUT = Layout(
    title="The breaker of a provider",
    width=1280,
    height=420,
    rooms=(
        RoomPlace("CLOSED", 80, 146, 130, 96, ()),
        RoomPlace("SUSPECT", 400, 120, 360, 148, ("resting", "probing")),
        RoomPlace("OPEN", 900, 120, 344, 148, ("pausing", "reprobing")),
        RoomPlace("idle", 1022, 326, 100, 60, ()),
    ),
    routes=(
        Route("CLOSED", "SUSPECT", ((210, 172), (400, 172)), (222, 98), 160, 4),
        Route("SUSPECT", "CLOSED", ((400, 216), (210, 216)), (246, 220), 130, 2),
        Route("SUSPECT", "OPEN", ((760, 194), (900, 194)), (768, 122), 120, 4),
        Route("CLOSED", "OPEN", ((145, 146), (145, 56), (1072, 56), (1072, 120)), (500, 30), 240, 1),
        Route("OPEN", "CLOSED", ((980, 268), (980, 330), (145, 330), (145, 242)), (500, 334), 240, 2),
        Route("idle", "OPEN", ((1072, 326), (1072, 268)), (1084, 286), 120, 1),
    ),
    entry=((1152, 356), (1122, 356)),
    note="Times: the longest deadline. Calls try a provider that is SUSPECT, and leave out one that is OPEN.",
    note_at=(80, 406),
)

CALL_LAYOUT = Layout(
    title="A telephone call",
    width=1750,
    height=756,
    rooms=(
        RoomPlace("idle", 36, 150, 90, 64, ()),
        RoomPlace("DIALLING", 216, 90, 334, 190, ("placing", "placed", "ringing")),
        RoomPlace("ANSWERED", 690, 150, 200, 70, ()),
        RoomPlace("DETECTING", 1000, 150, 150, 70, ()),
        RoomPlace("TALKING", 1340, 150, 370, 230, ("conversing", "pressing", "screened")),
        RoomPlace(
            "ENDING",
            380,
            360,
            580,
            200,
            ("saying_goodbye", "handover", "revoking", "clearing"),
            chip_width=158,
        ),
        RoomPlace("ENDED", 240, 670, 1450, 56, ()),
    ),
    routes=(
        Route("idle", "DIALLING", ((126, 182), (216, 182)), (132, 158), 84, 1),
        Route("idle", "ANSWERED", ((81, 150), (81, 40), (755, 40), (755, 150)), (93, 44), 150, 1),
        Route("DIALLING", "ANSWERED", ((550, 185), (690, 185)), (570, 163), 110, 1),
        Route("DIALLING", "TALKING", ((400, 90), (400, 64), (1500, 64), (1500, 150)), (1150, 66), 150, 1),
        Route("DIALLING", "DETECTING", ((340, 90), (340, 16), (1075, 16), (1075, 150)), (800, 18), 150, 2),
        Route("ANSWERED", "DETECTING", ((890, 185), (1000, 185)), (892, 163), 106, 2),
        Route("ANSWERED", "TALKING", ((850, 150), (850, 110), (1400, 110), (1400, 150)), (880, 88), 120, 1),
        Route("DETECTING", "TALKING", ((1150, 206), (1340, 206)), (1156, 112), 180, 5),
        Route("DETECTING", "ENDING", ((1040, 220), (1040, 400), (960, 400)), (1048, 228), 140, 4),
        Route("DETECTING", "ENDED", ((1120, 220), (1120, 670)), (1128, 560), 100, 2),
        Route("DIALLING", "ENDING", ((500, 280), (500, 360)), (512, 284), 150, 4),
        Route("ANSWERED", "ENDING", ((710, 220), (710, 360)), (722, 246), 140, 4),
        Route("TALKING", "ENDING", ((1390, 380), (1390, 500), (960, 500)), (1240, 395), 144, 6),
        Route("DIALLING", "ENDED", ((260, 280), (260, 670)), (272, 400), 120, 3),
        Route("ANSWERED", "ENDED", ((870, 220), (870, 330), (985, 330), (985, 670)), (997, 550), 110, 2),
        Route("TALKING", "ENDED", ((1560, 380), (1560, 670)), (1568, 500), 84, 2),
        Route("ENDING", "ENDED", ((680, 560), (680, 670)), (692, 563), 244, 6),
    ),
    entry=((12, 182), (36, 182)),
    note="Times: the longest deadline, and 0.5 s more for each key that is pressed. TALKING: as long as its"
    " conversation. Dashed: its outcome is kept.",
    note_at=(240, 746),
)


ADMISSION_LAYOUT = Layout(
    title="Admission of calls",
    width=1280,
    height=420,
    rooms=(
        RoomPlace("OPEN", 80, 150, 130, 96, ()),
        RoomPlace("TIGHT", 430, 150, 130, 96, ()),
        RoomPlace(
            "CLOSED",
            780,
            40,
            464,
            330,
            ("refusing", "without_interims", "without_telemetry", "ending_calls"),
            chip_width=150,
        ),
    ),
    routes=(
        Route("OPEN", "TIGHT", ((210, 176), (430, 176)), (222, 140), 200, 2),
        Route("TIGHT", "OPEN", ((430, 220), (210, 220)), (222, 224), 200, 2),
        Route("TIGHT", "CLOSED", ((560, 176), (780, 176)), (572, 140), 200, 2),
        Route("CLOSED", "TIGHT", ((780, 220), (560, 220)), (572, 224), 200, 2),
    ),
    entry=((40, 198), (80, 198)),
    note="OPEN takes calls, TIGHT one at a time, CLOSED none beside others. Measurements come once a second.",
    note_at=(80, 406),
)


def check(machine: Machine, layout: Layout) -> None:
    """Compare the layout with the live machine.

    Raises:
        LayoutError: a room, a substate or a path from room to room is in only one of them.
    """
    _same("room", set(rooms(machine.chart)), {place.room for place in layout.rooms})
    drawn = {(place.room, substate) for place in layout.rooms for substate in place.substates}
    live = {(room_of(state), state.id) for state in leaves(machine.chart) if state.parent is not None}
    _same("substate", {" / ".join(pair) for pair in live}, {" / ".join(pair) for pair in drawn})
    edges = {f"{edge.source} to {edge.target}" for edge in room_edges(machine)}
    _same("way", edges, {f"{route.source} to {route.target}" for route in layout.routes})


def _same(what: str, live: set[str], drawn: set[str]) -> None:
    if live - drawn:
        raise LayoutError(f"the layout has no place for the {what} {', '.join(sorted(live - drawn))}")
    if drawn - live:
        raise LayoutError(f"the machine has no {what} {', '.join(sorted(drawn - live))}, but the layout does")
