"""Whole calls in virtual time: what the host wants said, and that it talks over nobody."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from machines import facts
from machines.facts import SayMode, TurnMode
from orchestrator.simulation import (
    Answer,
    SimulatedCall,
    SimulatedLanguageModel,
    SimulatedProviders,
    failed_checks,
    script,
    simulated_call,
)

STORY = "This is quite a long answer. It has two sentences."


async def asked_for_a_story(call: SimulatedCall) -> None:
    """By voice; the answer is being heard."""
    await call.start_recording(TurnMode.AUTOMATIC)
    await call.say("tell me a joke")
    await call.keep_quiet(700)
    await call.reaches("speaking")
    await call.keep_quiet(500)


def storyteller() -> SimulatedProviders:
    return SimulatedProviders(llm=SimulatedLanguageModel(script(Answer(STORY), then=Answer())))


@pytest.mark.parametrize("mode", list(SayMode))
async def test_to_a_quiet_caller_it_is_said_at_once(mode: SayMode, autojump_clock: MockClock) -> None:
    async with simulated_call() as call:
        await call.start_recording(TurnMode.AUTOMATIC)
        await call.reaches("quiet")
        asked_ms = trio.current_time() * 1000
        await call.inbox.deliver(facts.SayRequested("Your table is ready.", mode))
        await call.answered()
        assert call.caller.answers() == ["Your table is ready."]
        assert call.caller.playbacks[0].begun_at_ms == pytest.approx(asked_ms)
    assert failed_checks(call) == []


@pytest.mark.parametrize("mode", [SayMode.QUEUE, SayMode.WHEN_IDLE])
async def test_during_an_answer_it_waits(mode: SayMode, autojump_clock: MockClock) -> None:
    async with simulated_call(storyteller()) as call:
        await asked_for_a_story(call)
        await call.inbox.deliver(facts.SayRequested("Your table is ready.", mode))
        await call.answered(2)
        assert call.caller.answers() == [STORY, "Your table is ready."]
        assert call.caller.interruptions() == []
    assert failed_checks(call) == []


async def test_unless_it_is_urgent(autojump_clock: MockClock) -> None:
    async with simulated_call(storyteller()) as call:
        await asked_for_a_story(call)
        await call.inbox.deliver(facts.SayRequested("The house is on fire.", SayMode.INTERRUPT))
        await call.answered(2)
        first, second = call.caller.playbacks
        assert second.begun_at_ms == pytest.approx(first.stopped_at_ms)
        [cut] = call.caller.interruptions()
        await call.say("thanks bye")
        await call.keep_quiet(700)
        await call.answered(3)
        assert [message.text for message in call.providers.llm.requests[-1][1:]] == [
            "tell me a joke",
            cut.heard,
            "thanks bye",
        ]
    assert failed_checks(call) == []


@pytest.mark.parametrize("mode", list(SayMode))
async def test_a_caller_who_speaks_is_heard_and_answered_before_it(
    mode: SayMode, autojump_clock: MockClock
) -> None:
    async with simulated_call() as call:
        await call.start_recording(TurnMode.AUTOMATIC)
        await call.say("hello")
        await call.inbox.deliver(facts.SayRequested("Your table is ready.", mode))
        await call.say("how is the weather")
        await call.keep_quiet(700)
        await call.answered(2)
        said = "You said hello how is the weather. That was all."
        assert call.caller.answers() == [said, "Your table is ready."]
    assert failed_checks(call) == []


async def test_what_is_protected_is_heard_whole_and_what_was_said_meanwhile_is_answered(
    autojump_clock: MockClock,
) -> None:
    async with simulated_call() as call:
        await call.start_recording(TurnMode.AUTOMATIC)
        await call.reaches("quiet")
        notice = facts.SayRequested("This call is recorded for training.", interruptible=False)
        await call.inbox.deliver(notice)
        await call.keep_quiet(300)
        await call.say("how is the weather")
        await call.keep_quiet(700)
        await call.answered(2)
        assert call.caller.pauses == []
        assert call.caller.answers() == [notice.text, "You said how is the weather. That was all."]
    assert failed_checks(call) == []
