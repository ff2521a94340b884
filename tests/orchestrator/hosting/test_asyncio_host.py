"""Conversations in an asyncio program: both sides end together, whoever begins, and leave nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from typing import Any, cast

import pytest
import trio
from attrs import Factory, define, evolve

from orchestrator import (
    AnswerEnded,
    AnswerText,
    AudioIn,
    AudioOut,
    AudioStopped,
    ConversationLost,
    ConversationPolicy,
    EndReason,
    HungUp,
    Incoming,
    Interrupted,
    OrchestratorBusy,
    Outgoing,
    Pacing,
    Providers,
    SayMode,
    Settings,
    StateChanged,
    ToolCall,
    ToolContext,
    ToolError,
    ToolReturned,
    Transition,
    TransportClosed,
    TurnEnded,
    TurnMode,
    TurnStarted,
    tool,
)
from orchestrator.asyncio_host import Conversation, open_orchestrator
from orchestrator.simulation import (
    Answer,
    SimulatedLanguageModel,
    SimulatedProviders,
    SimulatedTextToSpeech,
    Synthesis,
    script,
)
from orchestrator.simulation.speech import spoken

pytestmark = pytest.mark.slow

Watch = Callable[[], AbstractContextManager[None]]
RATE = 16_000
PATIENCE_S = 120
PACING = Pacing(rate=24_000, chunk_ms=20, lead_ms=60)
LONG = "This is a long answer that goes on and on. " * 20


def quick(text: str | None = None, ms_per_character: float = 1) -> SimulatedProviders:
    """Providers that take no time, and a voice that speaks fast: time is real here."""
    return SimulatedProviders(
        llm=SimulatedLanguageModel(script(then=Answer(text))),
        tts=SimulatedTextToSpeech(script(then=Synthesis(ms_per_character=ms_per_character))),
    )


@define
class QueueTransport:
    """A caller in the host's loop."""

    pacing: Pacing = PACING
    incoming: asyncio.Queue[Incoming] = Factory(asyncio.Queue)
    sent: list[Outgoing] = Factory(list)
    something_sent: asyncio.Event = Factory(asyncio.Event)
    closed_for: list[EndReason] = Factory(list)
    inside: int = 0
    """Calls of its methods that have not ended."""

    async def receive(self) -> Incoming:
        self.inside += 1
        try:
            return await self.incoming.get()
        finally:
            self.inside -= 1

    async def send(self, message: Outgoing) -> None:
        self.inside += 1
        try:
            await asyncio.sleep(0)
            self.sent.append(message)
            self.something_sent.set()
        finally:
            self.inside -= 1

    async def close(self, reason: EndReason) -> None:
        self.closed_for.append(reason)

    def say(self, words: str) -> None:
        """A turn by hand."""
        for item in (TurnStarted(), AudioIn(spoken(words, RATE), RATE), TurnEnded()):
            self.incoming.put_nowait(item)

    async def until(self, kind: type[Outgoing]) -> None:
        """Return when such a message was sent."""
        while not any(isinstance(message, kind) for message in self.sent):
            self.something_sent.clear()
            await self.something_sent.wait()


def in_asyncio(host: Callable[[], Awaitable[None]]) -> None:
    """Run a host program; one that hangs fails."""

    async def patiently() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await host()

    asyncio.run(patiently())


async def until(conversation: Conversation, kind: type[Any]) -> Any:
    async for event in conversation.events():
        if isinstance(event, kind):
            return event
    raise AssertionError(f"no {kind.__name__}")


def test_a_caller_in_an_asyncio_program_is_heard_and_answered(leaves_nothing: Watch) -> None:
    async def host() -> None:
        providers, transport = quick(), QueueTransport()
        async with (
            open_orchestrator(providers=providers.for_calls()) as orchestrator,
            orchestrator.conversation(transport, turn_mode=TurnMode.MANUAL) as conversation,
        ):
            assert threading.current_thread() is threading.main_thread()
            transport.say("hello")
            await until(conversation, AnswerEnded)
            transport.incoming.put_nowait(HungUp())
            outcome = await conversation.outcome()
        assert outcome.reason is EndReason.CALLER_HUNG_UP
        assert outcome.history[0].text == "hello"
        heard_ms = sum(message.duration_ms for message in transport.sent if isinstance(message, AudioOut))
        assert heard_ms == pytest.approx(28)
        assert transport.closed_for == [EndReason.CALLER_HUNG_UP]
        assert (providers.in_use(), transport.inside) == (0, 0)
        # After everything is closed, what was seen can still be looked at.
        assert await conversation.outcome() == outcome
        assert isinstance(await anext(conversation.events()), Transition)
        conversation.end()

    with leaves_nothing():
        in_asyncio(host)


