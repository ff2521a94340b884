"""Whole calls in virtual time: the model is asked in the caller's pause, with any speech to text."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from machines import effects as do
from machines.facts import TurnMode
from machines.history import Speaker
from machines.policy import ConversationPolicy
from orchestrator import MemoryTransport, Settings, open_orchestrator
from orchestrator.conversation.speculation_counts import ASKED, PREPARED, USED, speculation_counts
from orchestrator.simulation import (
    Answer,
    Delay,
    Fails,
    SimulatedCall,
    SimulatedLanguageModel,
    SimulatedProviders,
    SimulatedSpeechToText,
    SimulatedTextToSpeech,
    Synthesis,
    Transcription,
    failed_checks,
    script,
    simulated_call,
)
from orchestrator.simulation.speech import silence, spoken
from tests.orchestrator.conversation.response_times import time_to_answer_ms

RATE = 16_000

TRANSCRIPT_MS, VOICE_MS = 50, 80
EARLY = ConversationPolicy(speculations=1)
SPOKEN_EARLY = ConversationPolicy(speculations=1, speculative_speech=True)


def providers(model_ms: float = 0, *answers: Answer, words: str | None = None) -> SimulatedProviders:
    """Vendors that need a while, and a speech to text that leaves the end of turns to us."""
    return SimulatedProviders(
        SimulatedSpeechToText(script(then=Transcription(delay=Delay(TRANSCRIPT_MS), words=words))),
        SimulatedLanguageModel(script(*answers, then=Answer(first=Delay(model_ms)))),
        SimulatedTextToSpeech(script(then=Synthesis(first=Delay(VOICE_MS)))),
    )


def counts(call: SimulatedCall) -> dict[str, int]:
    """What speculative answers cost the call."""
    return {
        name: sum(speculation_counts(step)[name] for step in call.steps) for name in (ASKED, USED, PREPARED)
    }


@pytest.mark.parametrize(("model_ms", "saved_ms"), [(0, 0), (200, 200), (500, 500), (900, 550)])
async def test_it_saves_the_models_time_up_to_the_final_words(
    model_ms: float, saved_ms: float, autojump_clock: MockClock
) -> None:
    took: dict[int, float] = {}
    for speculations in (0, 1):
        policy = ConversationPolicy(speculations=speculations)
        async with simulated_call(providers(model_ms), policy=policy) as call:
            took[speculations] = await time_to_answer_ms(call)
            assert call.caller.answers() == ["You said tell me a joke. That was all."]
            assert len(call.providers.llm.requests) == 1
            assert counts(call) == {ASKED: speculations, USED: speculations, PREPARED: 0}
        assert failed_checks(call) == []
    # Windows of 32 ms and blocks of 20 ms.
    assert took[0] - took[1] == pytest.approx(saved_ms, abs=52)


@pytest.mark.parametrize(("model_ms", "saved_ms"), [(0, VOICE_MS), (200, 200 + VOICE_MS), (900, 550)])
async def test_with_speech_in_advance_it_saves_the_time_of_the_voice_too(
    model_ms: float, saved_ms: float, autojump_clock: MockClock
) -> None:
    took: list[float] = []
    for policy in (ConversationPolicy(), SPOKEN_EARLY):
        async with simulated_call(providers(model_ms), policy=policy) as call:
            took.append(await time_to_answer_ms(call))
            assert call.caller.answers() == ["You said tell me a joke. That was all."]
        assert failed_checks(call) == []
    assert took[0] - took[1] == pytest.approx(saved_ms, abs=52)


@pytest.mark.parametrize("policy", [EARLY, SPOKEN_EARLY])
async def test_it_becomes_history_like_any_other(
    policy: ConversationPolicy, autojump_clock: MockClock
) -> None:
    async with simulated_call(providers(300), policy=policy) as call:
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
@pytest.mark.parametrize("policy", [EARLY, SPOKEN_EARLY])
@pytest.mark.parametrize("pause_ms", [250, 560])
async def test_a_caller_who_goes_on_hears_nothing_of_it(
    pause_ms: float, policy: ConversationPolicy, model_ms: float, autojump_clock: MockClock
) -> None:
    """In the endpoint delay, and while the final words are awaited."""
    async with simulated_call(providers(model_ms), policy=policy) as call:
        await call.start_recording(TurnMode.AUTOMATIC)
        await call.say("hello thanks")
        await call.keep_quiet(pause_ms)
        await call.say("one two")
        await call.keep_quiet(2500)
        await call.answered()
        asked = [request[-1].text for request in call.providers.llm.requests]
        assert asked[0] == "hello thanks"
        assert asked[-1] == "hello thanks one two"
        assert call.caller.answers() == ["You said hello thanks one two. That was all."]
        assert len(call.caller.playbacks) == 1
        assert len(call.caller.notified_of(do.NotifyAnswerStarted)) == 1
        assert call.providers.llm.running == call.providers.tts.running == 0
    assert failed_checks(call) == []


@pytest.mark.parametrize("policy", [EARLY, SPOKEN_EARLY])
async def test_other_final_words_are_answered_instead(
    policy: ConversationPolicy, autojump_clock: MockClock
) -> None:
    async with simulated_call(providers(100, words="tell me a yolk"), policy=policy) as call:
        await time_to_answer_ms(call)
        asked = [request[-1].text for request in call.providers.llm.requests]
        assert asked == ["tell me a joke", "tell me a yolk"]
        assert call.caller.answers() == ["You said tell me a yolk. That was all."]
        assert len(call.caller.playbacks) == 1
        assert counts(call)[ASKED] == 1
        assert counts(call)[USED] == 0
    assert failed_checks(call) == []


@pytest.mark.parametrize("speculations", [0, 1, 2])
async def test_a_caller_who_hesitates_often_costs_no_more_requests_than_allowed(
    speculations: int, autojump_clock: MockClock
) -> None:
    policy = ConversationPolicy(speculations=speculations, speculative_speech=True)
    async with simulated_call(providers(100), policy=policy) as call:
        await call.start_recording(TurnMode.AUTOMATIC)
        for word in ["one", "two", "three", "four", "five"]:
            await call.say(word)
            await call.keep_quiet(300)
        await call.keep_quiet(1500)
        await call.answered()
        assert len(call.providers.llm.requests) == speculations + 1
        assert call.providers.llm.requests[-1][-1].text == "one two three four five"
        assert call.caller.understood() == ["one two three four five"]
    assert failed_checks(call) == []


async def test_a_voice_that_fails_in_advance_is_asked_again_and_the_answer_is_whole(
    autojump_clock: MockClock,
) -> None:
    breaks = Synthesis(first=Delay(VOICE_MS), fault=Fails(), after=1)
    those = providers(100)
    those = SimulatedProviders(
        those.stt, those.llm, SimulatedTextToSpeech(script(breaks, then=Synthesis(first=Delay(VOICE_MS))))
    )
    async with simulated_call(those, policy=SPOKEN_EARLY) as call:
        await time_to_answer_ms(call)
        assert call.caller.answers() == ["You said tell me a joke. That was all."]
    assert failed_checks(call) == []


async def test_a_model_that_fails_in_advance_is_asked_again_in_time(autojump_clock: MockClock) -> None:
    async with simulated_call(providers(100, Answer(fault=Fails())), policy=SPOKEN_EARLY) as call:
        await time_to_answer_ms(call)
        assert len(call.providers.llm.requests) == 2
        assert call.caller.answers() == ["You said tell me a joke. That was all."]
    assert failed_checks(call) == []


async def test_words_interrupt_it_right_after_it_was_adopted(autojump_clock: MockClock) -> None:
    async with simulated_call(providers(100), policy=SPOKEN_EARLY) as call:
        await call.start_recording(TurnMode.AUTOMATIC)
        await call.say("tell me a joke")
        await call.keep_quiet(680)
        await call.reaches("speaking")
        await call.say("please stop")
        await call.keep_quiet(1500)
        await call.answered(2)
        [cut] = call.caller.interruptions()
        playback = call.caller.playbacks[0]
        assert cut.heard_ms == pytest.approx(playback.heard_ms(playback.stopped_at_ms or 0), abs=0.1)
        assert call.caller.understood() == ["tell me a joke", "please stop"]
    assert failed_checks(call) == []


async def test_who_hangs_up_meanwhile_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    async with simulated_call(providers(0), policy=SPOKEN_EARLY) as call:
        await call.start_recording(TurnMode.AUTOMATIC)
        await call.say("tell me a joke")
        await call.keep_quiet(300)
        assert call.state == "speculating"
        assert counts(call)[PREPARED] == 1
    assert call.caller.playbacks == []
    assert failed_checks(call) == []


async def test_hosts_are_told_what_it_cost(autojump_clock: MockClock) -> None:
    settings = Settings(llm_anticipations=2, tts_anticipation=True, turn_mode=TurnMode.AUTOMATIC)
    transport = MemoryTransport()
    async with (
        open_orchestrator(settings, providers=providers(100).for_calls()) as orchestrator,
        orchestrator.conversation(transport) as conversation,
    ):
        for said in (
            spoken("hello thanks", RATE),
            silence(300),
            spoken("tell me a joke", RATE),
            silence(900),
        ):
            for at in range(0, len(said), RATE // 50):
                await transport.push(said[at : at + RATE // 50], RATE)
                await trio.sleep(0.02)
        await transport.hang_up()
        outcome = await conversation.outcome()
    assert outcome.speculative_answers == 2, "the caller went on after the first"
    assert outcome.speculative_answers_used == 1


async def test_in_manual_turns_there_is_none(autojump_clock: MockClock) -> None:
    async with simulated_call(providers(100), policy=SPOKEN_EARLY) as call:
        await call.start_recording()
        await call.say("tell me a joke")
        await call.keep_quiet(400)
        await call.stop_recording()
        await call.answered()
        assert counts(call)[ASKED] == 0
    assert failed_checks(call) == []
