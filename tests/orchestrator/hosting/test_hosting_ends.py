"""How conversations in a host program end: by either side, by faults, by cancellation; nothing is left."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock

from orchestrator import (
    AudioEnds,
    ConversationLost,
    ConversationPolicy,
    EndReason,
    Incoming,
    MemoryTransport,
    Orchestrator,
    OrchestratorBusy,
    Outgoing,
    Providers,
    Settings,
    StateChanged,
    TransportClosed,
    TurnMode,
    open_orchestrator,
)
from orchestrator.simulation import (
    Answer,
    Breaks,
    Opening,
    SimulatedLanguageModel,
    SimulatedProviders,
    SimulatedSpeechToText,
    script,
)
from orchestrator.simulation.speech import silence
from tests.orchestrator.hosting.host_calls import LONG, RATE, speak, take_turn, until


async def test_leaving_the_block_ends_the_conversation_properly(autojump_clock: MockClock) -> None:
    providers, transport = SimulatedProviders(), MemoryTransport()
    async with open_orchestrator(providers=providers.for_calls()) as orchestrator:
        async with orchestrator.conversation(transport) as conversation:
            await until(conversation, StateChanged)
        assert (await conversation.outcome()).reason is EndReason.SHUTDOWN
        assert providers.in_use() == 0
    assert transport.closed_for is EndReason.SHUTDOWN
    with pytest.raises(TransportClosed):
        await transport.push(silence(20, RATE), RATE)


async def test_the_host_chooses_the_reason_for_ending(autojump_clock: MockClock) -> None:
    async with (
        open_orchestrator(providers=SimulatedProviders().for_calls()) as orchestrator,
        orchestrator.conversation(MemoryTransport()) as conversation,
    ):
        conversation.end(EndReason.HANDED_OVER)
        assert (await conversation.outcome()).reason is EndReason.HANDED_OVER
        conversation.end(EndReason.IDLE)
    assert (await conversation.outcome()).reason is EndReason.HANDED_OVER


async def test_a_caller_who_drops_out_ends_the_conversation(autojump_clock: MockClock) -> None:
    transport = MemoryTransport()
    async with (
        open_orchestrator(providers=SimulatedProviders().for_calls()) as orchestrator,
        orchestrator.conversation(transport) as conversation,
    ):
        transport.drop()
        assert (await conversation.outcome()).reason is EndReason.CALLER_DISCONNECTED


async def test_a_host_that_stops_reading_loses_its_conversation_and_nothing_else(
    autojump_clock: MockClock,
) -> None:
    llm = SimulatedLanguageModel(script(then=Answer(LONG)))
    providers, transport = SimulatedProviders(llm=llm), MemoryTransport()
    async with open_orchestrator(providers=providers.for_calls()) as orchestrator:
        async with orchestrator.conversation(transport, turn_mode=TurnMode.MANUAL) as conversation:
            await take_turn(transport, "hello")
            outcome = await conversation.outcome()
            assert outcome.reason is EndReason.CALLER_STOPPED_READING
        assert providers.in_use() == 0


async def test_a_quiet_transport_is_idle_and_a_long_conversation_too_old(autojump_clock: MockClock) -> None:
    limits = Settings(session_idle_timeout_ms=5000, session_max_duration_ms=9000)
    async with open_orchestrator(limits, providers=SimulatedProviders().for_calls()) as orchestrator:
        async with orchestrator.conversation(MemoryTransport()) as idle:
            outcome = await idle.outcome()
            assert outcome.reason is EndReason.IDLE
            assert outcome.duration_ms == pytest.approx(5000)
        transport = MemoryTransport()
        async with orchestrator.conversation(transport) as old:
            with pytest.raises(TransportClosed):
                await speak(transport, silence(20_000, RATE))
            outcome = await old.outcome()
            assert outcome.reason is EndReason.TOO_OLD
            assert outcome.duration_ms == pytest.approx(9000)


@pytest.mark.parametrize("after_s", [0, 0.001, 1, 3])
async def test_an_exception_of_the_host_comes_out_as_it_is_and_leaves_nothing(
    after_s: float, autojump_clock: MockClock
) -> None:
    providers, transport = SimulatedProviders(), MemoryTransport()
    async with open_orchestrator(providers=providers.for_calls()) as orchestrator:
        with pytest.raises(KeyError, match="the host's"):
            async with orchestrator.conversation(transport, turn_mode=TurnMode.MANUAL) as conversation:
                if after_s:
                    await take_turn(transport, "hello")
                    await trio.sleep(after_s)
                raise KeyError("the host's")
        assert providers.in_use() == 0
        with pytest.raises(ConversationLost):
            await conversation.outcome()


async def test_an_exception_of_the_host_in_the_orchestrators_block_comes_out_as_it_is() -> None:
    with pytest.raises(KeyError, match="the host's"):
        async with open_orchestrator(providers=SimulatedProviders().for_calls()):
            raise KeyError("the host's")


class Broken(MemoryTransport):
    """A transport with a fault."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where

    async def receive(self) -> Incoming:
        if self.where == "receive":
            raise ZeroDivisionError("receive")
        return await super().receive()

    async def send(self, message: Outgoing) -> None:
        if self.where == "send":
            raise ZeroDivisionError("send")
        await super().send(message)

    async def close(self, reason: EndReason) -> None:
        if self.where == "close":
            raise ZeroDivisionError("close")
        await super().close(reason)