def test_several_orchestrators_and_conversations_live_in_one_loop(leaves_nothing: Watch) -> None:
    async def call(orchestrator: Any, text: str) -> str:
        policy = evolve(orchestrator.policy, greeting=text)
        async with orchestrator.conversation(QueueTransport(), policy=policy) as conversation:
            said: str = (await until(conversation, AnswerText)).text
        return said

    async def host() -> None:
        async with (
            open_orchestrator(Settings(stt_language="de"), providers=quick().for_calls()) as german,
            open_orchestrator(Settings(stt_language="fr"), providers=quick().for_calls()) as french,
        ):
            await asyncio.gather(german.until_usable(), french.until_usable())
            assert (german.settings.stt_language, french.settings.stt_language) == ("de", "fr")
            texts = ["Guten Tag.", "Guten Abend.", "Bonjour.", "Bonsoir."]
            calls = [call(german, text) for text in texts[:2]] + [call(french, text) for text in texts[2:]]
            assert await asyncio.gather(*calls) == texts

    with leaves_nothing():
        in_asyncio(host)


@pytest.mark.parametrize("whose", ["host", "caller"])
def test_an_interruption_crosses_the_border(whose: str) -> None:
    async def host() -> None:
        transport = QueueTransport()
        async with (
            open_orchestrator(providers=quick(LONG, 60).for_calls()) as orchestrator,
            orchestrator.conversation(transport, turn_mode=TurnMode.MANUAL) as conversation,
        ):
            transport.say("hello")
            await transport.until(AudioOut)
            if whose == "host":
                conversation.interrupt()
            else:
                transport.incoming.put_nowait(Interrupted())
            await transport.until(AudioStopped)

    in_asyncio(host)


def test_what_a_host_wants_said_crosses_the_border() -> None:
    async def host() -> None:
        async with (
            open_orchestrator(providers=quick().for_calls()) as orchestrator,
            orchestrator.conversation(QueueTransport()) as conversation,
        ):
            with pytest.raises(TypeError, match="text of say"):
                conversation.say(5)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="reason of end"):
                conversation.end("bye")  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="an object of object, but must have the methods"):
                async with orchestrator.conversation(object()):  # type: ignore[arg-type]
                    pass
            with pytest.raises(ValueError, match="nothing to say"):
                conversation.say("...")
            conversation.say("Your table is ready.", SayMode.WHEN_IDLE, then=EndReason.HANDED_OVER)
            assert (await until(conversation, AnswerText)).text == "Your table is ready."
            assert (await conversation.outcome()).reason is EndReason.HANDED_OVER

    in_asyncio(host)


# --- back-pressure ----------------------------------------------------------------------------------------


def test_a_host_that_stops_reading_is_waited_for_and_holds_nobody_else_up(leaves_nothing: Watch) -> None:
    class Stuck(QueueTransport):
        async def send(self, message: Outgoing) -> None:
            self.sent.append(message)
            self.something_sent.set()
            self.inside += 1
            try:
                await asyncio.Event().wait()
            finally:
                self.inside -= 1

    async def host() -> None:
        providers, stuck, other = quick(LONG, 60), Stuck(), QueueTransport()
        async with open_orchestrator(providers=providers.for_calls()) as orchestrator:
            async with (
                orchestrator.conversation(stuck, turn_mode=TurnMode.MANUAL),
                orchestrator.conversation(other, turn_mode=TurnMode.MANUAL),
            ):
                stuck.say("hello")
                await stuck.until(Outgoing)  # type: ignore[arg-type]
                other.say("hello")
                await other.until(AudioOut)
            # One message at a time, and the one that hung has been cancelled.
            assert (len(stuck.sent), stuck.inside, providers.in_use()) == (1, 0, 0)

    with leaves_nothing():
        in_asyncio(host)


