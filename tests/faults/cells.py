"""The cells of the table: whose provider goes wrong, in which state in which way, and by what."""

from __future__ import annotations

import enum
from collections.abc import Iterator

from attrs import evolve, frozen

from adapters.simulators import Fault, FaultKind


class Role(enum.Enum):
    """Whose provider goes wrong. The value is its route at the simulators."""

    NOVA = "deepgram.v1"
    FLUX = "deepgram.v2"
    MODEL = "openai"
    VOICE = "cartesia.websocket"


class State(enum.Enum):
    """Where the conversation is when the fault strikes. The value is its substate in the machine."""

    INITIALIZING = "connecting"
    LISTENING = "hearing"
    THINKING = "generating"
    RESPONDING = "speaking"


class Strike(enum.Enum):
    """What the network does to all connections of a provider."""

    CUTS = "reset: the network cuts the line"
    SWALLOWS = "half-open: the network swallows everything"


@frozen
class Cell:
    """One whole call, in which one thing goes wrong."""

    role: Role
    state: State
    fault: str
    """In words, for the table."""
    faults: tuple[Fault, ...] = ()
    """For the simulators."""
    network: Strike | None = None
    """Strikes `later` seconds after the state was entered."""
    later: float = 0.3
    speaks_at_once: bool = False
    """The caller begins to speak before anybody listens."""
    barges_in: bool = False
    """The second turn interrupts the first answer."""
    hangs_up: bool = False
    """The caller hangs up a second after the fault has struck."""
    providers: int = 1
    """Of every role; only the first one is struck."""

    @property
    def name(self) -> str:
        """Unique."""
        return f"{self.role.name}-{self.state.name}-{self.fault}-{self.providers}"


REFUSALS: tuple[tuple[str, Fault], ...] = (
    ("refused", Fault(FaultKind.REFUSE)),
    ("401", Fault(FaultKind.STATUS, status=401)),
    ("429, Retry-After 1 s", Fault(FaultKind.STATUS, status=429, retry_after=1)),
    ("500", Fault(FaultKind.STATUS, status=500)),
    ("accepted after 4 s", Fault(FaultKind.SLOW_ACCEPT, seconds=4)),
)
"""What can go wrong at the door; other statuses are of the same classes."""
ENDS: tuple[tuple[str, Fault], ...] = (
    ("stalls", Fault(FaultKind.STALL)),
    ("half-open", Fault(FaultKind.HALF_OPEN)),
    ("reset", Fault(FaultKind.RESET)),
    ("closed with 1000", Fault(FaultKind.CLOSE, code=1000)),
    ("closed with 1008", Fault(FaultKind.CLOSE, code=1008)),
    ("closed with 1011", Fault(FaultKind.CLOSE, code=1011)),
)
"""What ends a connection."""
LIES: tuple[tuple[str, Fault], ...] = (
    ("drips 200 bytes every 20 ms", Fault(FaultKind.DRIP, size=200, seconds=0.02)),
    ("two messages reordered", Fault(FaultKind.REORDER)),
    ("every message twice", Fault(FaultKind.DUPLICATE, count=0)),
    ("one message cut in half", Fault(FaultKind.TRUNCATE)),
    ("every message cut in half", Fault(FaultKind.TRUNCATE, count=0)),
    ("malformed messages in between", Fault(FaultKind.MALFORMED, count=0)),
    ("unknown messages in between", Fault(FaultKind.UNKNOWN, count=0)),
)
"""What is wrong with messages."""
ONCE, ALWAYS = 1, 0


def all_cells() -> tuple[Cell, ...]:
    """The whole table, in its order: first with one provider for each role, then with two."""
    alone = (*_speech_to_text(Role.NOVA), *_speech_to_text(Role.FLUX), *_language_model(), *_text_to_speech())
    backed = (evolve(cell, providers=2) for role in Role for cell in _never_well(role))
    cells = (*alone, *backed)
    assert len({cell.name for cell in cells}) == len(cells), "two cells have the same name"
    roles, states = list(Role), list(State)
    return tuple(
        sorted(cells, key=lambda cell: (cell.providers, roles.index(cell.role), states.index(cell.state)))
    )


