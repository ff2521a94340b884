"""What a host sees of its conversations: typed records, in order, and the log that they are read from.

Every conversation keeps its last 500 events. Whoever wants to see them reads that log at a pace of their own
(`Events`): nobody holds the conversation up, one who comes late sees what was before, and one who is too slow
is told how many events are missing (`EventsMissed`).

`at_ms` counts from the conversation's beginning. `answer` numbers what is said to the caller, as in
`orchestrator.transport`; `turn` numbers what the caller says.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import trio
from attrs import Factory, define, frozen

from adapters.tasks import Signal
from machines import effects as do
from machines.declarations import Outcome
from machines.effects import ClientError, Effect, LinkNews, TurnLatency
from machines.facts import Fact, Role, ToolFinished
from machines.system import Handled
from orchestrator.providers.provider_chain import Providers

EVENTS_KEPT = 500
"""Some ten turns' worth."""


@frozen
class Transition:
    """A machine took a transition: `conversation`, or a link's (`stt link`), which may stay where it is.

    ```python
    async with orchestrator.conversation(MemoryTransport()) as conversation:
        async for event in conversation.events():
            if isinstance(event, Transition) and event.source != event.target:
                break
    assert (event.machine, event.source, event.target) == ("stt link", "idle", "opening")
    ```
    """

    at_ms: float
    machine: str
    fact: Fact
    """What happened."""
    source: str
    target: str
    """States, for example `hearing`."""


@frozen
class StateChanged:
    """The conversation moved to another of its five states, or to another substate.

    ```python
    async with orchestrator.conversation(MemoryTransport()) as conversation:
        async for event in conversation.events():
            if isinstance(event, StateChanged):
                break
    assert (event.source, event.target, event.substate) == ("INITIALIZING", "LISTENING", "quiet")
    ```
    """

    at_ms: float
    source: str
    target: str
    substate: str
    cause: str


@frozen
class Transcript:
    """What the caller was understood to say in `turn`, so far or (`is_final`) in all."""

    at_ms: float
    turn: int
    text: str
    confidence: float
    """From 0 to 1."""
    is_final: bool


@frozen
class AnswerStarted:
    """The language model was asked."""

    at_ms: float
    answer: int


@frozen
class AnswerText:
    """The next piece of an answer, about to be spoken."""

    at_ms: float
    answer: int
    segment: int
    text: str


@frozen
class AnswerEnded:
    """An answer is over. `text` is all of it, heard or not; empty where it never began."""

    at_ms: float
    answer: int
    text: str
    duration_ms: float
    latency: TurnLatency


@frozen
class AnswerInterrupted:
    """The caller cut an answer off after `heard_ms`; `AnswerEnded` comes as well."""

    at_ms: float
    answer: int
    heard: str
    unheard: str
    heard_ms: float


@frozen
class LinkChanged:
    """A provider was not reached at once, or lost, or reached after all."""

    at_ms: float
    role: Role
    provider: str
    """Its name."""
    news: LinkNews
    cause: str


@frozen
class ToolCalled:
    """The language model asked for a call of a tool, which begins."""

    at_ms: float
    call: int
    """Numbers the conversation's calls of tools."""
    name: str
    arguments: str
    """A JSON object as the model wrote it, valid or not."""


@frozen
class ToolReturned:
    """A call of a tool is over, after `duration_ms`; one that still runs when the conversation ends has none.

    `result` is what the model is given to read: what came of it, or, if it `failed`, why nothing did.
    """

    at_ms: float
    call: int
    name: str
    result: str
    failed: bool
    duration_ms: float


@frozen
class ClientErrorReported:
    """Something went wrong that the caller's side should show; `retryable`: trying again may help."""

    at_ms: float
    error: ClientError
    message: str
    retryable: bool


@frozen
class EventsMissed:
    """In this place so many events were let go before they were read."""

    count: int


HappenedEvent = (
    Transition
    | StateChanged
    | Transcript
    | AnswerStarted
    | AnswerText
    | AnswerEnded
    | AnswerInterrupted
    | LinkChanged
    | ToolCalled
    | ToolReturned
    | ClientErrorReported
)
Event = HappenedEvent | EventsMissed
"""What `Events` gives."""


# --- from the machines ------------------------------------------------------------------------------------


