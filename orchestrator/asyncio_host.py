"""Conversations inside an asyncio program: the same interface, with Trio in a thread of its own.

This module is the only place where asyncio and Trio meet. Everything that a host gives (transports) and gets
(conversations, events) lives in its own event loop; everything else lives in the thread. What crosses the
border does so one call at a time, and whoever calls waits for the answer: so back-pressure crosses too. A
call that is cancelled is cancelled on the other side, and has ended there before the cancellation goes on.
When the host's loop is closed while a conversation is held, the thread notices within half a second, ends
everything and itself.

In the examples, `Quiet()` is a transport whose caller says nothing; `orchestrator` is one of this module.

A thread rather than Trio's guest mode: the costs are the same (`benchmarks/asyncio_host.py`), there may be
several orchestrators in one loop, the host's loop is not held up by what the thread computes, and a loop that
is closed too early leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, TypeVar

import trio
from attrs import Factory, define

from machines.facts import EndReason, TurnMode
from machines.policy import ConversationPolicy
from orchestrator import hosting
from orchestrator.events import Event, EventLog
from orchestrator.hosting import ConversationOutcome
from orchestrator.providers import Providers
from orchestrator.settings import Settings
from orchestrator.sole_error import sole_error
from orchestrator.speaking import Pacing
from orchestrator.transport import Incoming, Outgoing, Transport, TransportClosed

__all__ = ["Conversation", "Events", "Orchestrator", "open_orchestrator"]

LOOP_LOOKED_AT_S = 0.5
"""How often the thread looks whether the host's loop is still open."""

T = TypeVar("T")


# --- the border -------------------------------------------------------------------------------------------


class _Over(RuntimeError):  # noqa: N818 (it says what happened)
    """There is no Trio to do anything in."""

    def __init__(self) -> None:
        super().__init__("the orchestrator is closed: conversations are held within its block")