def _speech_to_text(role: Role) -> Iterator[Cell]:
    spoken, thought = (3, 7) if role is Role.NOVA else (4, 10)
    yield from _opening(role)
    for name, fault in (*ENDS, *LIES):
        yield _streaming(role, State.LISTENING, name, fault, spoken)
    if role is Role.NOVA:  # for Flux it is the same
        yield from _reopening(role, State.LISTENING, spoken)
    yield from _by_the_network(role, State.LISTENING)
    for name, fault in ENDS:
        yield _streaming(role, State.THINKING, name, fault, thought)
    yield from _by_the_network(role, State.RESPONDING)
    yield from _hanging_up(role)


def _language_model() -> Iterator[Cell]:
    role = Role.MODEL
    yield from _opening(role)
    yield from _by_the_network(role, State.LISTENING)
    for name, fault in REFUSALS:
        yield _at_the_door(role, State.THINKING, name, fault, ONCE, at="openai.chat")
    for name, fault in REFUSALS:
        yield _at_the_door(role, State.THINKING, name, fault, ALWAYS, at="openai.chat")
    for name, fault in _without_codes((*ENDS, *LIES)):
        yield _streaming(role, State.THINKING, name, fault, 0, at="openai.chat")
    for name, fault in _without_codes((*ENDS, *LIES)):
        yield _streaming(role, State.RESPONDING, name, fault, 8, at="openai.chat")
    yield from _hanging_up(role)


def _text_to_speech() -> Iterator[Cell]:
    role = Role.VOICE
    yield from _opening(role)
    yield from _by_the_network(role, State.LISTENING)
    yield from _by_the_network(role, State.THINKING)
    for name, fault in (*ENDS, *LIES):
        yield _streaming(role, State.RESPONDING, name, fault, 1)
    for name, fault in (*ENDS, *LIES):
        yield _streaming(role, State.RESPONDING, name, fault, 12)
    yield from _reopening(role, State.RESPONDING, 12)
    yield Cell(
        role,
        State.RESPONDING,
        "audio goes on for a context that was cancelled: the caller interrupts",
        (Fault(FaultKind.LATE_AUDIO, role.value),),
        barges_in=True,
    )
    yield from _hanging_up(role)


def _never_well(role: Role) -> Iterator[Cell]:
    """With somebody to take over: one fault of each kind, which strikes every connection."""
    at = "openai.chat" if role is Role.MODEL else role.value
    if role is not Role.FLUX:  # whose door is Nova's
        for name, fault in REFUSALS:
            yield _at_the_door(role, State.INITIALIZING, name, fault, ALWAYS)
    if role is Role.MODEL:
        for name, fault in REFUSALS:
            yield _at_the_door(role, State.THINKING, name, fault, ALWAYS, at=at)
    for state, after in _STREAMING[role]:
        for name, fault in _kinds_that_part(role):
            yield _streaming(role, state, name, fault, after, at=at, times=ALWAYS)
    for state in _BY_THE_NETWORK[role]:
        yield from _by_the_network(role, state)


_STREAMING = {
    Role.NOVA: ((State.INITIALIZING, 0), (State.LISTENING, 3), (State.THINKING, 7)),
    Role.FLUX: ((State.INITIALIZING, 0), (State.LISTENING, 4), (State.THINKING, 10)),
    Role.MODEL: ((State.THINKING, 0), (State.RESPONDING, 8)),
    Role.VOICE: ((State.INITIALIZING, 0), (State.RESPONDING, 1), (State.RESPONDING, 12)),
}
_BY_THE_NETWORK = {
    Role.NOVA: (State.LISTENING, State.RESPONDING),
    Role.FLUX: (State.LISTENING, State.RESPONDING),
    Role.MODEL: (State.LISTENING,),
    Role.VOICE: (State.LISTENING, State.THINKING),
}


