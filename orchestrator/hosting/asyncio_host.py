"""Conversations inside an asyncio program: the same interface, with Trio in a thread of its own.

Everything that a host gives (transports, asynchronous tools) and gets (conversations, events) lives in its
own event loop; everything else lives in the thread, behind a border that back-pressure and cancellation cross
(`asyncio_border.py`).

In the examples, `Quiet()` is a transport whose caller says nothing; `orchestrator` is one of this module.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from attrs import define, evolve

from machines.facts import EndReason, SayMode, TurnMode
from machines.policy import ConversationPolicy
from orchestrator.audio.utterance import Pacing
from orchestrator.hosting import orchestrator as hosting
from orchestrator.hosting.asyncio_border import Border, Over
from orchestrator.hosting.events import Event, EventLog
from orchestrator.hosting.outcome import ConversationOutcome
from orchestrator.hosting.transport import Incoming, Outgoing, Transport
from orchestrator.providers.provider_chain import Providers
from orchestrator.settings.settings import Settings
from orchestrator.tools.host_utterances import require_keys, require_words
from orchestrator.tools.tool import Run, Tool

__all__ = ["Conversation", "Events", "Orchestrator", "open_orchestrator"]


class Events:
    """The events of a conversation, from its beginning: an asynchronous iterator. It ends with it.

    ```python
    async with orchestrator.conversation(Quiet()) as conversation:
        events = conversation.events()
    kinds = {type(event) async for event in events}
    assert kinds == {Transition, StateChanged}
    ```
    """

    def __init__(self, border: Border, log: EventLog) -> None:
        self._border = border
        self._log = log
        self._position = 0

    def __aiter__(self) -> Events:
        return self

    async def __anext__(self) -> Event:
        try:
            found = await self._border.run(partial(self._log.read, self._position))
        except Over:
            # Nothing is added any more, so it can be read from here.
            found = self._log.at(self._position)
        if found is None:
            raise StopAsyncIteration
        event, self._position = found
        return event


@define(eq=False)
class Conversation:
    """A conversation that is being held. Made by `Orchestrator.conversation`.

    ```python
    async with orchestrator.conversation(Quiet()) as conversation:
        async for event in conversation.events():
            if conversation.state == "LISTENING":
                conversation.end(EndReason.HANDED_OVER)
    assert (await conversation.outcome()).reason is EndReason.HANDED_OVER
    ```
    """

    _border: Border
    _held: hosting.Conversation

    @property
    def id(self) -> str:
        """A UUIDv7: names its journal, and its log lines as `session`."""
        return self._held.id

    @property
    def state(self) -> str:
        """One of the five, for example `LISTENING`."""
        return self._held.state

    @property
    def substate(self) -> str:
        """For example `hearing`."""
        return self._held.substate

    def events(self) -> Events:
        """Everything that happens in it, from its beginning."""
        return Events(self._border, self._held._log)

    def say(
        self,
        text: str,
        mode: SayMode = SayMode.QUEUE,
        *,
        interruptible: bool = True,
        then: EndReason | None = None,
    ) -> None:
        """As `orchestrator.Conversation.say`. Raises `ValueError` for a text without words."""
        require_words(text)
        self._border.tell(partial(self._held.say, text, mode, interruptible=interruptible, then=then))

    def send_digits(self, digits: str) -> None:
        """As `orchestrator.Conversation.send_digits`. Raises `ValueError` for what is no key."""
        require_keys(digits)
        self._border.tell(partial(self._held.send_digits, digits))

    def interrupt(self) -> None:
        """Silence: the answer that is being made or said is cut off."""
        self._border.tell(self._held.interrupt)

    def end(self, reason: EndReason = EndReason.SHUTDOWN) -> None:
        """End it, as soon as everything is closed properly; nothing happens to one that is over."""
        self._border.tell(partial(self._held.end, reason))

    async def outcome(self) -> ConversationOutcome:
        """What has become of it, when it is over. Raises `ConversationLost`."""
        try:
            return await self._border.run(self._held.outcome)
        except Over:
            return self._held._known_outcome()


@define(eq=False)
class Orchestrator:
    """Providers, and the conversations that are held with them. Made by `open_orchestrator`.

    ```python
    policy = evolve(orchestrator.policy, greeting="Hello!")
    async with orchestrator.conversation(Quiet(), policy=policy) as conversation:
        async for event in conversation.events():
            if isinstance(event, AnswerText):
                break
    assert event.text == "Hello!"
    ```
    """

    _border: Border
    _held: hosting.Orchestrator

    @property
    def settings(self) -> Settings:
        """As it was opened with."""
        return self._held.settings

    @property
    def policy(self) -> ConversationPolicy:
        """For conversations that are given none of their own."""
        return self._held.policy

    @property
    def tools(self) -> tuple[Tool, ...]:
        """Likewise."""
        return self._held.tools

    @asynccontextmanager
    async def conversation(
        self,
        transport: Transport,
        *,
        policy: ConversationPolicy | None = None,
        tools: Sequence[Tool] | None = None,
        turn_mode: TurnMode = TurnMode.AUTOMATIC,
        language: str | None = None,
        voice_id: str | None = None,
    ) -> AsyncIterator[Conversation]:
        """Hold a conversation on `transport`, whose methods are called in this loop; asynchronous tools too.

        As `orchestrator.Orchestrator.conversation`: leaving the block ends it properly; an exception or
        cancellation ends it at once, and everything of it has ended when the block is left.
        """
        block = self._held.conversation(
            _CrossingTransport(self._border, transport),
            policy=policy,
            tools=_crossing(self._border, self.tools if tools is None else tools),
            turn_mode=turn_mode,
            language=language,
            voice_id=voice_id,
        )
        async with self._border.held(block) as conversation:
            yield Conversation(self._border, conversation)

    async def until_usable(self) -> None:
        """Return when every role has a provider that is known to work."""
        await self._border.run(self._held.until_usable)


@asynccontextmanager
async def open_orchestrator(
    settings: Settings | None = None,
    *,
    providers: Providers | AbstractAsyncContextManager[Providers] | None = None,
    policy: ConversationPolicy | None = None,
    tools: Sequence[Tool] | None = None,
) -> AsyncIterator[Orchestrator]:
    """Open an orchestrator in an asyncio program, for as long as the block lasts.

    As `orchestrator.open_orchestrator`; providers are Trio's world, also those that a host brings, and run in
    the thread. Tools that are asynchronous run in the host's loop.

    ```python
    from orchestrator.simulation import SimulatedProviders

    async with open_orchestrator(
        Settings(stt_language="de"), providers=SimulatedProviders().for_calls()
    ) as german:
        await german.until_usable()
    ```
    """
    border = Border()
    block = hosting.open_orchestrator(settings, providers=providers, policy=policy, tools=tools)
    async with border.open(), border.held(block) as orchestrator:
        yield Orchestrator(border, orchestrator)


def _crossing(border: Border, tools: Sequence[Tool]) -> list[Tool]:
    """The host's tools, for the conversation in the thread."""

    def crossing(function: Run) -> Run:
        async def cross(**arguments: object) -> object:
            return await border.ask(partial(function, **arguments))

        return cross

    return [evolve(each, function=crossing(each.function)) if each._is_async else each for each in tools]


class _CrossingTransport:
    """A host's transport, for the conversation in the thread."""

    def __init__(self, border: Border, transport: Transport) -> None:
        self._border = border
        self._transport = transport
        self.pacing: Pacing = transport.pacing
        """As it is now: a host's property is not for other threads."""

    async def receive(self) -> Incoming:
        return await self._border.ask(self._transport.receive)

    async def send(self, message: Outgoing) -> None:
        await self._border.ask(partial(self._transport.send, message))

    async def close(self, reason: EndReason) -> None:
        await self._border.ask(partial(self._transport.close, reason))