@define(eq=False)
class _Border:
    """Between an asyncio loop, which uses `run` and `tell`, and Trio in a thread, which uses `ask`."""

    loop: asyncio.AbstractEventLoop
    _token: trio.lowlevel.TrioToken | None = None
    """None before Trio runs."""
    _nursery: trio.Nursery | None = None
    """None when nothing is begun any more."""
    _stop: trio.Event = Factory(trio.Event)
    _asking: set[trio.lowlevel.Task] = Factory(set)
    """Tasks that wait for the host's loop."""

    # --- the thread ---------------------------------------------------------------------------------------

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Trio lives in a thread for as long as the block lasts."""
        ready: asyncio.Future[None] = self.loop.create_future()
        over: asyncio.Future[None] = self.loop.create_future()

        def live() -> None:
            settle = partial(over.set_result, None)
            try:
                trio.run(self._live, partial(ready.set_result, None))
            except BaseException as error:
                settle = partial(over.set_exception, error)
            self._call_soon(settle)

        # A daemon: a program that ends without leaving the block is not held up.
        thread = threading.Thread(target=live, name="vantum", daemon=True)
        thread.start()
        try:
            await _ended(ready)
            yield
        finally:
            self.tell(self._stop.set)
            await _ended(over)
            thread.join()
        over.result()

    async def _live(self, ready: Callable[[], object]) -> None:
        self._token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as self._nursery:
            self._nursery.start_soon(self._watch_loop, self._nursery)
            self._call_soon(ready)
            await self._stop.wait()
            self._nursery.cancel_scope.cancel()
            self._nursery = None

    async def _watch_loop(self, nursery: trio.Nursery) -> None:
        """When the host's loop is closed, nobody else wakes those who wait for it."""
        while not self.loop.is_closed():  # noqa: ASYNC110 (a loop tells nobody when it is closed)
            await trio.sleep(LOOP_LOOKED_AT_S)
        nursery.cancel_scope.cancel()
        for task in tuple(self._asking):
            self._wake(task)

    # --- from asyncio to Trio -----------------------------------------------------------------------------

    async def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do `work` in Trio. Cancelling this cancels it there; either way it has ended when this returns."""
        done: asyncio.Future[T] = self.loop.create_future()
        scope = trio.CancelScope()
        if not self.tell(partial(self._begin, work, scope, done)):
            raise _Over
        cancelled = False
        while not done.done():
            try:
                await asyncio.wait([done])
            except asyncio.CancelledError:
                cancelled = True
                self.tell(scope.cancel)
        if cancelled and (done.cancelled() or done.exception() is None):
            raise asyncio.CancelledError
        if done.cancelled():
            raise _Over
        return done.result()

    def _begin(
        self, work: Callable[[], Awaitable[T]], scope: trio.CancelScope, done: asyncio.Future[T]
    ) -> None:
        if self._nursery is None:
            self._call_soon(done.cancel)
        else:
            self._nursery.start_soon(self._work, work, scope, done)

    async def _work(
        self, work: Callable[[], Awaitable[T]], scope: trio.CancelScope, done: asyncio.Future[T]
    ) -> None:
        settle: Callable[[], object] = done.cancel
        try:
            with scope:
                settle = partial(done.set_result, await work())
        except Exception as error:
            settle = partial(done.set_exception, error)
        finally:
            self._call_soon(settle)

    def tell(self, what: Callable[[], object]) -> bool:
        """Do something short in Trio's thread, soon; whether it is still there."""
        if self._token is None:
            return False
        try:
            self._token.run_sync_soon(what)
        except trio.RunFinishedError:
            return False
        return True

    @asynccontextmanager
    async def held(self, block: AbstractAsyncContextManager[T]) -> AsyncIterator[T]:
        """A block of Trio's as one of asyncio's. A failure within it cancels the body here, as in Trio."""
        entered: asyncio.Future[T] = self.loop.create_future()
        leaving = trio.Event()

        async def hold() -> None:
            async with block as value:
                self._call_soon(partial(entered.set_result, value))
                await leaving.wait()

        with sole_error():
            async with asyncio.TaskGroup() as group:
                holding = group.create_task(self.run(hold))
                first: list[asyncio.Future[Any]] = [holding, entered]
                await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
                yield entered.result()
                self.tell(leaving.set)

    # --- from Trio to asyncio -----------------------------------------------------------------------------

    async def ask(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do `work` in the host's loop. Cancelling this cancels it there; either way it has ended there.

        Raises `TransportClosed` when the loop is closed, or cancels the work by itself.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        waiting = trio.lowlevel.current_task()
        task: asyncio.Task[T] | None = None

        def start() -> None:
            nonlocal task
            task = self.loop.create_task(_awaited(work))
            task.add_done_callback(finish)

        def finish(finished: asyncio.Task[T]) -> None:
            if not finished.cancelled():
                finished.exception()  # asyncio complains of those that nobody looks at
            self.tell(partial(self._wake, waiting))

        def cancel() -> None:
            if task is not None:
                task.cancel()

        def abort(raise_cancel: object) -> trio.lowlevel.Abort:
            self._call_soon(cancel)
            return trio.lowlevel.Abort.FAILED

        if not self._call_soon(start):
            raise TransportClosed("the host's event loop is closed")
        self._asking.add(waiting)
        await trio.lowlevel.wait_task_rescheduled(abort)
        if task is None or not task.done() or task.cancelled():
            await trio.lowlevel.checkpoint_if_cancelled()
            raise TransportClosed("the host's event loop is closed, or being closed")
        return task.result()

    def _wake(self, task: trio.lowlevel.Task) -> None:
        if task in self._asking:
            self._asking.remove(task)
            trio.lowlevel.reschedule(task)

    def _call_soon(self, what: Callable[[], object]) -> bool:
        """Do something short in the host's loop, soon; whether it is still there."""
        try:
            self.loop.call_soon_threadsafe(what)
        except RuntimeError:
            return False
        return True


async def _awaited(work: Callable[[], Awaitable[T]]) -> T:
    return await work()


async def _ended(future: asyncio.Future[None]) -> None:
    """Wait until it is done, whatever happens; what happened meanwhile is raised then."""
    cancelled = False
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError


# --- what hosts use ---------------------------------------------------------------------------------------


class Events:
    """The events of a conversation, from its beginning: an asynchronous iterator. It ends with it.

    ```python
    async with orchestrator.conversation(Quiet()) as conversation:
        events = conversation.events()
    kinds = {type(event) async for event in events}
    assert kinds == {Transition, StateChanged}
    ```
    """

    def __init__(self, border: _Border, log: EventLog) -> None:
        self._border = border
        self._log = log
        self._position = 0

    def __aiter__(self) -> Events:
        return self

    async def __anext__(self) -> Event:
        try:
            found = await self._border.run(partial(self._log.read, self._position))
        except _Over:
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

    _border: _Border
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
        except _Over:
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

    _border: _Border
    _held: hosting.Orchestrator

    @property
    def settings(self) -> Settings:
        """As it was opened with."""
        return self._held.settings

    @property
    def policy(self) -> ConversationPolicy:
        """For conversations that are given none of their own."""
        return self._held.policy

    @asynccontextmanager
    async def conversation(
        self,
        transport: Transport,
        *,
        policy: ConversationPolicy | None = None,
        turn_mode: TurnMode = TurnMode.AUTOMATIC,
        language: str | None = None,
        voice_id: str | None = None,
    ) -> AsyncIterator[Conversation]:
        """Hold a conversation on `transport`, whose methods are called in this loop.

        As `orchestrator.Orchestrator.conversation`: leaving the block ends it properly; an exception or
        cancellation ends it at once, and everything of it has ended when the block is left.
        """
        block = self._held.conversation(
            _CrossingTransport(self._border, transport),
            policy=policy,
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
) -> AsyncIterator[Orchestrator]:
    """Open an orchestrator in an asyncio program, for as long as the block lasts.

    As `orchestrator.open_orchestrator`; providers are Trio's world, also those that a host brings, and run in
    the thread.

    ```python
    from orchestrator.simulation import SimulatedProviders

    async with open_orchestrator(
        Settings(stt_language="de"), providers=SimulatedProviders().for_calls()
    ) as german:
        await german.until_usable()
    ```
    """
    border = _Border(asyncio.get_running_loop())
    block = hosting.open_orchestrator(settings, providers=providers, policy=policy)
    async with border.open(), border.held(block) as orchestrator:
        yield Orchestrator(border, orchestrator)


class _CrossingTransport:
    """A host's transport, for the conversation in the thread."""

    def __init__(self, border: _Border, transport: Transport) -> None:
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
