"""Whole calls in virtual time: the model is asked before the turn is over, and nobody hears of it."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from machines import effects as do
from machines.facts import TurnMode
from machines.history import Speaker
from machines.policy import ConversationPolicy
from orchestrator.simulation import (
    Answer,
    Delay,
    SimulatedCall,
    SimulatedLanguageModel,
    SimulatedProviders,
    SimulatedSpeechToText,
    TurnDetection,
    failed_checks,
    script,
    simulated_call,
)
from tests.orchestrator.conversation.response_times import time_to_answer_ms

DETECTION = TurnDetection(eager_ms=300, sure_ms=800)


def eager(model_ms: float = 0) -> SimulatedProviders:
    """Speech to text that decides about turns, and a model that needs so long for its first word."""
    return SimulatedProviders(
        SimulatedSpeechToText(detection=DETECTION),
        SimulatedLanguageModel(script(then=Answer(first=Delay(model_ms)))),
    )


@pytest.mark.parametrize(("model_ms", "saved_ms"), [(0, 0), (200, 200), (500, 500), (900, 500)])
async def test_asking_early_saves_the_models_time_up_to_the_end_of_the_turn(
    model_ms: float, saved_ms: float, autojump_clock: MockClock
) -> None:
    took: dict[int, float] = {}
    for speculations in (0, 1):
        policy = ConversationPolicy(speculations=speculations)
        async with simulated_call(eager(model_ms), policy=policy) as call:
            took[speculations] = await time_to_answer_ms(call)
            assert call.caller.answers() == ["You said tell me a joke. That was all."]
            assert len(call.providers.llm.requests) == 1
        assert failed_checks(call) == []
    # Windows of 32 ms and blocks of 20 ms.
    assert took[0] - took[1] == pytest.approx(saved_ms, abs=52)


async def test_the_answer_that_was_asked_for_early_becomes_history_like_any_other(
    autojump_clock: MockClock,
) -> None:
    async with simulated_call(eager(400), policy=ConversationPolicy(speculations=1)) as call:
        await time_to_answer_ms(call)
        await call.say("thanks bye")
        await call.keep_quiet(1500)
        await call.answered(2)
        assert [(each.speaker, each.text) for each in call.providers.llm.requests[-1][1:]] == [
            (Speaker.USER, "tell me a joke"),
            (Speaker.ASSISTANT, "You said tell me a joke. That was all."),
            (Speaker.USER, "thanks bye"),
        ]
    assert failed_checks(call) == []


@pytest.mark.parametrize("model_ms", [0, 100, 1000])
@pytest.mark.parametrize("speculations", [1, 2])
async def test_a_caller_who_goes_on_costs_one_request_and_hears_nothing_of_it(
    speculations: int, model_ms: float, autojump_clock: MockClock
) -> None:
    policy = ConversationPolicy(speculations=speculations)
    async with simulated_call(eager(model_ms), policy=policy) as call:
        await call.start_recording(TurnMode.AUTOMATIC)
        await call.say("tell me")
        await call.keep_quiet(500)
        await call.say("a joke")
        await call.keep_quiet(1500)
        await call.answered()
        assert [request[-1].text for request in call.providers.llm.requests] == ["tell me", "tell me a joke"]
        assert call.caller.answers() == ["You said tell me a joke. That was all."]
        assert len(call.caller.notified_of(do.NotifyAnswerStarted)) == 1
        assert call.providers.llm.running == 0
    assert failed_checks(call) == []


@pytest.mark.parametrize("speculations", [0, 1, 2])
async def test_a_caller_who_hesitates_often_costs_no_more_requests_than_allowed(
    speculations: int, autojump_clock: MockClock
) -> None:
    policy = ConversationPolicy(speculations=speculations)
    async with simulated_call(eager(100), policy=policy) as call:
        await call.start_recording(TurnMode.AUTOMATIC)
        for word in ["one", "two", "three", "four", "five"]:
            await call.say(word)
            await call.keep_quiet(500)
        await call.keep_quiet(1500)
        await call.answered()
        assert len(call.providers.llm.requests) <= speculations + 1
        assert call.providers.llm.requests[-1][-1].text == "one two three four five"
        assert call.caller.understood() == ["one two three four five"]
    assert failed_checks(call) == []


async def test_real_words_interrupt_where_speech_to_text_ends_turns_too(autojump_clock: MockClock) -> None:
    async with simulated_call(eager(100), policy=ConversationPolicy(speculations=1)) as call:
        await time_to_first_sound(call)
        await call.say("please stop")
        await call.keep_quiet(1500)
        await call.answered(2)
        [cut] = call.caller.interruptions()
        playback = call.caller.playbacks[0]
        assert cut.heard_ms == pytest.approx(playback.heard_ms(playback.stopped_at_ms or 0), abs=0.1)
        assert call.caller.understood() == ["tell me a joke", "please stop"]
    assert failed_checks(call) == []


@pytest.mark.parametrize("disturbance_ms", [150, 900])
async def test_a_false_alarm_costs_nothing_where_speech_to_text_ends_turns(
    disturbance_ms: float, autojump_clock: MockClock
) -> None:
    async with simulated_call(eager(100), policy=ConversationPolicy(speculations=1)) as call:
        await time_to_first_sound(call)
        await call.make_noise(disturbance_ms)
        await call.keep_quiet(1500)
        await call.answered()
        assert call.caller.interruptions() == []
        assert len(call.caller.pauses) == 1
        assert len(call.providers.llm.requests) == 1
    assert failed_checks(call) == []


async def time_to_first_sound(call: SimulatedCall) -> None:
    """A turn, until its answer is being heard."""
    await call.start_recording(TurnMode.AUTOMATIC)
    await call.say("tell me a joke")
    await call.keep_quiet(900)
    await call.reaches("speaking")
    await call.keep_quiet(300)
