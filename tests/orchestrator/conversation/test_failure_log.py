"""The log has one warning for each failure that a caller waited for, with what it cost, and no other."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from random import Random
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from machines.facts import EndReason, ErrorClass, ProviderFailure, Role
from machines.policy import ConversationPolicy, LinkPolicy
from orchestrator.providers.provider_health import ProviderWatch
from orchestrator.simulation import (
    Answer,
    Ends,
    Fails,
    Opening,
    SimulatedLanguageModel,
    SimulatedProviders,
    SimulatedSpeechToText,
    SimulatedTextToSpeech,
    Stalls,
    Synthesis,
    Transcription,
    script,
    simulated_call,
)

Line = MutableMapping[str, Any]
LONG = "Well, this is a rather long beginning of an answer, which takes some time to say. And then it"
NAMES = {
    "stt": "simulated speech to text",
    "llm": "simulated language model",
    "tts": "simulated text to speech",
}
BROKEN = Answer(LONG, fault=Fails(), after=18)


@pytest.fixture
def lines() -> Iterator[list[Line]]:
    with capture_logs() as lines:
        yield lines


def warnings(lines: list[Line]) -> list[tuple[str, str, int]]:
    """Role, reason and cost of each failure that somebody waited for."""
    loud = [each for each in lines if each["log_level"] in ("warning", "error", "critical")]
    assert all(each["provider"] == NAMES[each["role"]] for each in loud), loud
    return [(each["role"], each["error"], each["waited_ms"]) for each in loud]


def brain(*answers: Answer) -> SimulatedProviders:
    return SimulatedProviders(llm=SimulatedLanguageModel(script(*answers, then=Answer())))


def stt(*transcriptions: Transcription, interim: bool = True) -> SimulatedProviders:
    plan = script(*transcriptions, then=Transcription())
    return SimulatedProviders(SimulatedSpeechToText(plan, interim=interim))


def voice(*speaking: Synthesis) -> SimulatedProviders:
    return SimulatedProviders(tts=SimulatedTextToSpeech(script(*speaking, then=Synthesis())))


LLM_LATE = "the language model did not begin to answer within 5000 ms"
LLM_STALLED = "the language model did not go on within 5000 ms"
TTS_LATE = "the voice did not go on in time"
STT_LATE = "no transcript came in time"
FAILED = "simulated failure"


@pytest.mark.parametrize(
    ("providers", "waited_for"),
    [
        (brain(), []),
        (brain(Answer(fault=Fails())), [("llm", FAILED, 0)]),
        (brain(Answer(fault=Fails(ErrorClass.FATAL))), [("llm", FAILED, 0)]),
        (brain(*[Answer(fault=Fails())] * 4), [("llm", FAILED, 0)] * 4),
        (brain(Answer(fault=Stalls())), [("llm", LLM_LATE, 5000)]),
        (brain(Answer(fault=Stalls()), Answer(fault=Stalls())), [("llm", LLM_LATE, 5000)] * 2),
        (brain(*[Answer(fault=Ends())] * 4), [("llm", "the language model gave an empty answer", 0)]),
        (stt(Transcription(fault=Stalls())), [("stt", STT_LATE, 4000)]),
        (stt(Transcription(fault=Stalls()), interim=False), [("stt", STT_LATE, 2000)]),
        (stt(*[Transcription(fault=Stalls())] * 2, interim=False), [("stt", STT_LATE, 2000)] * 2),
        (stt(Transcription(fault=Fails())), [("stt", FAILED, 0)]),
        (voice(Synthesis(fault=Fails())), [("tts", FAILED, 0)]),
        (voice(Synthesis(fault=Stalls())), [("tts", TTS_LATE, 5000)]),
        (voice(*[Synthesis(fault=Stalls())] * 4), [("tts", TTS_LATE, 5000)] * 4),
        # The link is opened anew at once, after 100 ms and after 200 ms.
        (voice(*[Synthesis(fault=Fails())] * 4), [("tts", FAILED, cost) for cost in (0, 0, 100, 200)]),
    ],
)
async def test_a_failure_that_a_turn_waited_for_is_one_warning_with_its_cost(
    providers: SimulatedProviders,
    waited_for: list[tuple[str, str, int]],
    lines: list[Line],
    autojump_clock: MockClock,
) -> None:
    async with simulated_call(providers) as call:
        await call.take_turn("hello")
        await call.answered()
    assert warnings(lines) == waited_for


async def test_a_model_that_stalls_twice_in_mid_answer_is_two_warnings_with_the_silence(
    lines: list[Line], autojump_clock: MockClock
) -> None:
    begun = Answer("Yes. And then it", fault=Stalls(), after=2)
    async with simulated_call(brain(begun, Answer(fault=Stalls()))) as call:
        await call.take_turn("hello")
        await call.answered()
    [first, second] = warnings(lines)
    assert first[:2] == ("llm", LLM_STALLED)
    assert 4000 < first[2] < 5000, "all but what 'Yes.' takes to say"
    assert second == ("llm", LLM_LATE, 5000)


async def test_nobody_waits_for_a_model_that_breaks_off_and_goes_on_while_enough_is_left_to_hear(
    lines: list[Line], autojump_clock: MockClock
) -> None:
    async with simulated_call(brain(BROKEN)) as call:
        await call.take_turn("hello")
        await call.answered()
    assert warnings(lines) == []


async def test_an_answer_that_is_given_up_is_a_warning_even_if_there_was_enough_to_hear(
    lines: list[Line], autojump_clock: MockClock
) -> None:
    async with simulated_call(brain(Answer(LONG, fault=Fails(ErrorClass.FATAL), after=18))) as call:
        await call.take_turn("hello")
        await call.answered()
    assert [each[:2] for each in warnings(lines)] == [("llm", FAILED)]


async def test_a_link_that_is_lost_while_nobody_needs_it_is_no_warning(
    lines: list[Line], autojump_clock: MockClock
) -> None:
    dying = Opening(dies=Fails(), after_ms=1000)
    stt = SimulatedSpeechToText(script(then=Transcription()), script(dying, then=Opening()))
    async with simulated_call(SimulatedProviders(stt)) as call:
        await trio.sleep(5)
        await call.take_turn("hello")
        await call.answered()
    assert warnings(lines) == []


async def test_attempts_to_open_a_link_are_waited_for_by_whoever_calls(
    lines: list[Line], autojump_clock: MockClock
) -> None:
    openings = script(Opening(fault=Fails()), Opening(fault=Stalls()), then=Opening())
    stt = SimulatedSpeechToText(script(then=Transcription()), openings)
    policy = ConversationPolicy(link=LinkPolicy(attempt_timeout_ms=1500))
    async with simulated_call(SimulatedProviders(stt), policy=policy) as call:
        await call.take_turn("hello")
        await call.answered()
    assert warnings(lines) == [("stt", FAILED, 0), ("stt", "no connection in time", 1500)]


async def test_a_call_that_cannot_go_on_is_one_warning_for_each_attempt(
    lines: list[Line], autojump_clock: MockClock
) -> None:
    stt = SimulatedSpeechToText(script(then=Transcription()), script(then=Opening(fault=Fails())))
    policy = ConversationPolicy(link=LinkPolicy(retry_delays_ms=(100,), budget_ms=200))
    async with simulated_call(SimulatedProviders(stt), policy=policy) as call:
        await call.over.wait()
    assert call.caller.closed_for == [EndReason.PROVIDER_UNAVAILABLE]
    assert warnings(lines) == [("stt", FAILED, 0)] * 2


async def test_a_caller_who_finds_no_provider_that_works_is_a_warning(
    lines: list[Line], autojump_clock: MockClock
) -> None:
    providers = SimulatedProviders(
        SimulatedSpeechToText(
            script(then=Transcription()), script(then=Opening(fault=Fails(ErrorClass.AUTH)))
        )
    )
    async with trio.open_nursery() as nursery:
        watch = ProviderWatch(providers.for_calls(), Random(0))
        await nursery.start(watch.run)
        lines.clear()
        async with simulated_call(providers, watch=watch) as call:
            await call.over.wait()
        nursery.cancel_scope.cancel()
    assert warnings(lines) == [("stt", "no provider of stt works", 0)]


async def test_a_probe_is_a_warning_at_the_start_and_none_afterwards(
    lines: list[Line], autojump_clock: MockClock
) -> None:
    """Whoever starts the server waits for the first."""
    providers = SimulatedProviders(
        SimulatedSpeechToText(script(then=Transcription()), script(then=Opening(fault=Fails())))
    )
    async with trio.open_nursery() as nursery:
        watch = ProviderWatch(providers.for_calls(), Random(0))
        await nursery.start(watch.run)
        await trio.sleep(300)
        watch.failed(Role.LLM, 0, ProviderFailure(ErrorClass.CONNECTION, "gone"))
        nursery.cancel_scope.cancel()
    probes = [each["log_level"] for each in lines if each["event"] == "probe failed"]
    assert probes[0] == "warning"
    assert len(probes) > 2
    assert set(probes[1:]) == {"info"}
