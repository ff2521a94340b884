"""The inbox and the deadlines: one order for everything that happens."""

from __future__ import annotations

import math

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock, wait_all_tasks_blocked

from machines.facts import (
    DeadlinePassed,
    EndReason,
    Fact,
    HungUp,
    InterruptRequested,
    LinkDeadlinePassed,
    Role,
    SpeechStarted,
    SpeechStopped,
)
from orchestrator.clock import now_ms
from orchestrator.conversation.armed_deadlines import ArmedDeadlines
from orchestrator.conversation.conversation import _next_fact
from orchestrator.conversation.inbox import Inbox


async def test_facts_come_out_in_the_order_they_went_in_stamped_with_their_time(
    autojump_clock: MockClock,
) -> None:
    inbox = Inbox()
    inbox.put(SpeechStarted())
    await trio.sleep(1)
    inbox.put(SpeechStopped(900))
    inbox.put(InterruptRequested())
    taken = [await inbox.take(math.inf) for _ in range(3)]
    assert [fact.name for fact in taken] == ["speech_started", "speech_stopped", "interrupt_requested"]
    assert [fact.at_ms for fact in taken] == pytest.approx([now_ms() - 1000, now_ms(), now_ms()])


async def test_taking_waits_for_a_fact(autojump_clock: MockClock) -> None:
    inbox = Inbox()
    taken: list[Fact] = []

    async def take() -> None:
        taken.append(await inbox.take(math.inf))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        await wait_all_tasks_blocked()
        assert taken == []
        inbox.put(SpeechStarted())
    assert [fact.name for fact in taken] == ["speech_started"]


async def test_a_delivery_is_over_when_the_fact_was_handled_not_when_it_was_taken() -> None:
    inbox = Inbox()
    delivered = trio.Event()

    async def deliver() -> None:
        await inbox.deliver(HungUp(EndReason.IDLE))
        delivered.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(deliver)
        await inbox.take(math.inf)
        await wait_all_tasks_blocked()
        assert not delivered.is_set()
        nursery.start_soon(inbox.take, math.inf)
        await delivered.wait()
        nursery.cancel_scope.cancel()


async def test_closing_releases_everybody_who_waits_and_everybody_who_comes_later() -> None:
    inbox = Inbox()
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(inbox.deliver, SpeechStarted())
        await wait_all_tasks_blocked()
        await inbox.take(math.inf)
        inbox.close()
    await inbox.deliver(SpeechStarted())
    inbox.put(SpeechStarted())
    with trio.move_on_after(0) as waiting:
        await inbox.take(math.inf)
    assert waiting.cancelled_caught


def test_without_deadlines_there_is_nothing_to_wait_for() -> None:
    assert ArmedDeadlines(lambda: 0.5).next_at() == math.inf
    assert ArmedDeadlines(lambda: 0.5).take_passed() is None


async def test_deadlines_pass_in_their_order_whoever_owns_them(autojump_clock: MockClock) -> None:
    deadlines, inbox, began = ArmedDeadlines(lambda: 0.5), Inbox(), now_ms()
    deadlines.arm(None, 1, 300)
    deadlines.arm(Role.STT, 4, 100)
    deadlines.arm(Role.TTS, 9, 200)
    passed = [await _next_fact(inbox, deadlines) for _ in range(3)]
    assert [evolve(fact, at_ms=0) for fact in passed] == [
        LinkDeadlinePassed(Role.STT, 4),
        LinkDeadlinePassed(Role.TTS, 9),
        DeadlinePassed(1),
    ]
    assert [fact.at_ms - began for fact in passed] == pytest.approx([100, 200, 300])


async def test_arming_replaces_and_disarming_forgets(autojump_clock: MockClock) -> None:
    deadlines, inbox = ArmedDeadlines(lambda: 0.5), Inbox()
    deadlines.arm(None, 1, 100)
    deadlines.arm(None, 2, 500)
    deadlines.arm(Role.LLM, 3, 200)
    deadlines.disarm(Role.LLM)
    deadlines.disarm(Role.STT)
    assert evolve(await _next_fact(inbox, deadlines), at_ms=0) == DeadlinePassed(2)
    assert deadlines.next_at() == math.inf


async def test_what_happened_before_a_deadline_is_handled_before_it(autojump_clock: MockClock) -> None:
    """Also when the conversation comes to look at both only later."""
    deadlines, inbox = ArmedDeadlines(lambda: 0.5), Inbox()
    deadlines.arm(None, 1, 100)
    await trio.sleep(0.05)
    inbox.put(SpeechStarted())
    await trio.sleep(0.1)
    inbox.put(SpeechStopped(10))
    handled = [(await _next_fact(inbox, deadlines)).name for _ in range(3)]
    assert handled == ["speech_started", "deadline_passed", "speech_stopped"]


async def test_a_fact_wakes_a_conversation_that_waits_for_a_deadline(autojump_clock: MockClock) -> None:
    deadlines, inbox = ArmedDeadlines(lambda: 0.5), Inbox()
    deadlines.arm(None, 1, 1000)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def speak() -> None:
            await trio.sleep(0.4)
            inbox.put(SpeechStarted())

        assert (await _next_fact(inbox, deadlines)).name == "speech_started"
        assert (await _next_fact(inbox, deadlines)).name == "deadline_passed"
