"""Whole calls in virtual time: an answer that is paused for a false alarm is heard whole, and in order."""

from __future__ import annotations

import numpy as np
import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from adapters.interfaces import Samples
from machines import effects as do
from machines.effects import StopCause
from machines.facts import TurnMode
from machines.history import Message, Speaker
from machines.policy import ConversationPolicy
from orchestrator.sessions.session import LEGACY_PACING
from orchestrator.simulation import (
    Answer,
    Delay,
    SimulatedCall,
    SimulatedCaller,
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
from orchestrator.simulation.caller import SMALL_CHUNKS, Playback

pytestmark = pytest.mark.repeats

SENTENCES = (
    "This is the first sentence of a story.",
    "It goes on for quite a while.",
    "Nobody listens to its end.",
)
LONG = " ".join(SENTENCES)
LONG_MS = sum(Synthesis().duration_ms(each) for each in SENTENCES)
OFFSETS_MS = [*range(0, 320, 20), 777, 1500, 3333, 3600]
DROPS = [False, True]
"""Whether the caller's side drops what it has not played when it is told to pause."""
DISTURBANCES = ["cough", "noise", "yes"]
LARGE_CHUNKS = evolve(LEGACY_PACING, rate=SMALL_CHUNKS.rate)


def storyteller(*, between_ms: float = 5, stt: SimulatedSpeechToText | None = None) -> SimulatedProviders:
    return SimulatedProviders(
        stt=stt or SimulatedSpeechToText(),
        llm=SimulatedLanguageModel(script(Answer(LONG), then=Answer())),
        tts=SimulatedTextToSpeech(script(Synthesis(between=Delay(between_ms)), then=Synthesis())),
    )


async def begin_story(call: SimulatedCall, offset_ms: float) -> None:
    """The caller asks, and has listened for so long."""
    await call.start_recording(TurnMode.AUTOMATIC)
    await call.say("tell me a joke")
    await call.keep_quiet(700)
    await call.reaches("speaking")
    await call.keep_quiet(offset_ms)


async def disturb(call: SimulatedCall, disturbance: str) -> None:
    """A sound that is not an interruption, and then silence until the server knows it."""
    match disturbance:
        case "cough":
            await call.make_noise(150)
        case "noise":
            await call.make_noise(900)
        case words:
            await call.say(words)
    await call.keep_quiet(1000)


def samples_of(playback: Playback) -> Samples:
    """All that was sent and not dropped, in order."""
    return np.concatenate([chunk.samples for chunk in playback.chunks])


def whole(rate: int) -> Samples:
    """The story as it sounds when nobody disturbs it."""
    parts = [
        np.full(round(Synthesis().duration_ms(text) * rate / 1000), (number + 1) * 1000, np.int16)
        for number, text in enumerate(SENTENCES)
    ]
    return np.concatenate(parts)


def silences(call: SimulatedCall) -> list[tuple[float, float]]:
    """From when to when answers were paused."""
    begun: list[float] = []
    found: list[tuple[float, float]] = []
    for step in call.steps:
        for effect in step.effects:
            if isinstance(effect, do.PauseSpeech):
                begun.append(step.fact.at_ms)
            elif isinstance(effect, do.ResumeSpeech | do.StopSpeech) and begun:
                found.append((begun.pop(), step.fact.at_ms))
    return found


def last_answer(call: SimulatedCall) -> Message:
    """The last answer that the model knows of."""
    known = [each for each in call.providers.llm.requests[-1] if each.speaker is Speaker.ASSISTANT]
    return known[-1]


async def thank(call: SimulatedCall) -> None:
    """A further turn, so that the model is told what was heard."""
    answers = len(call.caller.answers())
    await call.say("thanks bye")
    await call.keep_quiet(700)
    await call.answered(answers + 1)


# --- sounds that are not interruptions --------------------------------------------------------------------


async def test_a_story_that_nobody_disturbs_sounds_like_this(autojump_clock: MockClock) -> None:
    async with simulated_call(storyteller()) as call:
        await begin_story(call, 0)
        await call.answered()
        assert np.array_equal(samples_of(call.caller.playbacks[0]), whole(SMALL_CHUNKS.rate))
    assert failed_checks(call) == []


@pytest.mark.grid(offset_ms=OFFSETS_MS, disturbance=DISTURBANCES, drops=DROPS)
async def test_after_a_false_alarm_the_answer_goes_on_at_the_same_sample(
    offset_ms: int, disturbance: str, drops: bool, autojump_clock: MockClock
) -> None:
    async with simulated_call(storyteller(), SimulatedCaller(drops_when_paused=drops)) as call:
        await begin_story(call, offset_ms)
        await disturb(call, disturbance)
        await call.answered()
        [playback] = call.caller.playbacks
        assert np.array_equal(samples_of(playback), whole(playback.rate))
        [(paused_at, resumed_at)] = silences(call)
        assert resumed_at - paused_at < 1000
        assert [chunk for chunk in playback.chunks if paused_at < chunk.at_ms < resumed_at] == []
        assert call.caller.interruptions() == []
        await thank(call)
        assert (last_answer(call).text, last_answer(call).interrupted) == (LONG, False)
    assert failed_checks(call) == []


@pytest.mark.grid(before_end_ms=range(-60, 420, 20), disturbance=["noise", "yes"], drops=DROPS)
async def test_a_false_alarm_at_the_very_end_loses_nothing_either(
    before_end_ms: int, disturbance: str, drops: bool, autojump_clock: MockClock
) -> None:
    """All audio was sent already, and not all of it heard."""
    policy = ConversationPolicy(backchannel_end_ms=0)
    async with simulated_call(storyteller(), SimulatedCaller(drops_when_paused=drops), policy) as call:
        await begin_story(call, LONG_MS - before_end_ms)
        await disturb(call, disturbance)
        await call.answered()
        playback = call.caller.playbacks[0]
        assert np.array_equal(samples_of(playback), whole(playback.rate))
        # A "yes" that is said while the last words sound may be known only when they were heard.
        assert [cut for cut in call.caller.interruptions() if cut.unheard] == []
    assert failed_checks(call) == []


@pytest.mark.grid(offset_ms=[0, 50, 1000, 1100, 1200], disturbance=DISTURBANCES, drops=DROPS)
async def test_it_does_so_with_large_chunks_and_a_pause_before_the_first(
    offset_ms: int, disturbance: str, drops: bool, autojump_clock: MockClock
) -> None:
    caller = SimulatedCaller(pacing=LARGE_CHUNKS, drops_when_paused=drops)
    async with simulated_call(storyteller(), caller) as call:
        await begin_story(call, offset_ms)
        await disturb(call, disturbance)
        await call.answered()
        [playback] = call.caller.playbacks
        assert np.array_equal(samples_of(playback), whole(playback.rate))
    assert failed_checks(call) == []


@pytest.mark.parametrize("drops", DROPS)
@pytest.mark.parametrize("between_ms", [0, 80, 130])
async def test_it_does_so_with_a_voice_that_is_hardly_fast_enough(
    between_ms: int, drops: bool, autojump_clock: MockClock
) -> None:
    providers = storyteller(between_ms=between_ms)
    async with simulated_call(providers, SimulatedCaller(drops_when_paused=drops)) as call:
        await begin_story(call, 1000)
        for _ in range(2):
            await disturb(call, "noise")
        await call.answered()
        [playback] = call.caller.playbacks
        assert np.array_equal(samples_of(playback), whole(playback.rate))
    assert failed_checks(call) == []


@pytest.mark.parametrize("drops", DROPS)
async def test_many_false_alarms_lose_nothing_and_in_the_end_pause_nothing(
    drops: bool, autojump_clock: MockClock
) -> None:
    policy = ConversationPolicy(barge_in_false_alarms=3)
    async with simulated_call(storyteller(), SimulatedCaller(drops_when_paused=drops), policy) as call:
        await begin_story(call, 300)
        for _ in range(6):
            await call.make_noise(150)
            await call.keep_quiet(230)
        await call.answered()
        [playback] = call.caller.playbacks
        assert np.array_equal(samples_of(playback), whole(playback.rate))
        assert len(silences(call)) == 3
    assert failed_checks(call) == []


async def test_noise_that_never_ends_does_not_keep_the_caller_from_the_answer(
    autojump_clock: MockClock,
) -> None:
    async with simulated_call(storyteller()) as call:
        await begin_story(call, 500)
        await call.make_noise(15_000)
        assert call.caller.answers() == [LONG]
        [playback] = call.caller.playbacks
        assert np.array_equal(samples_of(playback), whole(playback.rate))
        paused_ms = sum(until - since for since, until in silences(call))
        assert paused_ms <= ConversationPolicy().barge_in_false_alarms * 2_500
        await call.keep_quiet(1000)
        await thank(call)
        assert last_answer(call).text == LONG
    assert failed_checks(call) == []


async def test_speech_to_text_that_owes_the_words_does_not_keep_the_caller_from_the_answer(
    autojump_clock: MockClock,
) -> None:
    stt = SimulatedSpeechToText(
        script(Transcription(), Transcription(fault=Stalls()), then=Transcription()), interim=False
    )
    async with simulated_call(storyteller(stt=stt)) as call:
        await begin_story(call, 500)
        await call.make_noise(600)
        await call.keep_quiet(2500)
        await call.answered()
        [playback] = call.caller.playbacks
        assert np.array_equal(samples_of(playback), whole(playback.rate))
    assert failed_checks(call) == []


# --- silence ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset_ms", [0, 50, 190, 777, 1500, 3000])
async def test_silence_begins_at_once_whatever_the_voice_over_the_answer_turns_out_to_be(
    offset_ms: int, autojump_clock: MockClock
) -> None:
    async with simulated_call(storyteller(), SimulatedCaller(drops_when_paused=True)) as call:
        await begin_story(call, offset_ms)
        began_ms = trio.current_time() * 1000
        await call.make_noise(2000)
        [(utterance, paused_at)] = call.caller.pauses
        assert utterance == call.caller.playbacks[0].utterance
        # 64 ms of voice are its onset, within windows of 32 ms and blocks of 20 ms.
        assert paused_at - began_ms <= 64 + 32 + 20
        assert all(chunk.at_ms <= paused_at for chunk in call.caller.playbacks[0].chunks)
        assert call.state == "paused"
        await call.keep_quiet(1000)
        await call.answered()
    assert failed_checks(call) == []


async def test_a_caller_whose_side_drops_nothing_hears_the_little_it_has(autojump_clock: MockClock) -> None:
    async with simulated_call(storyteller()) as call:
        await begin_story(call, 1000)
        await call.make_noise(1500)
        [(_, paused_at)] = call.caller.pauses
        [playback] = call.caller.playbacks
        left_ms = playback.heard_ms(paused_at + 1000) - playback.heard_ms(paused_at)
        assert 0 < left_ms <= SMALL_CHUNKS.lead_ms + SMALL_CHUNKS.chunk_ms
    assert failed_checks(call) == []


# --- what is one ------------------------------------------------------------------------------------------


@pytest.mark.grid(offset_ms=OFFSETS_MS, interim=[False, True], drops=DROPS)
async def test_real_words_interrupt_and_history_is_what_was_heard(
    offset_ms: int, interim: bool, drops: bool, autojump_clock: MockClock
) -> None:
    providers = storyteller(stt=SimulatedSpeechToText(interim=interim))
    async with simulated_call(providers, SimulatedCaller(drops_when_paused=drops)) as call:
        await begin_story(call, offset_ms)
        await call.say("please stop")
        await call.keep_quiet(700)
        await call.answered(2)
        playback = call.caller.playbacks[0]
        assert playback.cause is StopCause.INTERRUPTED
        [cut] = call.caller.interruptions()
        assert cut.heard_ms == pytest.approx(playback.heard_ms(playback.stopped_at_ms or 0), abs=0.1)
        assert f"{cut.heard} {cut.unheard}".strip() == LONG
        assert call.caller.understood() == ["tell me a joke", "please stop"]
        # The answer to them is asked for with exactly what was heard.
        asked = [message.text for message in call.providers.llm.requests[-1][1:]]
        assert asked == (
            ["tell me a joke", cut.heard, "please stop"] if cut.heard else ["tell me a joke please stop"]
        )
    assert failed_checks(call) == []


@pytest.mark.grid(after_ms=range(0, 200, 20), offset_ms=[1000, 1020, 1040], drops=DROPS)
async def test_the_button_right_after_the_voice_cuts_where_the_caller_is(
    after_ms: int, offset_ms: int, drops: bool, autojump_clock: MockClock
) -> None:
    async with simulated_call(storyteller(), SimulatedCaller(drops_when_paused=drops)) as call:
        await begin_story(call, offset_ms)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call.make_noise, 600)
            await call.reaches("paused")
            await trio.sleep(after_ms / 1000)
            await call.interrupt()
        [cut] = call.caller.interruptions()
        playback = call.caller.playbacks[0]
        assert cut.heard_ms == pytest.approx(playback.heard_ms(playback.stopped_at_ms or 0), abs=0.1)
    assert failed_checks(call) == []


