"""The cells of the table of faults: which provider fails, in which state, and how."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from itertools import cycle

from attrs import evolve, frozen

from adapters.simulators import DIALECTS, Fault, FaultKind, SttDialect, TtsDialect


class Role(enum.Enum):
    """The provider that fails. The value is its route at the simulators."""

    NOVA = "deepgram.v1"
    FLUX = "deepgram.v2"
    MODEL = "openai"
    VOICE = "cartesia.websocket"


class State(enum.Enum):
    """The state of the conversation when the fault happens. The value is the substate in the machine."""

    INITIALIZING = "connecting"
    LISTENING = "hearing"
    THINKING = "generating"
    RESPONDING = "speaking"


class NetworkFailure(enum.Enum):
    """A failure of the network, for all connections of a provider."""

    CUTS = "reset: the network cuts the line"
    SWALLOWS = "half-open: the network swallows everything"


@frozen
class Cell:
    """One whole call with one fault."""

    role: Role
    state: State
    fault: str
    """The fault in words, for the table."""
    faults: tuple[Fault, ...] = ()
    """The faults of the simulators."""
    network: NetworkFailure | None = None
    """Happens `later` seconds after the state was entered."""
    later: float = 0.3
    speaks_at_once: bool = False
    """Whether the caller begins to speak before the links are up."""
    barges_in: bool = False
    """Whether the second turn interrupts the first answer."""
    hangs_up: bool = False
    """Whether the caller hangs up a second after the fault."""
    dialect: str = ""
    """How the failing vendor differs from its documents; empty: not at all."""
    providers: int = 1
    """The number of providers of every role. Only the first has the fault."""

    @property
    def name(self) -> str:
        """The unique name of the cell."""
        name = f"{self.role.name}-{self.state.name}-{self.fault}-{self.providers}"
        return f"{name}-{self.dialect}" if self.dialect else name


REFUSALS: tuple[tuple[str, Fault], ...] = (
    ("refused", Fault(FaultKind.REFUSE)),
    ("401", Fault(FaultKind.STATUS, status=401)),
    ("429, Retry-After 1 s", Fault(FaultKind.STATUS, status=429, retry_after=1)),
    ("500", Fault(FaultKind.STATUS, status=500)),
    ("accepted after 4 s", Fault(FaultKind.SLOW_ACCEPT, seconds=4)),
)
"""Faults when a connection or request begins. Other statuses have the same classes."""
ENDS: tuple[tuple[str, Fault], ...] = (
    ("stalls", Fault(FaultKind.STALL)),
    ("half-open", Fault(FaultKind.HALF_OPEN)),
    ("reset", Fault(FaultKind.RESET)),
    ("closed with 1000", Fault(FaultKind.CLOSE, code=1000)),
    ("closed with 1008", Fault(FaultKind.CLOSE, code=1008)),
    ("closed with 1011", Fault(FaultKind.CLOSE, code=1011)),
)
"""Faults that end a connection."""
LIES: tuple[tuple[str, Fault], ...] = (
    ("drips 200 bytes every 20 ms", Fault(FaultKind.DRIP, size=200, seconds=0.02)),
    ("two messages reordered", Fault(FaultKind.REORDER)),
    ("every message twice", Fault(FaultKind.DUPLICATE, count=0)),
    ("one message cut in half", Fault(FaultKind.TRUNCATE)),
    ("every message cut in half", Fault(FaultKind.TRUNCATE, count=0)),
    ("malformed messages in between", Fault(FaultKind.MALFORMED, count=0)),
    ("unknown messages in between", Fault(FaultKind.UNKNOWN, count=0)),
)
"""Faults of messages."""
ONCE, ALWAYS = 1, 0


def all_cells() -> tuple[Cell, ...]:
    """All cells in the order of the table: first with one provider for each role, then with two."""
    alone = (*_speech_to_text(Role.NOVA), *_speech_to_text(Role.FLUX), *_language_model(), *_text_to_speech())
    backed = (evolve(cell, providers=2) for role in Role for cell in _with_failover(role))
    cells = (*alone, *backed)
    assert len({cell.name for cell in cells}) == len(cells), "two cells have the same name"
    roles, states = list(Role), list(State)
    return tuple(
        sorted(cells, key=lambda cell: (cell.providers, roles.index(cell.role), states.index(cell.state)))
    )


def dialect_cells() -> tuple[Cell, ...]:
    """Every dialect with one of the faults in turn, so that each fault meets several dialects."""
    model = (
        _refused(Role.MODEL, State.THINKING, *REFUSALS[3], ONCE, at="openai.chat"),
        _streaming(Role.MODEL, State.THINKING, *ENDS[0], 0, at="openai.chat"),
        _streaming(Role.MODEL, State.RESPONDING, *ENDS[2], 8, at="openai.chat"),
        _refused(Role.MODEL, State.THINKING, *REFUSALS[2], ONCE, at="openai.chat"),
        _streaming(Role.MODEL, State.RESPONDING, *ENDS[0], 8, at="openai.chat"),
    )
    stt = (
        _streaming(Role.NOVA, State.LISTENING, *ENDS[2], 3),
        _streaming(Role.NOVA, State.THINKING, *ENDS[0], 7),
        _refused(Role.NOVA, State.INITIALIZING, *REFUSALS[3], ONCE),
    )
    voice = (
        _streaming(Role.VOICE, State.RESPONDING, *ENDS[2], 1),
        _streaming(Role.VOICE, State.RESPONDING, *ENDS[0], 12),
        _refused(Role.VOICE, State.INITIALIZING, *REFUSALS[3], ONCE),
    )
    named = (
        (tuple(DIALECTS), model),
        (tuple(each.value for each in SttDialect if each not in _OTHER_WORDS), stt),
        (tuple(each.value for each in TtsDialect if each is not TtsDialect.NO_AUDIO), voice),
    )
    cells = [
        evolve(cell, dialect=name)
        for dialects, cells in named
        for name, cell in zip(dialects[1:], cycle(cells), strict=False)
    ]
    # Every link of this voice begins with a failure: beside a fault of every link nothing would be heard.
    return (*cells, evolve(voice[-1], dialect=TtsDialect.NO_AUDIO.value))


_OTHER_WORDS = frozenset((SttDialect.ZH_WORDS, SttDialect.KNOWN_LANGUAGES))
"""They hear other words than the caller says, or differ only in another language."""


def _speech_to_text(role: Role) -> Iterator[Cell]:
    spoken, thought = (3, 7) if role is Role.NOVA else (4, 10)
    yield from _opening(role)
    for name, fault in (*ENDS, *LIES):
        yield _streaming(role, State.LISTENING, name, fault, spoken)
    if role is Role.NOVA:  # with Flux it is the same
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
        yield _refused(role, State.THINKING, name, fault, ONCE, at="openai.chat")
    for name, fault in REFUSALS:
        yield _refused(role, State.THINKING, name, fault, ALWAYS, at="openai.chat")
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


def _with_failover(role: Role) -> Iterator[Cell]:
    """Cells with a second provider: one fault of each kind, in every connection to the first."""
    at = "openai.chat" if role is Role.MODEL else role.value
    if role is not Role.FLUX:  # Flux begins connections like Nova
        for name, fault in REFUSALS:
            yield _refused(role, State.INITIALIZING, name, fault, ALWAYS)
    if role is Role.MODEL:
        for name, fault in REFUSALS:
            yield _refused(role, State.THINKING, name, fault, ALWAYS, at=at)
    for state, after in _STREAMING[role]:
        for name, fault in _kinds_of_failover(role):
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


def _kinds_of_failover(role: Role) -> Iterator[tuple[str, Fault]]:
    """The faults that lead to different ways of failover."""
    yield "stalls", Fault(FaultKind.STALL)
    yield "reset", Fault(FaultKind.RESET)
    if role is Role.MODEL:
        yield "malformed messages in between", Fault(FaultKind.MALFORMED, count=0)
    else:
        yield "closed with 1008", Fault(FaultKind.CLOSE, code=1008)
    yield "every message cut in half", Fault(FaultKind.TRUNCATE, count=0)


def _opening(role: Role) -> Iterator[Cell]:
    """Faults of the first connection of a call."""
    for name, fault in REFUSALS:
        yield _refused(role, State.INITIALIZING, name, fault, ONCE)
    for name, fault in REFUSALS:
        if fault.status != 401:  # a 401 ends the call at once anyway
            yield _refused(role, State.INITIALIZING, name, fault, ALWAYS)
    if role is not Role.MODEL:
        for name, fault in ENDS:
            yield _streaming(role, State.INITIALIZING, f"{name} as soon as it is open", fault, 0)


def _refused(role: Role, state: State, name: str, fault: Fault, times: int, at: str = "") -> Cell:
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
    """The connection is reset, and the next one cannot be opened."""
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
    for network in NetworkFailure:
        # The model begins its answer within half a second, so there is little time in THINKING.
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
        network=NetworkFailure.SWALLOWS,
        hangs_up=True,
    )


def _at(fault: Fault, at: str, *, times: int = ONCE, after: int = 0, skip: int = 0) -> Fault:
    return evolve(fault, at=at, times=times, after=after, skip=skip)


def _without_codes(named: tuple[tuple[str, Fault], ...]) -> Iterator[tuple[str, Fault]]:
    """The same faults with only one close, since HTTP has no close codes."""
    for name, fault in named:
        if fault.kind is not FaultKind.CLOSE:
            yield name, fault
        elif fault.code == 1000:
            yield "connection closed in mid-stream", fault
