"""The library for asyncio programs: the same interface as for Trio, with Trio in its own thread.

What a host provides (transports, asynchronous tools) and gets (conversations, events) is used in the host's
event loop. All else runs in the thread, behind a border that back-pressure and cancellation cross
(`asyncio_border.py`).

In the examples, `Quiet()` is a transport whose caller says nothing; `orchestrator` is one of this module.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from attrs import define, evolve

from machines.checked_fields import check_value
from machines.facts import EndReason, SayMode, TurnMode
from machines.policy import ConversationPolicy
from orchestrator.audio.utterance import Pacing
from orchestrator.hosting import orchestrator as hosting
from orchestrator.hosting.asyncio_border import Border, OrchestratorClosed
from orchestrator.hosting.checked_arguments import check_transport
from orchestrator.hosting.events import Event, EventLog
from orchestrator.hosting.outcome import ConversationOutcome
from orchestrator.hosting.transport import Incoming, Outgoing, Transport
from orchestrator.providers.provider_chain import Providers
from orchestrator.settings.settings import Settings
from orchestrator.tools.say_requests import keys_to_press, words_to_say
from orchestrator.tools.tool import Run, Tool
from orchestrator.tools.tool_runner import tools_by_name

__all__ = ["Conversation", "Events", "Orchestrator", "open_orchestrator"]


class Events:
    """The events of a conversation from its beginning, as an asynchronous iterator that ends with it.

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
            found = await self._border.run_in_trio(partial(self._log.read, self._position))
        except OrchestratorClosed:
            # No more events are added, so the log can be read in this thread.
            found = self._log.at(self._position)
        if found is None:
            raise StopAsyncIteration
        event, self._position = found
        return event


@define(eq=False)
class Conversation:
    """A running conversation. Made by `Orchestrator.conversation`.

    ```python
    async with orchestrator.conversation(Quiet()) as conversation:
        async for event in conversation.events():
            if conversation.state == "LISTENING":
                conversation.end(EndReason.HANDED_OVER)
    assert (await conversation.outcome()).reason is EndReason.HANDED_OVER
    ```
    """

    _border: Border
    _conversation: hosting.Conversation

    @property
    def id(self) -> str:
        """A UUIDv7. Its journal is named by it, and its log lines carry it as `session`."""
        return self._conversation.id

    @property
    def state(self) -> str:
        """One of the five states, for example `LISTENING`."""
        return self._conversation.state

    @property
    def substate(self) -> str:
        """For example `hearing`."""
        return self._conversation.substate

    def events(self) -> Events:
        """All its events, from its beginning."""
        return Events(self._border, self._conversation._log)

    def say(
        self,
        text: str,
        mode: SayMode = SayMode.QUEUE,
        *,
        interruptible: bool = True,
        then: EndReason | None = None,
    ) -> None:
        """As `orchestrator.Conversation.say`. Raises `ValueError` for a text without words."""
        words_to_say(text, mode, interruptible=interruptible, then=then)
        self._border.run_in_trio_soon(
            partial(self._conversation.say, text, mode, interruptible=interruptible, then=then)
        )

    def send_digits(self, digits: str) -> None:
        """As `orchestrator.Conversation.send_digits`. Raises `ValueError` for anything but keys."""
        keys_to_press(digits)
        self._border.run_in_trio_soon(partial(self._conversation.send_digits, digits))

    def interrupt(self) -> None:
        """Stop the answer that is being generated or spoken."""
        self._border.run_in_trio_soon(self._conversation.interrupt)

    def end(self, reason: EndReason = EndReason.SHUTDOWN) -> None:
        """End the conversation properly. Does nothing if it is over."""
        check_value("reason", "end()", reason, EndReason)
        self._border.run_in_trio_soon(partial(self._conversation.end, reason))

    async def outcome(self) -> ConversationOutcome:
        """Wait until the conversation is over, and return its outcome. Raises `ConversationLost`."""
        try:
            return await self._border.run_in_trio(self._conversation.outcome)
        except OrchestratorClosed:
            return self._conversation._known_outcome()


@define(eq=False)
class Orchestrator:
    """Runs conversations with its providers. Made by `open_orchestrator`.

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
    _orchestrator: hosting.Orchestrator

    @property
    def settings(self) -> Settings:
        """The settings with which it was opened."""
        return self._orchestrator.settings

    @property
    def policy(self) -> ConversationPolicy:
        """The default policy of its conversations."""
        return self._orchestrator.policy

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The default tools of its conversations."""
        return self._orchestrator.tools

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
        """Run a conversation on `transport`. Its methods and asynchronous tools are called in this loop.

        As `orchestrator.Orchestrator.conversation`: leaving the block ends it properly, an exception or
        cancellation ends it at once. In any case all its tasks have ended when the block is left.
        """
        check_transport(transport)
        block = self._orchestrator.conversation(
            _CrossingTransport(self._border, transport),
            policy=policy,
            tools=_crossing(self._border, self.tools if tools is None else tools),
            turn_mode=turn_mode,
            language=language,
            voice_id=voice_id,
        )
        async with self._border.enter_in_trio(block) as conversation:
            yield Conversation(self._border, conversation)

    async def until_usable(self) -> None:
        """Return when every role has a provider that is known to work."""
        await self._border.run_in_trio(self._orchestrator.until_usable)


@asynccontextmanager
async def open_orchestrator(
    settings: Settings | None = None,
    *,
    providers: Providers | AbstractAsyncContextManager[Providers] | None = None,
    policy: ConversationPolicy | None = None,
    tools: Sequence[Tool] | None = None,
) -> AsyncIterator[Orchestrator]:
    """Open an orchestrator in an asyncio program, for as long as the block lasts.

    As `orchestrator.open_orchestrator`. Providers, also those that a host brings, use Trio and run in the
    thread. Asynchronous tools run in the host's loop.

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
    async with border.open(), border.enter_in_trio(block) as orchestrator:
        yield Orchestrator(border, orchestrator)


def _crossing(border: Border, tools: Sequence[Tool]) -> list[Tool]:
    """The host's tools; the asynchronous ones run in the host's loop."""

    def crossing(function: Run) -> Run:
        async def cross(**arguments: object) -> object:
            return await border.run_in_loop(partial(function, **arguments))

        return cross

    return [
        evolve(each, function=crossing(each.function)) if each._is_async else each
        for each in tools_by_name(tools).values()
    ]


class _CrossingTransport:
    """A host's transport whose methods run in the host's loop, used by the conversation in the thread."""

    def __init__(self, border: Border, transport: Transport) -> None:
        self._border = border
        self._transport = transport
        self.pacing: Pacing = transport.pacing
        """Read once, here: a property of the host's must not be called in another thread."""

    async def receive(self) -> Incoming:
        return await self._border.run_in_loop(self._transport.receive)

    async def send(self, message: Outgoing) -> None:
        await self._border.run_in_loop(partial(self._transport.send, message))

    async def close(self, reason: EndReason) -> None:
        await self._border.run_in_loop(partial(self._transport.close, reason))
