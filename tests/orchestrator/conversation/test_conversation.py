"""Whole conversations in virtual time: turns by hand and by voice, and what a caller is told of them."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from machines import effects as do
from machines.facts import EndReason, TurnMode
from machines.history import Speaker
from machines.policy import ConversationPolicy
from orchestrator.simulation import (
    Answer,
    Delay,
    Opening,
    SimulatedCaller,
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


async def test_a_turn_by_hand_is_understood_and_answered(autojump_clock: MockClock) -> None:
    async with simulated_call() as call:
        await call.take_turn("hello how is the weather")
        await call.answered()
        assert call.caller.understood() == ["hello how is the weather"]
        assert call.caller.answers() == ["You said hello how is the weather. That was all."]
        assert call.caller.states() == ["LISTENING", "THINKING", "RESPONDING", "LISTENING"]
        [playback] = call.caller.playbacks
        assert playback.sent_ms() == pytest.approx(
            60 * len("You said hello how is the weather.That was all.")
        )
    assert failed_checks(call) == []
    assert call.caller.closed_for == [EndReason.CALLER_HUNG_UP]


async def test_a_turn_by_voice_ends_after_the_endpoint_delay(autojump_clock: MockClock) -> None:
    async with simulated_call(policy=ConversationPolicy(endpoint_delay_ms=500)) as call:
        await call.start_recording(TurnMode.AUTOMATIC)
        await call.say("tell me a joke")
        spoken_at = trio.current_time()
        await call.keep_quiet(1000)
        await call.reaches("generating", "speaking")
        assert call.caller.understood() == ["tell me a joke"]
        [ended] = [step for step in call.steps if step.fact.name == "deadline_passed"]
        # The gate waits for 96 ms of silence, in windows of 32 ms, before the delay begins.
        assert 500 <= ended.fact.at_ms - spoken_at * 1000 <= 500 + 96 + 2 * 32
        await call.answered()
    assert failed_checks(call) == []


async def test_a_pause_within_a_turn_does_not_end_it(autojump_clock: MockClock) -> None:
    async with simulated_call() as call:
        await call.start_recording(TurnMode.AUTOMATIC)
        await call.say("what is")
        await call.keep_quiet(400)
        await call.say("your name")
        await call.keep_quiet(1000)
        await call.answered()
        assert call.caller.understood() == ["what is your name"]
    assert failed_checks(call) == []


async def test_what_is_said_while_the_transcript_is_awaited_is_joined(autojump_clock: MockClock) -> None:
    stt = SimulatedSpeechToText(script(Transcription(Delay(900)), then=Transcription()))
    async with simulated_call(SimulatedProviders(stt)) as call:
        await call.start_recording(TurnMode.AUTOMATIC)
        await call.say("hello")
        await call.keep_quiet(700)
        assert call.state == "finalizing"
        await call.say("what is your name")
        await call.keep_quiet(1500)
        await call.answered()
        [messages] = call.providers.llm.requests
        assert messages[-1].text == "hello what is your name"
    assert failed_checks(call) == []


async def test_going_on_before_anything_was_said_voids_the_answer_and_joins_the_words(
    autojump_clock: MockClock,
) -> None:
    llm = SimulatedLanguageModel(script(Answer("Too late.", first=Delay(5000)), then=Answer()))
    async with simulated_call(SimulatedProviders(llm=llm)) as call:
        await call.start_recording(TurnMode.AUTOMATIC)
        await call.say("tell me")
        await call.keep_quiet(800)
        assert call.state == "generating"
        await call.say("a joke")
        await call.keep_quiet(800)
        await call.answered()
        assert [messages[-1].text for messages in llm.requests] == ["tell me", "tell me a joke"]
        assert call.caller.answers() == ["You said tell me a joke. That was all."]
    assert failed_checks(call) == []


async def test_the_model_is_told_what_was_said_before(autojump_clock: MockClock) -> None:
    async with simulated_call(policy=ConversationPolicy(system_prompt="Be brief.")) as call:
        await call.take_turn("hello")
        await call.answered(1)
        await call.take_turn("what is your name")
        await call.answered(2)
        assert [(message.speaker, message.text) for message in call.providers.llm.requests[1]] == [
            (Speaker.SYSTEM, "Be brief."),
            (Speaker.USER, "hello"),
            (Speaker.ASSISTANT, "You said hello. That was all."),
            (Speaker.USER, "what is your name"),
        ]
    assert failed_checks(call) == []


async def test_a_turn_without_words_is_acknowledged_and_not_answered(autojump_clock: MockClock) -> None:
    async with simulated_call() as call:
        await call.start_recording()
        await call.keep_quiet(500)
        await call.stop_recording()
        await call.until(lambda: len(call.caller.notified_of(do.Acknowledge)) == 2)
        assert call.state == "quiet"
        assert call.providers.llm.requests == []
    assert failed_checks(call) == []


async def test_interim_transcripts_come_word_by_word(autojump_clock: MockClock) -> None:
    async with simulated_call() as call:
        await call.take_turn("one two three")
        await call.answered()
        interims = [
            effect.text for effect in call.caller.notified_of(do.NotifyTranscript) if not effect.is_final
        ]
        assert interims == ["one", "one two", "one two three"]


async def test_audio_that_comes_before_anybody_listens_is_kept(autojump_clock: MockClock) -> None:
    stt = SimulatedSpeechToText(openings=script(then=Opening(Delay(2000))))
    async with simulated_call(SimulatedProviders(stt)) as call:
        await call.take_turn("hello how is the weather")
        assert call.state == "connecting"
        await call.answered()
        assert call.caller.understood() == ["hello how is the weather"]
    assert failed_checks(call) == []


@pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 44_100, 48_000])
async def test_the_caller_is_understood_at_every_rate(rate: int, autojump_clock: MockClock) -> None:
    async with simulated_call() as call:
        await call.start_recording()
        await call.say("what is your name", rate)
        await call.stop_recording()
        await call.answered()
        assert call.caller.understood() == ["what is your name"]


async def test_the_rate_may_change_between_recordings(autojump_clock: MockClock) -> None:
    async with simulated_call() as call:
        for number, rate in enumerate((16_000, 48_000, 8000, 16_000), start=1):
            await call.start_recording()
            await call.say("one two three four", rate)
            await call.stop_recording()
            await call.answered(number)
        assert call.caller.understood() == ["one two three four"] * 4
    assert failed_checks(call) == []


async def test_a_speaking_caller_who_stops_sending_has_stopped_speaking(autojump_clock: MockClock) -> None:
    async with simulated_call() as call:
        await call.start_recording(TurnMode.AUTOMATIC)
        await call.say("tell me a joke")  # and then the microphone is switched off
        await call.answered()
        assert call.caller.understood() == ["tell me a joke"]
    assert failed_checks(call) == []


async def test_the_voice_that_the_caller_chose_is_used(autojump_clock: MockClock) -> None:
    async with simulated_call(caller=SimulatedCaller(voice_id="ada")) as call:
        await call.take_turn("hello")
        await call.answered()
        assert call.providers.tts.voices == ["ada"]


async def test_latency_is_told_stage_by_stage(autojump_clock: MockClock) -> None:
    providers = SimulatedProviders(
        SimulatedSpeechToText(script(then=Transcription(Delay(80)))),
        SimulatedLanguageModel(script(then=Answer("Fine.", first=Delay(250)))),
        SimulatedTextToSpeech(script(then=Synthesis(first=Delay(70)))),
    )
    async with simulated_call(providers) as call:
        await call.take_turn("hello")
        await call.answered()
        [ended] = call.caller.notified_of(do.NotifyAnswerEnded)
        assert ended.latency.transcript_ms == pytest.approx(80)
        assert ended.latency.first_segment_ms == pytest.approx(250)
        assert ended.latency.first_audio_ms == pytest.approx(70)


async def test_a_turn_that_never_ends_is_taken_as_it_is(autojump_clock: MockClock) -> None:
    async with simulated_call(policy=ConversationPolicy(max_turn_ms=2000)) as call:
        await call.start_recording(TurnMode.AUTOMATIC)
        await call.say("one two three four five six seven eight")
        await call.answered()
        assert call.caller.understood()[0].startswith("one two three four five")
    assert failed_checks(call) == []


async def test_many_turns_leave_a_bounded_history(autojump_clock: MockClock) -> None:
    async with simulated_call(policy=ConversationPolicy(max_history=6)) as call:
        for number in range(1, 8):
            await call.take_turn("yes")
            await call.answered(number)
        # The system prompt, the history, and the caller's words.
        assert [len(messages) for messages in call.providers.llm.requests] == [2, 4, 6, 8, 8, 8, 8]
    assert failed_checks(call) == []


async def test_a_sentence_is_said_while_the_model_pauses_after_it(autojump_clock: MockClock) -> None:
    llm = SimulatedLanguageModel(script(then=Answer("It is noon. Then we close.", between=Delay(2000))))
    # In a language without rules of its own, only the next word would say that the sentence is over.
    caller = SimulatedCaller(language="eu-ES")
    policy = ConversationPolicy(thinking_filler="")
    async with simulated_call(SimulatedProviders(llm=llm), caller, policy) as call:
        await call.take_turn("how is the weather")
        await call.reaches("generating")
        began_at = trio.current_time()
        await call.reaches("speaking")
        assert 4 <= trio.current_time() - began_at < 5
        await call.answered()
        assert call.caller.answers() == ["It is noon. Then we close."]
    assert failed_checks(call) == []
