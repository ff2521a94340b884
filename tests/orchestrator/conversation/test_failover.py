"""Two providers for a role, in virtual time: what a caller hears when the first fails, and the way back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest
import trio
from trio.testing import MockClock

from machines import effects as do
from machines.effects import ClientError, LinkNews
from machines.facts import EndReason, ErrorClass, Role, TurnMode
from machines.history import Speaker
from machines.policy import ConversationPolicy
from orchestrator.providers.provider_health import ProviderWatch
from orchestrator.simulation import (
    Answer,
    Fails,
    Fault,
    Opening,
    SimulatedCall,
    SimulatedLanguageModel,
    SimulatedProviders,
    SimulatedSpeechToText,
    SimulatedTextToSpeech,
    Stalls,
    Synthesis,
    Transcription,
    failed_checks,
    script,
    simulated_call,
)

ROLES = ("stt", "llm", "tts")
REFUSED = Opening(fault=Fails(ErrorClass.AUTH))
DEAD = Opening(fault=Fails(ErrorClass.CONNECTION))


def second_of(role: str, first: Opening) -> SimulatedProviders:
    """Two providers of a role, of which the first opens like this, always."""
    plan = script(then=first)
    return SimulatedProviders(
        SimulatedSpeechToText(openings=plan if role == "stt" else None),
        SimulatedLanguageModel(checks=plan if role == "llm" else None),
        SimulatedTextToSpeech(openings=plan if role == "tts" else None),
        second_stt=SimulatedSpeechToText(),
        second_llm=SimulatedLanguageModel(),
        second_tts=SimulatedTextToSpeech(),
    )


def news(call: SimulatedCall) -> list[tuple[Role, LinkNews, int]]:
    """What was told of links."""
    return [(told.role, told.news, told.provider) for told in call.caller.notified_of(do.NotifyLink)]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "first", [REFUSED, DEAD, Opening(fault=Stalls())], ids=["refused", "dead", "stt_silent"]
)
async def test_a_provider_that_cannot_be_reached_is_left_for_the_next(
    role: str, first: Opening, autojump_clock: MockClock
) -> None:
    async with simulated_call(second_of(role, first)) as call:
        await call.take_turn("hello")
        await call.answered()
        assert call.caller.answers() == ["You said hello. That was all."]
        assert call.caller.client_errors() == []
        assert news(call) == [(Role(role), LinkNews.TRYING, 1), (Role(role), LinkNews.UP, 1)]
    assert failed_checks(call) == []


@pytest.mark.parametrize(
    "fault", [Fails(), Fails(ErrorClass.FATAL), Stalls()], ids=["fails", "fatal", "stalls"]
)
async def test_a_voice_that_breaks_off_is_followed_by_another_in_the_same_answer(
    fault: Fault, autojump_clock: MockClock
) -> None:
    text = "one two three four five six seven eight nine ten"
    providers = SimulatedProviders(
        llm=SimulatedLanguageModel(script(then=Answer(text))),
        tts=SimulatedTextToSpeech(script(then=Synthesis(fault=fault, after=12))),
        second_tts=SimulatedTextToSpeech(),
    )
    async with simulated_call(providers) as call:
        await call.take_turn("hello")
        await call.answered()
        [playback] = call.caller.playbacks
        assert playback.ended_with_ms
        assert len(text) * 60 <= playback.ended_with_ms <= len(text) * 60 + 700, (
            "a word or two are said twice"
        )
        assert call.caller.answers() == [text]
        await call.take_turn("thanks")
        await call.answered(2)
        assert call.providers.llm.requests[1][2].text == text, "all of it was heard"
    assert failed_checks(call) == []


async def test_a_model_that_breaks_off_is_followed_by_another_in_the_same_answer(
    autojump_clock: MockClock,
) -> None:
    providers = SimulatedProviders(
        llm=SimulatedLanguageModel(
            script(then=Answer("Well, I think so. But then it", fault=Fails(), after=5))
        ),
        second_llm=SimulatedLanguageModel(script(then=Answer("Well, I think so. And it is true."))),
    )
    async with simulated_call(providers) as call:
        await call.take_turn("hello")
        await call.answered()
        assert call.caller.answers() == ["Well, I think so. But And it is true."], "nothing is said twice"
        assert providers.second_llm is not None
        [asked] = providers.second_llm.requests
        assert (asked[-1].speaker, asked[-1].text) == (Speaker.ASSISTANT, "Well, I think so. But")
    assert failed_checks(call) == []


async def test_a_silent_model_is_followed_by_another_within_its_deadline(autojump_clock: MockClock) -> None:
    providers = SimulatedProviders(
        llm=SimulatedLanguageModel(script(then=Answer(fault=Stalls()))),
        second_llm=SimulatedLanguageModel(),
    )
    async with simulated_call(providers) as call:
        await call.take_turn("hello")
        began = trio.current_time()
        await call.reaches("speaking")
        assert trio.current_time() - began == pytest.approx(5, abs=0.1)
        await call.answered()
        assert call.caller.answers() == ["You said hello. That was all."]
    assert failed_checks(call) == []


@pytest.mark.parametrize("after_ms", [100, 900, 1500, 2100, 3000])
@pytest.mark.parametrize("mode", TurnMode)
async def test_what_was_said_to_a_dead_ear_is_heard_by_the_next(
    mode: TurnMode, after_ms: float, autojump_clock: MockClock
) -> None:
    providers = SimulatedProviders(
        SimulatedSpeechToText(
            openings=script(Opening(dies=Fails(ErrorClass.CONNECTION), after_ms=after_ms), then=DEAD)
        ),
        second_stt=SimulatedSpeechToText(),
    )
    words = "one two three four five six seven eight"
    async with simulated_call(providers) as call:
        await call.start_recording(mode)
        await call.say(words)
        await (call.stop_recording() if mode is TurnMode.MANUAL else call.keep_quiet(1000))
        await call.answered()
        assert call.caller.understood() == [words]
    assert failed_checks(call) == []


async def test_a_mute_ear_is_left_and_the_next_hears_what_it_was_told(autojump_clock: MockClock) -> None:
    """Open, but neither interim nor final words ever come: half the wait, then the other provider."""
    providers = SimulatedProviders(
        SimulatedSpeechToText(script(then=Transcription(fault=Stalls())), interim=False),
        second_stt=SimulatedSpeechToText(),
    )
    async with simulated_call(providers) as call:
        await call.take_turn("how is the weather")
        began = trio.current_time()
        await call.reaches("generating")
        assert trio.current_time() - began < 2.5
        assert call.caller.understood() == ["how is the weather"]
    assert failed_checks(call) == []


async def test_words_that_never_come_are_asked_for_once_more(autojump_clock: MockClock) -> None:
    providers = SimulatedProviders(
        SimulatedSpeechToText(script(then=Transcription(fault=Stalls())), interim=False)
    )
    policy = ConversationPolicy()
    async with simulated_call(providers, policy=policy) as call:
        await call.take_turn("how is the weather")
        began = trio.current_time()
        await call.reaches("speaking")
        assert trio.current_time() - began <= policy.final_transcript_timeout_ms / 1000 + 0.1
        await call.answered()
        assert call.caller.answers() == [policy.fallback.unheard]
        assert call.caller.client_errors() == [ClientError.TRANSCRIPTION_FAILED]
        assert call.providers.llm.requests == []
    assert failed_checks(call) == []


@pytest.mark.parametrize("role", ["stt", "llm"])
async def test_when_no_provider_is_left_the_caller_is_told_before_the_call_ends(
    role: str, autojump_clock: MockClock
) -> None:
    gone = script(Opening(dies=Fails(ErrorClass.AUTH), after_ms=3000), then=REFUSED)
    providers = SimulatedProviders(
        SimulatedSpeechToText(openings=gone if role == "stt" else None),
        SimulatedLanguageModel(script(then=Answer(fault=Fails(ErrorClass.AUTH)))),
        second_llm=SimulatedLanguageModel(checks=script(then=REFUSED)) if role == "llm" else None,
        second_stt=SimulatedSpeechToText(openings=script(then=REFUSED)) if role == "stt" else None,
    )
    async with simulated_call(providers) as call:
        if role == "llm":
            await call.take_turn("hello")
        await call.over.wait()
        assert call.caller.answers()[-1] == ConversationPolicy().fallback.third
        assert call.caller.playbacks[-1].ended_with_ms
        assert ClientError(f"{role}_unavailable") in call.caller.client_errors()
    assert call.caller.closed_for == [EndReason.PROVIDER_UNAVAILABLE]
    assert failed_checks(call) == []


# --- what the process knows --------------------------------------------------------------------------------


@asynccontextmanager
async def watched(providers: SimulatedProviders) -> AsyncIterator[ProviderWatch]:
    """A process with these providers."""
    watch = ProviderWatch(providers.for_calls(), Random(0))
    async with trio.open_nursery() as nursery:
        await nursery.start(watch.run)
        yield watch
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("role", ROLES)
async def test_a_call_goes_back_to_a_provider_that_is_well_again(
    role: str, autojump_clock: MockClock
) -> None:
    """One attempt fails, so the call begins with the second; a probe finds the first well again."""
    providers = second_of(role, Opening())
    async with (
        watched(providers) as watch,
        simulated_call(failing_once(providers, role), watch=watch) as call,
    ):
        await call.reaches("quiet")
        await trio.sleep(5)
        assert news(call)[-2:] == [(Role(role), LinkNews.TRYING, 0), (Role(role), LinkNews.UP, 0)]
        await call.take_turn("hello")
        await call.answered()
        assert call.caller.answers() == ["You said hello. That was all."]
    assert failed_checks(call) == []


async def test_a_call_does_not_go_back_in_the_middle_of_an_answer(autojump_clock: MockClock) -> None:
    providers = second_of("tts", Opening())
    providers.llm.answers_with(Answer("one two three four five six seven eight nine ten " * 4))
    async with (
        watched(providers) as watch,
        simulated_call(failing_once(providers, "tts"), watch=watch) as call,
    ):
        await call.take_turn("hello")
        await call.reaches("speaking")
        await trio.sleep(5)
        assert call.state == "speaking"
        assert news(call)[-1] == (Role.TTS, LinkNews.UP, 1)
        await call.answered()
        await call.reaches("quiet")
        await call.until(lambda: news(call)[-1] == (Role.TTS, LinkNews.UP, 0))
        assert len(call.caller.playbacks) == 1
    assert failed_checks(call) == []


@pytest.mark.parametrize("role", ROLES)
async def test_a_provider_known_to_be_down_is_not_tried_by_new_calls(
    role: str, autojump_clock: MockClock
) -> None:
    providers = second_of(role, REFUSED)
    async with watched(providers) as watch:
        for _ in range(3):
            async with simulated_call(providers, watch=watch) as call:
                await call.take_turn("hello")
                await call.answered()
                assert call.caller.answers() == ["You said hello. That was all."]
                assert news(call) == [], "the second one is taken at once"
            assert failed_checks(call) == []


async def test_where_nothing_works_a_new_call_is_told_at_once(autojump_clock: MockClock) -> None:
    providers = SimulatedProviders(tts=SimulatedTextToSpeech(openings=script(then=REFUSED)))
    async with watched(providers) as watch:
        began = trio.current_time()
        async with simulated_call(providers, watch=watch) as call:
            await call.over.wait()
        assert trio.current_time() - began < 0.1
    assert call.caller.client_errors() == [ClientError.TTS_UNAVAILABLE]
    assert call.caller.closed_for == [EndReason.PROVIDER_UNAVAILABLE]


def failing_once(providers: SimulatedProviders, role: str) -> SimulatedProviders:
    """The same providers; the next opening of the role's first one fails."""
    match role:
        case "stt":
            providers.stt.opens_with(DEAD)
        case "llm":
            providers.llm.opens_with(DEAD)
        case "tts":
            providers.tts.opens_with(DEAD)
    return providers
