"""Models that think before they speak (A5), in whole calls in virtual time."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs
from trio.testing import MockClock

from machines.policy import ConversationPolicy
from orchestrator.simulation import (
    Answer,
    Fails,
    SimulatedLanguageModel,
    SimulatedProviders,
    failed_checks,
    script,
    simulated_call,
)

FILLER = ConversationPolicy().thinking_filler
ANSWER = "It is noon."


def brain(*answers: Answer) -> SimulatedProviders:
    return SimulatedProviders(llm=SimulatedLanguageModel(script(*answers, then=Answer())))


@pytest.mark.parametrize(
    ("thinks_ms", "heard"),
    [(0, ANSWER), (2500, ANSWER), (3500, f"{FILLER} {ANSWER}"), (7000, f"{FILLER} {ANSWER}")],
)
async def test_a_model_that_thinks_for_long_is_covered_for_and_answers(
    thinks_ms: int, heard: str, autojump_clock: MockClock
) -> None:
    providers = brain(Answer(ANSWER, thinks_ms=thinks_ms))
    with capture_logs() as lines:
        async with simulated_call(providers) as call:
            await call.take_turn("how is the weather")
            await call.answered()
            assert call.caller.answers() == [heard]
            await call.take_turn("thanks")
            await call.answered(2)
            asked = [message.text for message in call.providers.llm.requests[-1][1:]]
            assert asked == ["how is the weather", ANSWER, "thanks"], "nobody remembers the filler"
    assert len(providers.llm.requests) == 2
    assert failed_checks(call) == []
    assert [each for each in lines if each["log_level"] == "warning"] == []


async def test_a_model_that_thinks_for_longer_than_the_budget_is_given_up(autojump_clock: MockClock) -> None:
    providers = brain(Answer(ANSWER, thinks_ms=12_000))
    with capture_logs() as lines:
        async with simulated_call(providers) as call:
            await call.take_turn("how is the weather")
            await call.answered()
            assert call.caller.answers() == [f"{FILLER} {call.policy.fallback.first}"]
    assert failed_checks(call) == []
    [line] = [each for each in lines if each["log_level"] == "warning"]
    assert line["error"] == "the language model gave no words within 10000 ms"


async def test_a_model_that_breaks_off_in_thought_is_asked_anew(autojump_clock: MockClock) -> None:
    providers = brain(Answer(thinks_ms=4000, fault=Fails()), Answer(ANSWER))
    async with simulated_call(providers) as call:
        await call.take_turn("how is the weather")
        await call.answered()
        assert call.caller.answers() == [f"{FILLER} {ANSWER}"]
    assert failed_checks(call) == []