def _kinds_that_part(role: Role) -> Iterator[tuple[str, Fault]]:
    """Those that lead to different ways of failing over."""
    yield "stalls", Fault(FaultKind.STALL)
    yield "reset", Fault(FaultKind.RESET)
    if role is Role.MODEL:
        yield "malformed messages in between", Fault(FaultKind.MALFORMED, count=0)
    else:
        yield "closed with 1008", Fault(FaultKind.CLOSE, code=1008)
    yield "every message cut in half", Fault(FaultKind.TRUNCATE, count=0)


def _opening(role: Role) -> Iterator[Cell]:
    """The faults at the door of a call's first connection."""
    for name, fault in REFUSALS:
        yield _at_the_door(role, State.INITIALIZING, name, fault, ONCE)
    for name, fault in REFUSALS:
        if fault.status != 401:  # these end the call at once anyhow
            yield _at_the_door(role, State.INITIALIZING, name, fault, ALWAYS)
    if role is not Role.MODEL:
        for name, fault in ENDS:
            yield _streaming(role, State.INITIALIZING, f"{name} as soon as it is open", fault, 0)


def _at_the_door(role: Role, state: State, name: str, fault: Fault, times: int, at: str = "") -> Cell:
    fault = _at(fault, at or role.value, times=times)
    how = "once" if times == ONCE else "every time"
    return Cell(role, state, f"{name}, {how}", (fault,), speaks_at_once=state is State.INITIALIZING)


def _streaming(
    role: Role, state: State, name: str, fault: Fault, after: int, *, at: str = "", times: int = ONCE
) -> Cell:
    where = f" after {after} message{'s' * (after > 1)}" if after else ""
    where += ", every time" if times == ALWAYS else ""
    fault = _at(fault, at or role.value, after=after, times=times)
    return Cell(role, state, f"{name}{where}", (fault,), speaks_at_once=state is State.INITIALIZING)


def _reopening(role: Role, state: State, after: int) -> Iterator[Cell]:
    """The connection is reset, and the next one meets a fault at the door."""
    lost = _at(Fault(FaultKind.RESET), role.value, after=after)
    for times, how in ((ONCE, "once"), (ALWAYS, "every time")):
        for name, fault in REFUSALS:
            if times == ONCE or fault.status != 401:
                again = _at(fault, role.value, times=times, skip=1)
                yield Cell(
                    role,
                    state,
                    f"reset after {after} messages, then {name}, {how}",
                    (lost, again),
                )


def _by_the_network(role: Role, state: State) -> Iterator[Cell]:
    for network in Strike:
        # While the model is asked there is little time: it begins to speak within half a second.
        later = 0.1 if state is State.THINKING else 0.3
        yield Cell(role, state, network.value, network=network, later=later)


def _hanging_up(role: Role) -> Iterator[Cell]:
    slow = _at(Fault(FaultKind.SLOW_ACCEPT, seconds=4), role.value)
    yield Cell(
        role,
        State.INITIALIZING,
        "accepted after 4 s, and the caller hangs up meanwhile",
        (slow,),
        speaks_at_once=True,
        hangs_up=True,
    )
    yield Cell(
        role,
        State.RESPONDING,
        "half-open: the network swallows everything, and the caller hangs up",
        network=Strike.SWALLOWS,
        hangs_up=True,
    )


def _at(fault: Fault, at: str, *, times: int = ONCE, after: int = 0, skip: int = 0) -> Fault:
    return evolve(fault, at=at, times=times, after=after, skip=skip)


def _without_codes(named: tuple[tuple[str, Fault], ...]) -> Iterator[tuple[str, Fault]]:
    """HTTP has no close codes: one of those that differ in them only."""
    for name, fault in named:
        if fault.kind is not FaultKind.CLOSE:
            yield name, fault
        elif fault.code == 1000:
            yield "connection closed in mid-stream", fault