async def test_words_after_a_cough_interrupt_where_the_caller_is_by_then(autojump_clock: MockClock) -> None:
    async with simulated_call(storyteller(), SimulatedCaller(drops_when_paused=True)) as call:
        await begin_story(call, 1000)
        await call.make_noise(150)
        await call.keep_quiet(800)
        await call.say("please stop")
        await call.keep_quiet(700)
        await call.answered(2)
        playback = call.caller.playbacks[0]
        [cut] = call.caller.interruptions()
        assert cut.heard_ms == pytest.approx(playback.heard_ms(playback.stopped_at_ms or 0), abs=0.1)
        assert np.array_equal(samples_of(playback), whole(playback.rate)[: len(samples_of(playback))])
    assert failed_checks(call) == []


async def test_a_reply_near_the_end_of_a_question_is_answered(autojump_clock: MockClock) -> None:
    async with simulated_call(storyteller()) as call:
        await begin_story(call, LONG_MS - 900)
        await call.say("yes")
        await call.keep_quiet(700)
        await call.answered(2)
        assert call.providers.llm.requests[-1][-1].text == "yes"
        assert len(call.caller.interruptions()) == 1
    assert failed_checks(call) == []


async def test_words_interrupt_through_a_noise_that_is_not_reacted_to_any_more(
    autojump_clock: MockClock,
) -> None:
    policy = ConversationPolicy(barge_in_false_alarms=0)
    async with simulated_call(storyteller(), policy=policy) as call:
        await begin_story(call, 300)
        await call.make_noise(1000)
        assert call.caller.pauses == []
        await call.say("please stop")
        assert call.caller.playbacks[0].cause is StopCause.INTERRUPTED
        await call.keep_quiet(700)
        await call.answered(2)
        assert call.caller.understood()[-1] == "please stop"
    assert failed_checks(call) == []