def test_receiving_is_asked_for_one_item_at_a_time() -> None:
    class Counting(QueueTransport):
        most = 0

        async def receive(self) -> Incoming:
            received = await super().receive()
            self.most = max(self.most, self.inside)
            return received

    async def host() -> None:
        transport = Counting()
        async with (
            open_orchestrator(providers=quick().for_calls()) as orchestrator,
            orchestrator.conversation(transport, turn_mode=TurnMode.MANUAL),
        ):
            for _ in range(50):
                transport.say("hello")
            await transport.until(AudioOut)
            assert transport.most <= 1

    in_asyncio(host)


# --- tools ------------------------------------------------------------------------------------------------


def asks(name: str) -> SimulatedProviders:
    """The model asks for a call, and then says what came of it."""
    providers = quick()
    providers.llm.answers_with(Answer(calls=(ToolCall("id", name, "{}"),)))
    return providers


def test_asynchronous_tools_run_in_the_hosts_loop_and_others_in_threads(leaves_nothing: Watch) -> None:
    places: list[object] = []

    @tool
    async def in_the_loop(context: ToolContext) -> str:
        """Do it."""
        places.append(asyncio.get_running_loop())
        context.say("One moment.")
        await asyncio.sleep(0)
        return "something"

    @tool
    def in_a_thread(context: ToolContext) -> str:
        """Do it."""
        places.append(threading.current_thread())
        context.say("One moment.")
        return "something"

    async def host() -> None:
        for each in (in_the_loop, in_a_thread):
            transport = QueueTransport()
            async with (
                open_orchestrator(providers=asks(each.name).for_calls(), tools=[each]) as orchestrator,
                orchestrator.conversation(transport, turn_mode=TurnMode.MANUAL) as conversation,
            ):
                assert orchestrator.tools == (each,)
                transport.say("hello")
                returned = await until(conversation, ToolReturned)
                assert (returned.result, returned.failed) == ("something", False)
                texts = [event.text async for event in until_both(conversation)]
                assert set(texts) == {"The tools gave something.", "That was all.", "One moment."}
        assert places[0] is asyncio.get_running_loop()
        assert isinstance(places[1], threading.Thread)
        assert places[1] is not threading.main_thread()

    async def until_both(conversation: Conversation) -> AsyncIterator[AnswerText]:
        seen = set()
        async for event in conversation.events():
            if isinstance(event, AnswerText):
                seen.add(event.text)
                yield event
                if {"That was all.", "One moment."} <= seen:
                    return

    with leaves_nothing():
        in_asyncio(host)


def test_a_tool_that_fails_in_the_hosts_loop_fails_as_elsewhere() -> None:
    @tool
    async def work() -> None:
        """Work."""
        raise ToolError("We are closed.")

    async def host() -> None:
        transport = QueueTransport()
        async with (
            open_orchestrator(providers=asks("work").for_calls()) as orchestrator,
            orchestrator.conversation(transport, tools=[work], turn_mode=TurnMode.MANUAL) as conversation,
        ):
            transport.say("hello")
            returned = await until(conversation, ToolReturned)
            assert (returned.result, returned.failed) == ("We are closed.", True)

    in_asyncio(host)


@pytest.mark.parametrize("who", ["deadline", "caller", "host"])
def test_a_tool_that_is_cancelled_is_cancelled_in_the_hosts_loop(who: str, leaves_nothing: Watch) -> None:
    ended: list[BaseException] = []

    async def host() -> None:
        began = asyncio.Event()

        @tool(timeout_s=0.5 if who == "deadline" else 3600, on_interruption="cancel")
        async def work() -> None:
            """Work."""
            began.set()
            try:
                await asyncio.sleep(PATIENCE_S)
            except asyncio.CancelledError as cancelled:
                await asyncio.sleep(0.01)  # the other side waits for it
                ended.append(cancelled)
                raise

        async def hold() -> None:
            async with (
                open_orchestrator(providers=asks("work").for_calls(), tools=[work]) as orchestrator,
                orchestrator.conversation(transport, turn_mode=TurnMode.MANUAL) as conversation,
            ):
                transport.say("hello")
                await began.wait()
                if who == "caller":
                    transport.incoming.put_nowait(HungUp())
                elif who == "deadline":
                    await until(conversation, ToolReturned)
                    conversation.end()
                await conversation.outcome()

        transport = QueueTransport()
        holding = asyncio.create_task(hold())
        await began.wait()
        if who == "host":
            holding.cancel()
        with suppress(asyncio.CancelledError):
            await holding
        assert holding.cancelled() is (who == "host")
        assert len(ended) == 1

    with leaves_nothing():
        in_asyncio(host)


