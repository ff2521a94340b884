"""Providers that fail, stall, break and lie, in virtual time: the call goes on, or ends with a reason."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from machines import effects as do
from machines.effects import ClientError
from machines.facts import EndReason, ErrorClass, TurnMode
from machines.history import Speaker
from machines.policy import ConversationPolicy, FallbackTexts, LinkPolicy
from orchestrator.simulation import (
    Answer,
    Breaks,
    Delay,
    Ends,
    Fails,
    Fault,
    Opening,
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

pytestmark = pytest.mark.slow

TEXTS = FallbackTexts("First try.", "Second try.", "Good bye.")
POLICY = ConversationPolicy(fallback=TEXTS)


def brain(*answers: Answer, then: Answer | None = None) -> SimulatedProviders:
    return SimulatedProviders(llm=SimulatedLanguageModel(script(*answers, then=then or Answer())))


def voice(*speaking: Synthesis) -> SimulatedProviders:
    return SimulatedProviders(tts=SimulatedTextToSpeech(script(*speaking, then=Synthesis())))


def stt_that_gives(*transcriptions: Transcription) -> SimulatedProviders:
    return SimulatedProviders(SimulatedSpeechToText(script(*transcriptions, then=Transcription())))


# --- the language model -----------------------------------------------------------------------------------


@pytest.mark.parametrize("failures", [1, 2, 3])
async def test_a_model_that_fails_is_asked_again(failures: int, autojump_clock: MockClock) -> None:
    async with simulated_call(brain(*[Answer(fault=Fails())] * failures)) as call:
        await call.take_turn("hello")
        await call.answered()
        assert len(call.providers.llm.requests) == failures + 1
        assert call.caller.answers() == ["You said hello. That was all."]
        assert call.caller.client_errors() == []
    assert failed_checks(call) == []


@pytest.mark.parametrize("fault", [Fails(ErrorClass.AUTH), Fails(ErrorClass.FATAL)])
async def test_a_model_that_will_fail_again_is_not_asked_again(
    fault: Fault, autojump_clock: MockClock
) -> None:
    async with simulated_call(brain(Answer(fault=fault)), policy=POLICY) as call:
        await call.take_turn("hello")
        await call.answered()
        assert len(call.providers.llm.requests) == 1
        assert call.caller.answers() == ["First try."]
        assert call.caller.client_errors() == [ClientError.MODEL_FAILED]
    assert failed_checks(call) == []


async def test_a_model_that_keeps_failing_is_covered_for_twice_and_the_third_time_is_goodbye(
    autojump_clock: MockClock,
) -> None:
    async with simulated_call(brain(then=Answer(fault=Fails())), policy=POLICY) as call:
        for number in (1, 2, 3):
            await call.take_turn("hello")
            await call.answered(number)
        await call.over.wait()
        assert call.caller.answers() == ["First try.", "Second try.", "Good bye."]
        assert call.caller.playbacks[-1].heard_ms(1e12) == pytest.approx(9 * 60)
    assert call.caller.closed_for == [EndReason.MODEL_KEPT_FAILING]
    assert failed_checks(call) == []


async def test_one_good_answer_starts_the_count_again(autojump_clock: MockClock) -> None:
    failing, good = Answer(fault=Fails(ErrorClass.FATAL)), Answer("Fine.")
    async with simulated_call(brain(failing, failing, good, failing), policy=POLICY) as call:
        for number in (1, 2, 3, 4):
            await call.take_turn("hello")
            await call.answered(number)
        assert call.caller.answers() == ["First try.", "Second try.", "Fine.", "First try."]
    assert failed_checks(call) == []


@pytest.mark.parametrize("fault", [Stalls(), Ends(), Breaks()], ids=["stalls", "gives nothing", "breaks"])
async def test_a_model_without_an_answer_is_covered_for(fault: Fault, autojump_clock: MockClock) -> None:
    async with simulated_call(brain(*[Answer(fault=fault)] * 4), policy=POLICY) as call:
        await call.take_turn("hello")
        await call.answered()
        assert call.caller.answers() == ["First try."]
        assert call.caller.client_errors()
        await call.take_turn("how is the weather")
    assert failed_checks(call) == []


@pytest.mark.parametrize("fault", [Fails(), Stalls(), Breaks(KeyError)], ids=["fails", "stalls", "breaks"])
async def test_a_model_that_breaks_off_continues_its_answer(fault: Fault, autojump_clock: MockClock) -> None:
    broken = Answer("Well, one moment. And then it", fault=fault, after=3)
    async with simulated_call(brain(broken, Answer("Here we are."))) as call:
        await call.take_turn("hello")
        await call.answered()
        assert call.caller.answers()[0] == "Well, one moment. Here we are."
        assert call.caller.client_errors() == []
        asked = [(message.speaker, message.text) for message in call.providers.llm.requests[1][1:]]
        assert asked == [(Speaker.USER, "hello"), (Speaker.ASSISTANT, "Well, one moment.")]
        await call.take_turn("thanks")
        await call.answered(2)
    assert failed_checks(call) == []


@pytest.mark.parametrize("fault", [Fails(), Stalls(), Breaks(KeyError)], ids=["fails", "stalls", "breaks"])
async def test_what_a_model_said_is_all_there_is_when_it_breaks_off_again_and_again(
    fault: Fault, autojump_clock: MockClock
) -> None:
    broken = Answer("Well, one moment. And then it", fault=fault, after=3)
    async with simulated_call(brain(*[broken] * 4)) as call:
        await call.take_turn("hello")
        await call.answered()
        assert call.caller.answers()[0] == "Well, one moment."
        assert call.caller.client_errors()[0] in (ClientError.MODEL_FAILED, ClientError.MODEL_LATE)
        await call.take_turn("thanks")
        await call.answered(2)
    assert failed_checks(call) == []


async def test_an_answer_of_signs_alone_is_shown_and_nobody_has_failed(autojump_clock: MockClock) -> None:
    async with simulated_call(brain(Answer("... *** ||BREAK|| <b></b>")), policy=POLICY) as call:
        await call.take_turn("hello")
        await call.answered()
        assert call.caller.answers() == ["..."]
        assert call.caller.client_errors() == []
    assert failed_checks(call) == []


# --- the voice --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "speaking",
    [
        Synthesis(fault=Fails()),
        Synthesis(fault=Fails(), after=3),
        Synthesis(fault=Stalls()),
        Synthesis(fault=Stalls(), after=3),
        Synthesis(fault=Breaks()),
        Synthesis(fault=Breaks(), after=3),
        Synthesis(fault=Ends(), after=3),
        Synthesis(ms_per_character=0),
        Synthesis(misnumbered=True),
    ],
    ids=str,
)
async def test_a_voice_that_breaks_off_is_taken_up_again_and_nothing_heard_is_repeated(
    speaking: Synthesis, autojump_clock: MockClock
) -> None:
    async with simulated_call(voice(speaking)) as call:
        await call.take_turn("hello")
        await call.answered()
        assert call.caller.answers() == ["You said hello. That was all."]
        assert call.caller.client_errors() == []
        [playback] = call.caller.playbacks
        # Of the word in which it broke, a part may be said twice.
        whole_ms, word_ms = 60 * len("You said hello. That was all."), 60 * len("hello. ") + 150
        assert playback.ended_with_ms
        assert whole_ms * (speaking.ms_per_character > 0) - word_ms <= playback.ended_with_ms
        assert playback.ended_with_ms <= whole_ms + word_ms
    assert failed_checks(call) == []


@pytest.mark.parametrize(
    "speaking",
    [
        Synthesis(fault=Fails()),
        Synthesis(fault=Fails(ErrorClass.FATAL)),
        Synthesis(fault=Stalls()),
        Synthesis(fault=Breaks()),
        Synthesis(fault=Ends()),
        Synthesis(ms_per_character=0),
        Synthesis(misnumbered=True),
    ],
    ids=str,
)
async def test_a_voice_that_never_goes_on_leaves_the_text_and_the_call(
    speaking: Synthesis, autojump_clock: MockClock
) -> None:
    hopeless = speaking.fault == Fails(ErrorClass.FATAL)
    takes = 2 if hopeless else 1 + ConversationPolicy().voice_retries
    async with simulated_call(voice(*[speaking] * takes)) as call:
        await call.take_turn("hello")
        await call.answered()
        assert call.caller.answers() == ["You said hello. That was all."]
        assert call.caller.client_errors() == [ClientError.VOICE_FAILED]
        await call.reaches("quiet")
        await call.take_turn("one two")
        await call.answered(2)
        assert call.caller.playbacks[-1].ended_with_ms
        history = call.providers.llm.requests[-1][1:]
        if len(history) > 1:
            assert history[1].text != "You said hello. That was all."
    assert failed_checks(call) == []


async def test_a_voice_that_fails_while_a_cough_is_judged_leaves_the_call(autojump_clock: MockClock) -> None:
    failing = Synthesis(fault=Fails(), after=15, between=Delay(100))
    async with simulated_call(voice(failing), policy=ConversationPolicy(barge_in_min_ms=1000)) as call:
        await call.start_recording(TurnMode.AUTOMATIC)
        await call.say("hello")
        await call.keep_quiet(700)
        await call.reaches("speaking")
        await call.keep_quiet(1000)
        await call.say("one two three four")
        await call.answered()
        assert "paused" in [step.target for step in call.steps]
        assert call.caller.client_errors() == []
    assert failed_checks(call) == []


async def test_a_voice_that_fails_during_the_goodbye_does_not_keep_the_call(
    autojump_clock: MockClock,
) -> None:
    providers = SimulatedProviders(
        llm=SimulatedLanguageModel(script(then=Answer(fault=Fails(ErrorClass.FATAL)))),
        tts=SimulatedTextToSpeech(script(Synthesis(), Synthesis(), then=Synthesis(fault=Stalls(), after=2))),
    )
    async with simulated_call(providers, policy=POLICY) as call:
        for number in (1, 2, 3):
            await call.take_turn("hello")
            await call.answered(number)
        await call.over.wait()
    assert call.caller.closed_for == [EndReason.MODEL_KEPT_FAILING]
    assert failed_checks(call) == []


# --- speech to text ---------------------------------------------------------------------------------------


async def test_a_transcript_that_never_comes_is_replaced_by_the_interim_one(
    autojump_clock: MockClock,
) -> None:
    async with simulated_call(stt_that_gives(Transcription(fault=Stalls()))) as call:
        await call.take_turn("what is your name")
        await call.answered()
        assert call.caller.understood() == ["what is your name"]
        assert len(call.caller.notified_of(do.Acknowledge)) == 2
    assert failed_checks(call) == []


async def test_a_transcription_that_fails_is_replaced_by_the_interim_one(autojump_clock: MockClock) -> None:
    async with simulated_call(stt_that_gives(Transcription(fault=Fails()))) as call:
        await call.take_turn("what is your name")
        await call.answered()
        assert call.caller.understood() == ["what is your name"]
        assert call.caller.client_errors() == [ClientError.TRANSCRIPTION_FAILED]
    assert failed_checks(call) == []


async def test_a_transcription_that_fails_without_any_words_refuses_the_stop(
    autojump_clock: MockClock,
) -> None:
    async with simulated_call(stt_that_gives(Transcription(fault=Fails()))) as call:
        await call.start_recording()
        await call.keep_quiet(300)
        stop = await call.stop_recording()
        await call.until(lambda: len(call.caller.notified_of(do.Refuse)) == 1)
        [refused] = call.caller.notified_of(do.Refuse)
        assert refused.request == stop
    assert failed_checks(call) == []


async def test_a_transcript_that_comes_twice_is_answered_once(autojump_clock: MockClock) -> None:
    async with simulated_call(stt_that_gives(Transcription(times=3))) as call:
        await call.take_turn("hello")
        await call.answered()
        await trio.sleep(10)
        assert len(call.providers.llm.requests) == 1
    assert failed_checks(call) == []


async def test_a_transcript_that_comes_too_late_is_not_answered_again(autojump_clock: MockClock) -> None:
    async with simulated_call(stt_that_gives(Transcription(Delay(6000), words="something else"))) as call:
        await call.take_turn("hello")
        await call.answered()
        await trio.sleep(10)
        assert call.caller.understood() == ["hello"]
        assert len(call.caller.answers()) == 1
    assert failed_checks(call) == []


async def test_speech_to_text_that_breaks_while_it_decodes_is_opened_again(autojump_clock: MockClock) -> None:
    async with simulated_call(stt_that_gives(Transcription(Delay(50), fault=Breaks()))) as call:
        await call.take_turn("hello")
        await call.answered(1)
        await call.take_turn("one two three")
        await call.answered(2)
        assert call.caller.understood() == ["hello", "one two three"]
        assert len(call.providers.stt.languages) == 2
    assert failed_checks(call) == []


# --- links ------------------------------------------------------------------------------------------------

ROLES = ("stt", "llm", "tts")
LINKS = ConversationPolicy(connect_timeout_ms=8000, link=LinkPolicy(attempt_timeout_ms=2000))


def linked(role: str, *openings: Opening, then: Opening | None = None) -> SimulatedProviders:
    plan = script(*openings, then=then or Opening())
    return SimulatedProviders(
        SimulatedSpeechToText(openings=plan if role == "stt" else None),
        SimulatedLanguageModel(checks=plan if role == "llm" else None),
        SimulatedTextToSpeech(openings=plan if role == "tts" else None),
    )


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "fault", [Fails(ErrorClass.CONNECTION), Stalls(), Breaks()], ids=["fails", "stalls", "breaks"]
)
async def test_a_link_that_fails_at_first_is_tried_again(
    role: str, fault: Fault, autojump_clock: MockClock
) -> None:
    async with simulated_call(linked(role, *[Opening(fault=fault)] * 2), policy=LINKS) as call:
        await call.take_turn("hello")
        await call.answered()
        assert call.caller.answers() == ["You said hello. That was all."]
    assert failed_checks(call) == []


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "fault",
    [Fails(ErrorClass.AUTH), Fails(ErrorClass.CONNECTION), Stalls(), Breaks()],
    ids=["is refused", "fails", "stalls", "breaks"],
)
async def test_a_link_that_never_opens_ends_the_call_and_says_why(
    role: str, fault: Fault, autojump_clock: MockClock
) -> None:
    began = trio.current_time()
    async with simulated_call(linked(role, then=Opening(fault=fault)), policy=LINKS) as call:
        await call.start_recording()
        await call.over.wait()
        assert ClientError(f"{role}_unavailable") in call.caller.client_errors()
        [refused] = call.caller.notified_of(do.Refuse)
        assert refused.request.event_type == "audio.input.start"
    assert trio.current_time() - began < 10, "the shipped client waits no longer"
    assert call.caller.closed_for == [EndReason.PROVIDER_UNAVAILABLE]
    assert failed_checks(call) == []


@pytest.mark.parametrize("role", ["stt", "tts"])
@pytest.mark.parametrize("dies", [Fails(ErrorClass.CONNECTION), Breaks(), Ends()], ids=str)
@pytest.mark.parametrize("after_ms", [10, 500, 1000, 1200, 2000, 6000])
async def test_a_link_that_dies_is_opened_again(
    role: str, dies: Fault, after_ms: float, autojump_clock: MockClock
) -> None:
    async with simulated_call(linked(role, Opening(dies=dies, after_ms=after_ms))) as call:
        await call.take_turn("tell me a joke")
        await trio.sleep(10)
        assert call.state == "quiet"
        await call.take_turn("one two three")
        await call.until(lambda: "one two three" in " ".join(call.caller.understood()))
        await call.reaches("speaking")
        await call.reaches("quiet")
        assert call.caller.playbacks[-1].ended_with_ms
    assert failed_checks(call) == []


@pytest.mark.parametrize("role", ["stt", "tts"])
async def test_a_link_that_cannot_be_opened_again_ends_the_call(role: str, autojump_clock: MockClock) -> None:
    openings = linked(
        role,
        Opening(dies=Fails(ErrorClass.CONNECTION), after_ms=3000),
        then=Opening(fault=Fails(ErrorClass.CONNECTION)),
    )
    async with simulated_call(openings, policy=LINKS) as call:
        await call.over.wait()
    assert call.caller.closed_for == [EndReason.PROVIDER_UNAVAILABLE]
    assert failed_checks(call) == []


async def test_words_said_while_speech_to_text_is_reopened_are_not_lost(autojump_clock: MockClock) -> None:
    openings = linked(
        "stt", Opening(dies=Fails(ErrorClass.CONNECTION), after_ms=100), then=Opening(Delay(1500))
    )
    async with simulated_call(openings) as call:
        await trio.sleep(0.2)
        await call.take_turn("one two three four five six seven eight")
        await call.answered()
        assert call.caller.understood() == ["one two three four five six seven eight"]
    assert failed_checks(call) == []


@pytest.mark.parametrize("role", ROLES)
async def test_an_attempt_that_is_late_takes_nothing_away_from_the_next(
    role: str, autojump_clock: MockClock
) -> None:
    """An opening that blocks a thread cannot be broken off: it ends when the next one is in use already."""
    openings = linked(role, Opening(Delay(3000), uncancellable=True))
    async with simulated_call(openings, policy=LINKS) as call:
        await call.reaches("quiet")
        await trio.sleep(5)
        await call.take_turn("hello")
        await call.answered()
        assert call.caller.understood() == ["hello"]
        assert call.caller.client_errors() == []
        assert call.caller.playbacks[-1].ended_with_ms
    assert failed_checks(call) == []


async def test_requests_are_answered_before_the_shipped_client_gives_up(autojump_clock: MockClock) -> None:
    providers = SimulatedProviders(
        SimulatedSpeechToText(
            script(then=Transcription(fault=Stalls())),
            script(Opening(Delay(9000)), then=Opening(Delay(2400))),
        )
    )
    async with simulated_call(providers) as call:
        await call.start_recording()
        await call.say("hello")
        await call.stop_recording()
        with trio.fail_after(10):
            await call.until(lambda: len(call.caller.notified_of(do.Acknowledge)) == 2)