# --- where voice may not interrupt ------------------------------------------------------------------------


async def test_what_is_said_over_a_protected_greeting_is_answered_after_it(autojump_clock: MockClock) -> None:
    policy = ConversationPolicy(greeting=LONG, barge_in_greeting=False)
    async with simulated_call(policy=policy) as call:
        await call.start_recording(TurnMode.AUTOMATIC)
        await call.reaches("speaking")
        await call.keep_quiet(500)
        await call.say("tell me a joke")
        await call.keep_quiet(700)
        await call.answered(2)
        assert call.caller.pauses == []
        assert call.caller.answers() == [LONG, "You said tell me a joke. That was all."]
    assert failed_checks(call) == []


async def test_what_is_said_while_an_answer_is_prepared_is_answered_after_it(
    autojump_clock: MockClock,
) -> None:
    model = SimulatedLanguageModel(script(Answer("First.", first=Delay(3000)), then=Answer()))
    policy = ConversationPolicy(barge_in_thinking=False, thinking_filler="")
    async with simulated_call(SimulatedProviders(llm=model), policy=policy) as call:
        await call.start_recording(TurnMode.AUTOMATIC)
        await call.say("tell me a joke")
        await call.keep_quiet(700)
        await call.reaches("generating")
        await call.say("the weather please")
        await call.keep_quiet(700)
        await call.answered(2)
        assert call.caller.answers() == ["First.", "You said the weather please. That was all."]
    assert failed_checks(call) == []
