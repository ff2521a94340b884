"""Where voice does not interrupt answers: what is said meanwhile is answered afterwards, in virtual time."""

from __future__ import annotations

from trio.testing import MockClock

from machines import effects as do
from machines.facts import TurnMode
from machines.policy import ConversationPolicy
from orchestrator.simulation import (
    Answer,
    SimulatedLanguageModel,
    SimulatedProviders,
    SimulatedSpeechToText,
    Stalls,
    Transcription,
    failed_checks,
    script,
    simulated_call,
)

POLICY = ConversationPolicy(barge_in=False)
LONG = Answer("one two three four five six seven eight nine ten " * 3)
"""Nine seconds of speech."""


def talkative() -> SimulatedProviders:
    """The first answer is long."""
    return SimulatedProviders(llm=SimulatedLanguageModel(script(LONG, then=Answer())))


async def test_voice_over_an_answer_is_answered_afterwards(autojump_clock: MockClock) -> None:
    async with simulated_call(talkative(), policy=POLICY) as call:
        await call.start_recording(TurnMode.AUTOMATIC)
        await call.say("tell me a joke")
        await call.keep_quiet(700)
        await call.reaches("speaking")
        await call.say("how is the weather")
        await call.keep_quiet(700)
        assert call.state == "speaking", "the answer goes on"
        await call.answered(2)
        assert [playback.cause for playback in call.caller.playbacks] == [None, None]
        assert call.caller.answers()[1] == "You said how is the weather. That was all."
    assert failed_checks(call) == []


async def test_voice_that_goes_on_beyond_the_answer_is_one_turn(autojump_clock: MockClock) -> None:
    providers = SimulatedProviders(llm=SimulatedLanguageModel(script(Answer("Well, yes."), then=Answer())))
    async with simulated_call(providers, policy=POLICY) as call:
        await call.start_recording(TurnMode.AUTOMATIC)
        await call.say("hello")
        await call.keep_quiet(700)
        await call.reaches("speaking")
        await call.say("one two three four five six")
        await call.keep_quiet(1500)
        await call.answered(2)
        assert call.caller.understood()[1:] == ["one two three four five six"]
        assert call.caller.answers()[1] == "You said one two three four five six. That was all."
    assert failed_checks(call) == []


async def test_recordings_made_meanwhile_wait_in_their_order(autojump_clock: MockClock) -> None:
    async with simulated_call(talkative(), policy=POLICY) as call:
        await call.take_turn("hello")
        await call.reaches("speaking")
        for words in ("one", "two", "three"):
            await call.take_turn(words)
        assert call.state == "speaking"
        await call.answered(4)
        assert call.caller.answers()[1:] == [
            f"You said {words}. That was all." for words in ("one", "two", "three")
        ]
        assert len(call.caller.notified_of(do.Acknowledge)) == 8
    assert failed_checks(call) == []


async def test_no_turn_is_rejected_and_at_the_limit_the_oldest_are_joined(autojump_clock: MockClock) -> None:
    """Reference defect 5: a queue of ten whose eleventh was rejected, and only logged."""
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "stop", "wait"]
    providers = SimulatedProviders(
        llm=SimulatedLanguageModel(script(Answer("one two three four " * 30), then=Answer("Fine.")))
    )
    async with simulated_call(providers, policy=POLICY) as call:
        await call.take_turn("hello")
        await call.reaches("speaking")
        for word in words:
            await call.take_turn(word)
        await call.answered(11)
        asked = [messages[-1].text for messages in call.providers.llm.requests]
        assert asked == ["hello", "one two three", *words[3:]]
        assert call.caller.notified_of(do.Refuse) == []
    assert failed_checks(call) == []


async def test_words_of_a_waiting_turn_that_never_come_are_asked_for_again(autojump_clock: MockClock) -> None:
    providers = talkative()
    providers = SimulatedProviders(
        SimulatedSpeechToText(script(Transcription(), then=Transcription(fault=Stalls())), interim=False),
        providers.llm,
    )
    async with simulated_call(providers, policy=POLICY) as call:
        await call.take_turn("hello")
        await call.reaches("speaking")
        await call.take_turn("how is the weather")
        await call.answered(2)
        assert call.caller.answers()[1] == POLICY.fallback.unheard
    assert failed_checks(call) == []


async def test_a_caller_who_asks_for_silence_gets_it_and_what_waits_is_answered(
    autojump_clock: MockClock,
) -> None:
    async with simulated_call(talkative(), policy=POLICY) as call:
        await call.take_turn("hello")
        await call.reaches("speaking")
        await call.take_turn("how is the weather")
        await call.interrupt()
        await call.answered(2)
        assert call.caller.playbacks[0].cause is do.StopCause.INTERRUPTED
        assert call.caller.answers()[1] == "You said how is the weather. That was all."
    assert failed_checks(call) == []