# --- ends that begin in asyncio ---------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["opening", "connecting", "listening", "answering", "closing"])
def test_a_task_that_is_cancelled_leaves_nothing_and_has_ended_on_both_sides(
    moment: str, leaves_nothing: Watch
) -> None:
    class Leaving(QueueTransport):
        async def close(self, reason: EndReason) -> None:
            if moment == "closing":
                reached.set()
                await asyncio.sleep(PATIENCE_S)

    reached = asyncio.Event()

    async def host() -> None:
        providers, transport = quick(LONG, 60), Leaving()

        async def hold() -> None:
            if moment == "opening":
                reached.set()
            async with open_orchestrator(providers=providers.for_calls()) as orchestrator:
                if moment == "connecting":
                    reached.set()
                async with orchestrator.conversation(transport, turn_mode=TurnMode.MANUAL) as conversation:
                    await until(conversation, StateChanged)
                    if moment != "listening":
                        transport.say("hello")
                        await transport.until(AudioOut)
                    if moment != "closing":
                        reached.set()
                        await asyncio.sleep(PATIENCE_S)

        task = asyncio.create_task(hold())
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (providers.in_use(), transport.inside) == (0, 0)

    with leaves_nothing():
        in_asyncio(host)


def test_a_timeout_of_the_host_is_a_timeout() -> None:
    async def host() -> None:
        async with open_orchestrator(providers=quick().for_calls()) as orchestrator:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01), orchestrator.conversation(QueueTransport()):
                    await asyncio.sleep(PATIENCE_S)
            async with orchestrator.conversation(QueueTransport()) as conversation:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(conversation.outcome(), 0.01)
                conversation.end()
                assert (await conversation.outcome()).reason is EndReason.SHUTDOWN

    in_asyncio(host)


def test_events_are_not_lost_by_a_reader_that_is_cancelled() -> None:
    async def host() -> None:
        async with (
            open_orchestrator(providers=quick().for_calls()) as orchestrator,
            orchestrator.conversation(QueueTransport()) as conversation,
        ):
            events, patient = conversation.events(), conversation.events()
            seen = []
            conversation.end()
            while True:
                try:
                    async with asyncio.timeout(0):
                        seen.append(await anext(events))
                except TimeoutError:
                    await asyncio.sleep(0)
                    seen.append(await anext(events))
                except StopAsyncIteration:
                    break
                if len(seen) > 3:
                    break
            assert [await anext(patient) for _ in seen] == seen

    in_asyncio(host)


@pytest.mark.parametrize("where", ["orchestrator", "conversation"])
def test_an_exception_of_the_host_comes_out_as_it_is_and_leaves_nothing(
    where: str, leaves_nothing: Watch
) -> None:
    async def host() -> None:
        providers, transport = quick(LONG, 60), QueueTransport()
        with pytest.raises(KeyError, match="the host's"):
            async with open_orchestrator(providers=providers.for_calls()) as orchestrator:
                if where == "orchestrator":
                    raise KeyError("the host's")
                async with orchestrator.conversation(transport, turn_mode=TurnMode.MANUAL) as conversation:
                    transport.say("hello")
                    await transport.until(AudioOut)
                    raise KeyError("the host's")
        assert (providers.in_use(), transport.inside) == (0, 0)
        if where == "conversation":
            with pytest.raises(ConversationLost):
                await conversation.outcome()

    with leaves_nothing():
        in_asyncio(host)


def test_a_loop_that_is_closed_in_the_midst_of_a_conversation_leaves_no_thread(leaves_nothing: Watch) -> None:
    providers, transport = quick(LONG, 60), QueueTransport()

    async def hold() -> None:
        async with (
            open_orchestrator(providers=providers.for_calls()) as orchestrator,
            orchestrator.conversation(transport, turn_mode=TurnMode.MANUAL),
        ):
            transport.say("hello")
            await transport.until(AudioOut)
            loop.stop()
            await asyncio.sleep(PATIENCE_S)

    with leaves_nothing():
        loop = asyncio.new_event_loop()
        holding = loop.create_task(hold())
        loop.run_forever()
        left = asyncio.all_tasks(loop)
        assert holding in left
        loop.close()
        for thread in threading.enumerate():
            if thread.name == "vantum":
                thread.join(PATIENCE_S)
    assert providers.in_use() == 0
    # Tasks that a loop is closed over are a host's fault, of which Python complains.
    for task in left:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        with suppress(RuntimeError):
            cast("Coroutine[None, None, None]", task.get_coro()).close()