@pytest.mark.parametrize("where", ["receive", "send", "close"])
async def test_a_fault_of_the_transport_comes_out_of_the_block_and_leaves_nothing(
    where: str, autojump_clock: MockClock
) -> None:
    providers, transport = SimulatedProviders(), Broken(where)
    async with open_orchestrator(providers=providers.for_calls()) as orchestrator:
        with pytest.raises(ZeroDivisionError, match=where):
            async with orchestrator.conversation(transport, turn_mode=TurnMode.MANUAL) as conversation:
                if where != "receive":
                    await take_turn(transport, "hello")
                if where == "close":
                    conversation.end()
                await trio.sleep_forever()
        assert providers.in_use() == 0
        async with orchestrator.conversation(MemoryTransport()) as unharmed:
            await until(unharmed, StateChanged)


@pytest.mark.parametrize("beside", [False, True], ids=["in the block", "in a task beside it"])
@pytest.mark.parametrize("where", ["receive", "send", "close"])
async def test_a_host_that_waits_for_the_outcome_gets_the_transports_fault_alone(
    where: str, beside: bool, autojump_clock: MockClock
) -> None:
    transport = Broken(where)
    async with open_orchestrator(providers=SimulatedProviders().for_calls()) as orchestrator:
        with pytest.raises(ZeroDivisionError, match=where):
            async with orchestrator.conversation(transport, turn_mode=TurnMode.MANUAL) as conversation:
                if where != "receive":
                    await take_turn(transport, "hello")
                if where == "close":
                    conversation.end()
                if beside:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(conversation.outcome)
                else:
                    await conversation.outcome()
        with pytest.raises(ConversationLost, match="failed before its end") as lost:
            await conversation.outcome()
        assert isinstance(lost.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize(
    ("returned", "told"),
    [(None, "None"), (b"pcm", "an object of bytes"), (AudioEnds(1, 2.0), "an object of AudioEnds")],
)
async def test_what_no_transport_may_receive_is_told_in_one_sentence(
    returned: Any, told: str, autojump_clock: MockClock
) -> None:
    class Wrong(MemoryTransport):
        async def receive(self) -> Incoming:
            await trio.lowlevel.checkpoint()
            return cast(Incoming, returned)

    async with open_orchestrator(providers=SimulatedProviders().for_calls()) as orchestrator:
        with pytest.raises(TypeError) as caught:
            async with orchestrator.conversation(Wrong()) as conversation:
                await conversation.outcome()
    assert str(caught.value) == (
        f"Wrong.receive() returned {told}, but must return one of AudioIn, TurnStarted, TurnEnded, "
        "Interrupted, KeyPressed, HungUp, or raise TransportClosed"
    )


async def test_a_transport_that_takes_forever_to_close_is_given_up(autojump_clock: MockClock) -> None:
    class Slow(MemoryTransport):
        async def close(self, reason: EndReason) -> None:
            await trio.sleep_forever()

    policy = ConversationPolicy(close_timeout_ms=700)
    async with open_orchestrator(providers=SimulatedProviders().for_calls(), policy=policy) as orchestrator:
        async with orchestrator.conversation(Slow()) as conversation:
            await until(conversation, StateChanged)
        assert (await conversation.outcome()).duration_ms == pytest.approx(700)


@pytest.mark.parametrize("after_s", [0, 0.1, 1, 2.5])
async def test_a_host_that_is_cancelled_leaves_nothing(after_s: float, autojump_clock: MockClock) -> None:
    providers, transport = SimulatedProviders(), MemoryTransport()
    with trio.move_on_after(after_s):
        async with (
            open_orchestrator(providers=providers.for_calls()) as orchestrator,
            orchestrator.conversation(transport, turn_mode=TurnMode.MANUAL),
        ):
            await take_turn(transport, "hello")
            await trio.sleep_forever()
    assert providers.in_use() == 0


@pytest.mark.parametrize("how", ["left", "raised"])
async def test_conversations_held_by_other_tasks_end_with_the_orchestrator(
    how: str, autojump_clock: MockClock
) -> None:
    providers, transport = SimulatedProviders(), MemoryTransport()
    ended: list[str] = []

    async def hold(orchestrator: Orchestrator) -> None:
        async with orchestrator.conversation(transport) as conversation:
            try:
                ended.append((await conversation.outcome()).reason.value)
            except ConversationLost:
                ended.append("lost")

    async with trio.open_nursery() as nursery:
        try:
            async with open_orchestrator(providers=providers.for_calls()) as orchestrator:
                nursery.start_soon(hold, orchestrator)
                await trio.sleep(1)
                if how == "raised":
                    raise KeyError
        except KeyError:
            pass
        assert providers.in_use() == 0
    assert ended == ["shutdown" if how == "left" else "lost"]
    with pytest.raises(RuntimeError, match="closed"):
        async with orchestrator.conversation(MemoryTransport()):
            pass


async def test_there_is_room_again_when_a_conversation_is_over(autojump_clock: MockClock) -> None:
    settings = Settings(max_sessions=2)
    async with (
        open_orchestrator(settings, providers=SimulatedProviders().for_calls()) as orchestrator,
        orchestrator.conversation(MemoryTransport()),
    ):
        async with orchestrator.conversation(MemoryTransport()):
            with pytest.raises(OrchestratorBusy, match="2 conversations are running"):
                async with orchestrator.conversation(MemoryTransport()):
                    pass
        async with orchestrator.conversation(MemoryTransport()) as third:
            await until(third, StateChanged)


async def test_providers_in_a_block_of_their_own_are_opened_and_closed(autojump_clock: MockClock) -> None:
    life: list[str] = []

    @asynccontextmanager
    async def providers() -> AsyncIterator[Providers]:
        life.append("opened")
        yield SimulatedProviders().for_calls()
        life.append("closed")

    async with open_orchestrator(providers=providers()) as orchestrator:
        await orchestrator.until_usable()
        assert life == ["opened"]
    assert life == ["opened", "closed"]


async def test_a_conversation_without_a_usable_provider_ends_and_says_why(autojump_clock: MockClock) -> None:
    stt = SimulatedSpeechToText(openings=script(then=Opening(fault=Breaks())))
    async with open_orchestrator(providers=SimulatedProviders(stt).for_calls()) as orchestrator:
        with trio.move_on_after(60) as waiting:
            await orchestrator.until_usable()
        assert waiting.cancelled_caught
        async with orchestrator.conversation(MemoryTransport()) as conversation:
            assert (await conversation.outcome()).reason is EndReason.PROVIDER_UNAVAILABLE