@define(eq=False)
class EventSource:
    """Makes the events of one conversation."""

    _providers: Providers
    _running: dict[int, ToolCalled] = Factory(dict)
    """Calls of tools, by their numbers."""

    def events_of(self, handled: Handled, at_ms: float) -> Iterator[HappenedEvent]:
        """What one fact led to, as events: the transitions, and what the machine tells of them."""
        for step in handled.steps:
            if isinstance(step.fact, ToolFinished):
                yield self._returned(step.fact, at_ms)
            if step.outcome is Outcome.TAKEN:
                yield Transition(at_ms, step.machine, step.fact, step.source, step.target)
        for effect in handled.effects:
            event = _told(effect, at_ms, self._providers)
            if isinstance(event, ToolCalled):
                self._running[event.call] = event
            if event is not None:
                yield event

    def _returned(self, fact: ToolFinished, at_ms: float) -> ToolReturned:
        """A tool's, whatever the machine makes of it: what a call gave that nobody waits for is told too."""
        called = self._running.pop(fact.call)
        took_ms = at_ms - called.at_ms
        return ToolReturned(at_ms, fact.call, called.name, fact.result, fact.failed, took_ms)


def _told(effect: Effect, at_ms: float, providers: Providers) -> HappenedEvent | None:
    match effect:
        case do.NotifyState(source=source, target=target, substate=substate, cause=cause):
            return StateChanged(at_ms, source, target, substate, cause)
        case do.NotifyTranscript(turn=turn, text=text, confidence=confidence, is_final=is_final):
            return Transcript(at_ms, turn, text, confidence, is_final)
        case do.NotifyAnswerStarted(generation=generation):
            return AnswerStarted(at_ms, generation)
        case do.NotifySegment(generation=generation, segment=segment, text=text):
            return AnswerText(at_ms, generation, segment, text)
        case do.NotifyAnswerEnded(generation=generation, text=text, duration_ms=duration_ms, latency=latency):
            return AnswerEnded(at_ms, generation, text, duration_ms, latency)
        case do.NotifyInterrupted(generation=generation, heard=heard, unheard=unheard, heard_ms=heard_ms):
            return AnswerInterrupted(at_ms, generation, heard, unheard, heard_ms)
        case do.NotifyLink(role=role, news=news, provider=provider, cause=cause):
            return LinkChanged(at_ms, role, providers.of(role)[provider].name, news, cause)
        case do.RunTool(call=call, asked=asked):
            return ToolCalled(at_ms, call, asked.name, asked.arguments)
        case do.NotifyClientError(error=error, message=message, retryable=retryable):
            return ClientErrorReported(at_ms, error, message, retryable)
    return None


# --- to whoever looks -------------------------------------------------------------------------------------


class EventLog:
    """The last events of one conversation. Any number of readers, each with a position of its own."""

    def __init__(self) -> None:
        self._events: deque[HappenedEvent] = deque(maxlen=EVENTS_KEPT)
        self._end = 0
        """Events so far."""
        self._closed = False
        self._changed = Signal()

    def add(self, event: HappenedEvent) -> None:
        """Add an event; the oldest is let go beyond `EVENTS_KEPT`."""
        self._events.append(event)
        self._end += 1
        self._announce()

    def close(self) -> None:
        """No event will come any more."""
        self._closed = True
        self._announce()

    async def read(self, position: int) -> tuple[Event, int] | None:
        """The event at a position (0 is the first) and the next position; waits for it. None: it was the end.

        Reading changes nothing here, so one whose reading was cancelled reads again.
        """
        await trio.lowlevel.checkpoint()
        while position == self._end and not self._closed:
            await self._changed.wait()
        return self.at(position)

    def at(self, position: int) -> tuple[Event, int] | None:
        """The same of what is there; None: there is nothing (yet)."""
        if position == self._end:
            return None
        first = self._end - len(self._events)
        if position < first:
            return EventsMissed(first - position), first
        return self._events[position - first], position + 1

    def _announce(self) -> None:
        self._changed.wake_all()


class Events:
    """The events of a conversation, from its beginning: an asynchronous iterator. It ends with it.

    ```python
    async with orchestrator.conversation(MemoryTransport()) as conversation:
        events = conversation.events()
    kinds = {type(event) async for event in events}
    assert kinds == {Transition, StateChanged}
    ```
    """

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._position = 0

    def __aiter__(self) -> Events:
        return self

    async def __anext__(self) -> Event:
        found = await self._log.read(self._position)
        if found is None:
            raise StopAsyncIteration
        event, self._position = found
        return event