# --- ends that begin on the other side --------------------------------------------------------------------


@pytest.mark.parametrize("waits", [False, True], ids=["sleeps", "waits for the outcome"])
@pytest.mark.parametrize("where", ["receive", "send", "close"])
def test_a_fault_of_the_transport_ends_the_block_and_comes_out_of_it(
    where: str, waits: bool, leaves_nothing: Watch
) -> None:
    class Broken(QueueTransport):
        async def receive(self) -> Incoming:
            received = await super().receive()
            if where == "receive":
                raise ZeroDivisionError(where)
            return received

        async def send(self, message: Outgoing) -> None:
            if where == "send":
                raise ZeroDivisionError(where)
            await super().send(message)

        async def close(self, reason: EndReason) -> None:
            if where == "close":
                raise ZeroDivisionError(where)

    async def host() -> None:
        providers, transport = quick(), Broken()
        async with open_orchestrator(providers=providers.for_calls()) as orchestrator:
            with pytest.raises(ZeroDivisionError, match=where):
                async with orchestrator.conversation(transport, turn_mode=TurnMode.MANUAL) as conversation:
                    transport.say("hello")
                    if where == "close":
                        conversation.end()
                    await (conversation.outcome() if waits else asyncio.sleep(PATIENCE_S))
            assert (providers.in_use(), transport.inside) == (0, 0)
            async with orchestrator.conversation(QueueTransport()) as unharmed:
                await until(unharmed, StateChanged)
        task = asyncio.current_task()
        assert task is not None and task.cancelling() == 0

    with leaves_nothing():
        in_asyncio(host)


@pytest.mark.parametrize("how", ["says so", "is cancelled"])
def test_a_caller_who_is_gone_ends_the_conversation(how: str) -> None:
    class Gone(QueueTransport):
        async def receive(self) -> Incoming:
            if how == "says so":
                raise TransportClosed("gone")
            raise asyncio.CancelledError

    async def host() -> None:
        async with (
            open_orchestrator(providers=quick().for_calls()) as orchestrator,
            orchestrator.conversation(Gone()) as conversation,
        ):
            assert (await conversation.outcome()).reason is EndReason.CALLER_DISCONNECTED

    in_asyncio(host)


def test_a_transport_that_takes_forever_to_close_is_given_up(leaves_nothing: Watch) -> None:
    class Slow(QueueTransport):
        async def close(self, reason: EndReason) -> None:
            self.inside += 1
            try:
                await asyncio.sleep(PATIENCE_S)
            finally:
                self.inside -= 1

    async def host() -> None:
        transport = Slow()
        policy = ConversationPolicy(close_timeout_ms=20)
        async with open_orchestrator(providers=quick().for_calls(), policy=policy) as orchestrator:
            async with orchestrator.conversation(transport) as conversation:
                await until(conversation, StateChanged)
            assert transport.inside == 0

    with leaves_nothing():
        in_asyncio(host)


def test_providers_that_cannot_be_opened_are_an_exception_of_the_block(leaves_nothing: Watch) -> None:
    @asynccontextmanager
    async def providers() -> AsyncIterator[Providers]:
        await trio.lowlevel.checkpoint()
        raise ZeroDivisionError("no providers")
        yield

    async def host() -> None:
        with pytest.raises(ZeroDivisionError, match="no providers"):
            async with open_orchestrator(providers=providers()):
                pass

    with leaves_nothing():
        in_asyncio(host)


def test_there_is_no_room_beyond_the_limit_and_none_after_the_end() -> None:
    async def host() -> None:
        settings = Settings(max_sessions=1)
        async with (
            open_orchestrator(settings, providers=quick().for_calls()) as orchestrator,
            orchestrator.conversation(QueueTransport()),
        ):
            with pytest.raises(OrchestratorBusy):
                async with orchestrator.conversation(QueueTransport()):
                    pass
        with pytest.raises(RuntimeError, match="closed"):
            async with orchestrator.conversation(QueueTransport()):
                pass

    in_asyncio(host)
