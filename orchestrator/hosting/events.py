"""The events of a conversation, for hosts: typed records in order, and the log from which they are read.

Every conversation keeps its last 500 events. Readers (`Events`) read the log at their own pace. They never
delay the conversation; one that begins late gets the earlier events, too, and one that is too slow is told
how many events it missed (`EventsMissed`).

`at_ms` counts from the conversation's beginning. `answer` numbers the agent's utterances, as in
`orchestrator.hosting.transport`; `turn` numbers the caller's turns.
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
"""Those of some ten turns."""


@frozen
class Transition:
    """A machine took a transition: `conversation`, or a link (`stt link`). It may stay in its state.

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
    """The fact that caused it."""
    source: str
    target: str
    """`source` and `target` are states, for example `hearing`."""


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
    """The transcript of `turn`: of its audio so far or, if `is_final`, of the whole turn."""

    at_ms: float
    turn: int
    text: str
    confidence: float
    """From 0 to 1."""
    is_final: bool


@frozen
class AnswerStarted:
    """An answer was requested from the language model."""

    at_ms: float
    answer: int


@frozen
class AnswerText:
    """The next segment of an answer, which will be spoken."""

    at_ms: float
    answer: int
    segment: int
    text: str


@frozen
class AnswerEnded:
    """An answer is over. `text` is all of it, heard or not; empty if it never began."""

    at_ms: float
    answer: int
    text: str
    duration_ms: float
    latency: TurnLatency


@frozen
class AnswerInterrupted:
    """The caller interrupted an answer after hearing `heard_ms` of it. `AnswerEnded` comes, too."""

    at_ms: float
    answer: int
    heard: str
    unheard: str
    heard_ms: float


@frozen
class LinkChanged:
    """A link to a provider did not open at once, was lost, or opened after all."""

    at_ms: float
    role: Role
    provider: str
    """The provider's name."""
    news: LinkNews
    cause: str


@frozen
class ToolCalled:
    """A tool call that the language model asked for begins."""

    at_ms: float
    call: int
    """The number of the tool call in its conversation."""
    name: str
    arguments: str
    """A JSON object as the model wrote it, valid or not."""


@frozen
class ToolReturned:
    """A tool call is over, after `duration_ms`. Not reported if the conversation ends before.

    `result` is what the model reads: the tool's result or, if the call `failed`, the reason.
    """

    at_ms: float
    call: int
    name: str
    result: str
    failed: bool
    duration_ms: float


@frozen
class ClientErrorReported:
    """Something went wrong that the caller's side should show. If `retryable`, trying again may help."""

    at_ms: float
    error: ClientError
    message: str
    retryable: bool


@frozen
class AudioDropped:
    """So much of the caller's audio was dropped since this was last told: it came too far ahead of time, or
    nobody took it. At most one such event comes in a second."""

    at_ms: float
    duration_ms: float


@frozen
class EventsMissed:
    """At this point of the iteration, `count` events were dropped before they were read."""

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
    | AudioDropped
)
Event = HappenedEvent | EventsMissed
"""What iterating over `Events` gives."""


# --- from the machines ------------------------------------------------------------------------------------


@define(eq=False)
class EventSource:
    """Makes the events of one conversation."""

    _providers: Providers
    _running: dict[int, ToolCalled] = Factory(dict)
    """The running tool calls, by number."""

    def events_of(self, handled: Handled, at_ms: float) -> Iterator[HappenedEvent]:
        """The events of one handled fact: its transitions and its effects."""
        for step in handled.steps:
            if isinstance(step.fact, ToolFinished):
                yield self._tool_returned(step.fact, at_ms)
            if step.outcome is Outcome.TAKEN:
                yield Transition(at_ms, step.machine, step.fact, step.source, step.target)
        for effect in handled.effects:
            event = _event_of(effect, at_ms, self._providers)
            if isinstance(event, ToolCalled):
                self._running[event.call] = event
            if event is not None:
                yield event

    def _tool_returned(self, fact: ToolFinished, at_ms: float) -> ToolReturned:
        """Made of the fact, not of an effect: a result that the machine no longer needs is an event, too."""
        called = self._running.pop(fact.call)
        took_ms = at_ms - called.at_ms
        return ToolReturned(at_ms, fact.call, called.name, fact.result, fact.failed, took_ms)


def _event_of(effect: Effect, at_ms: float, providers: Providers) -> HappenedEvent | None:
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


# --- to the readers ---------------------------------------------------------------------------------------


class EventLog:
    """The last events of one conversation, for any number of readers with their own positions."""

    def __init__(self) -> None:
        self._events: deque[HappenedEvent] = deque(maxlen=EVENTS_KEPT)
        self._end = 0
        """How many events were added."""
        self._closed = False
        self._changed = Signal()

    def add(self, event: HappenedEvent) -> None:
        """Add an event. Beyond `EVENTS_KEPT`, the oldest is dropped."""
        self._events.append(event)
        self._end += 1
        self._changed.wake_all()

    def close(self) -> None:
        """No more events will be added."""
        self._closed = True
        self._changed.wake_all()

    async def read(self, position: int) -> tuple[Event, int] | None:
        """Wait for an event by position (the first is 0). Returns it and the next position, None at the end.

        Reading does not change the log: after a cancelled `read`, the same position can be read again.
        """
        await trio.lowlevel.checkpoint()
        while position == self._end and not self._closed:
            await self._changed.wait()
        return self.at(position)

    def at(self, position: int) -> tuple[Event, int] | None:
        """As `read` without waiting: None also if there is no such event yet."""
        if position == self._end:
            return None
        first = self._end - len(self._events)
        if position < first:
            return EventsMissed(first - position), first
        return self._events[position - first], position + 1


class Events:
    """The events of a conversation from its beginning, as an asynchronous iterator that ends with it.

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
