"""R01 to R07: the caller interrupts, and the answer goes on, or something that was heard is lost."""

from __future__ import annotations

from itertools import permutations

import pytest
import trio
from trio.testing import MockClock

from adapters.simulators import Script
from adapters.simulators.script import Answer as ScriptedAnswer
from machines import effects as do
from machines import facts
from machines.declarations import Outcome
from machines.effects import StopCause
from machines.facts import Fact, InterruptRequested, SpeechStarted
from machines.history import Speaker
from machines.policy import ConversationPolicy
from machines.system import Charts
from orchestrator.simulation import (
    Answer,
    Delay,
    SimulatedLanguageModel,
    SimulatedProviders,
    SimulatedTextToSpeech,
    Stalls,
    Synthesis,
    failed_checks,
    script,
    simulated_call,
)
from tests.faults.vendors import Vendors
from tests.machines.calls import AUTOMATIC, Call, effects_of
from tests.peer_regressions.scenes import (
    INSTANT,
    SEGMENTS,
    STORY,
    Act,
    ask,
    ask_by_voice,
    heard_words,
    history,
    press_record,
    press_stop,
    remembered,
    speak_up,
    storyteller,
    word_ends,
)
from tests.reference_defects.vendor_calls import MODEL, vendor_call

pytestmark = pytest.mark.repeats

WAYS = [(ask, press_stop), (ask, press_record), (ask_by_voice, speak_up)]
WAY_NAMES = ["stop", "record", "voice"]


# --- R01 --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ask_first", "cut_in"), WAYS, ids=WAY_NAMES)
async def test_r01_no_audio_of_an_answer_follows_its_interruption_whenever_it_comes(
    ask_first: Act, cut_in: Act, autojump_clock: MockClock
) -> None:
    """Pipecat: a caller who interrupted before the first audio still heard the old answer."""
    states, first_audio_ms = set(), 0.0
    for offset_ms in range(0, 400, 10):
        slow = storyteller(Answer(STORY, first=Delay(150)), Synthesis(first=Delay(150)))
        async with simulated_call(slow, policy=INSTANT) as call:
            await ask_first(call)
            await call.reaches("generating")
            generation = call.caller.notified_of(do.NotifyAnswerStarted)[-1].generation
            began_ms = trio.current_time() * 1000
            await trio.sleep(offset_ms / 1000)
            states.add(call.state)
            await cut_in(call)
            await call.until(lambda: call.state not in ("generating", "speaking", "paused"))
            given_up_at = next(step.fact.at_ms for step in reversed(call.steps) if _gives_up(step.effects))
            await trio.sleep(2)
            sent = [
                chunk
                for each in call.caller.playbacks
                if each.utterance == generation
                for chunk in each.chunks
            ]
            assert [chunk for chunk in sent if chunk.at_ms > given_up_at] == [], f"{offset_ms} ms"
            first_audio_ms = max(first_audio_ms, *(chunk.at_ms - began_ms for chunk in sent[:1]), 0)
        assert failed_checks(call) == [], f"{offset_ms} ms"
    assert {"generating", "speaking"} <= states
    assert 290 <= first_audio_ms <= 310, "the offsets reach beyond the first audio"


def _gives_up(effects: tuple[do.Effect, ...]) -> bool:
    return any(isinstance(each, do.CancelGeneration | do.StopSpeech) for each in effects)


# --- R02 --------------------------------------------------------------------------------------------------

ENDLESS = "And then something else happened, which is quite a story of its own. "


@pytest.mark.parametrize(("ask_first", "cut_in"), WAYS, ids=WAY_NAMES)
@pytest.mark.parametrize("offset_ms", [0, 700, 2500, 9000])
async def test_r02_a_model_that_never_ends_is_stopped_by_an_interruption(
    ask_first: Act, cut_in: Act, offset_ms: int, autojump_clock: MockClock
) -> None:
    """Pipecat, LiveKit: the model went on after the interruption, and new sentences revived the bot."""
    async with simulated_call(storyteller(Answer(ENDLESS * 500, between=Delay(30))), policy=INSTANT) as call:
        await ask_first(call)
        await call.reaches("speaking")
        await trio.sleep(offset_ms / 1000)
        assert (call.providers.llm.running, call.providers.tts.running) == (1, 1)
        await cut_in(call)
        await call.until(lambda: bool(call.caller.interruptions()))
        await trio.sleep(0.05)
        assert (call.providers.llm.running, call.providers.tts.running) == (0, 0)
        [playback] = call.caller.playbacks
        told = len(call.caller.notified)
        await trio.sleep(60)
        assert playback.cause is StopCause.INTERRUPTED
        later = [each for each in call.caller.notified[told:] if isinstance(each, do.NotifySegment)]
        assert all(each.generation > playback.utterance for each in later), "of the next answer"
    assert failed_checks(call) == []


async def test_r02_the_vendors_are_told_to_stop_exactly_that_answer(
    made: Vendors, autojump_clock: MockClock
) -> None:
    """R02 over the wire: the request is closed, and only its context is cancelled."""
    endless = Script(answers=(ScriptedAnswer("", ENDLESS * 100),))
    async with vendor_call(made, script=endless) as held:
        for number in range(1, 4):
            await held.call.take_turn("hello")
            await held.call.reaches("speaking")
            await held.call.until(lambda: len(held.caller.playbacks) == number)  # noqa: B023
            await trio.sleep(1)
            await held.call.interrupt()
            await trio.sleep(0.05)
            contexts = list(held.vendors.records.contexts.values())
            assert [each.cancelled for each in contexts] == [True] * number
            assert [each.closed for each in held.at(MODEL)] == [True] * number


# --- R03 --------------------------------------------------------------------------------------------------

ANSWER: tuple[Fact, ...] = (
    facts.SegmentReady(1, 0, "Yes indeed."),
    facts.SegmentReady(1, 1, "And more."),
    facts.GenerationFinished(1),
    facts.PlaybackAt(1, 0.0, playing=True),
)
BEGINNINGS = ANSWER[:3]
"""The model's facts in any order. Something is said after each: for an empty answer, a fallback text."""


def test_r03_an_answer_that_comes_after_the_caller_went_on_is_not_spoken() -> None:
    """LiveKit: the bot began to speak 169 ms after the caller had, with an answer to what was said before."""
    charts = Charts()
    for order in permutations([SpeechStarted(), *ANSWER]):
        call = Call(charts=charts).thinking(mode=AUTOMATIC)
        voided = order.index(SpeechStarted()) < min(map(order.index, BEGINNINGS))
        for fact in order:
            before = len(call.all_effects)
            call.handle(fact, after_ms=50)
            if do.CancelGeneration(1) in call.all_effects[:before] and voided:
                assert call.outcome() is Outcome.REFUSED, "the journal has it, and why"
                assert call.all_effects[before:] == []
        assert bool(effects_of(call, do.Speak)) is not voided
        assert call.state == "hearing" or not voided


# --- R04 --------------------------------------------------------------------------------------------------

ENDINGS: tuple[Fact, ...] = (
    facts.GenerationFinished(1),
    facts.SegmentVoiced(1, 0, 660.0),
    facts.PlaybackAt(1, 0.0, playing=True),
    facts.PlaybackFinished(1),
    InterruptRequested(),
)


@pytest.mark.parametrize("after_ms", [0.0, 100.0])
def test_r04_an_answer_ends_once_and_in_the_way_that_came_first(after_ms: float) -> None:
    """LiveKit: a flush from a cancelled task let an interrupted answer finish; all of it was remembered."""
    charts = Charts()
    for order in permutations(ENDINGS):
        call = Call(charts=charts).thinking()
        call.segment(0, "Yes indeed.")
        for fact in order:
            call.handle(fact, after_ms)
        [ended] = effects_of(call, do.NotifyAnswerEnded)
        assert isinstance(ended, do.NotifyAnswerEnded)
        interrupted = order.index(InterruptRequested()) < order.index(facts.PlaybackFinished(1))
        assert effects_of(call, do.StopSpeech) == [do.StopSpeech(1, StopCause.INTERRUPTED)] * interrupted
        assert len(effects_of(call, do.NotifyInterrupted)) == interrupted
        if not interrupted:
            assert call.history == [("user", "hello"), ("assistant", "Yes indeed.")]
        assert call.state == "quiet"


# --- R05 --------------------------------------------------------------------------------------------------

WORDS = word_ends(*SEGMENTS)


@pytest.mark.parametrize("late", [False, True], ids=["before its end", "after it"])
@pytest.mark.parametrize("word", range(len(WORDS)))
async def test_r05_an_interrupted_answer_is_remembered_as_it_was_heard(
    word: int, late: bool, autojump_clock: MockClock
) -> None:
    """Pipecat: an interruption overtook the words that had been heard; nothing of them was remembered."""
    async with simulated_call(storyteller()) as call:
        await ask(call)
        await call.reaches("speaking")
        await call.until(lambda: bool(call.caller.playbacks and call.caller.playbacks[0].chunks))
        [playback] = call.caller.playbacks
        await trio.sleep_until((playback.chunks[0].at_ms + WORDS[word][1]) / 1000 + (0.01 if late else -0.01))
        await call.interrupt()
        heard = heard_words(playback.heard_ms(trio.current_time() * 1000), *SEGMENTS)
        assert heard == " ".join(each for each, _ in WORDS[: word + late])
        await call.take_turn("thanks")
        await call.answered(2)
        if heard:
            assert history(call)[:2] == [(Speaker.USER, "hello"), (Speaker.ASSISTANT, heard)]
            assert remembered(call)[0].interrupted is (heard != STORY)
        else:
            assert history(call) == [(Speaker.USER, "hello thanks")]
    assert failed_checks(call) == []


# --- R06 --------------------------------------------------------------------------------------------------


def stt_silent(after: int, second: bool) -> SimulatedProviders:
    """Text to speech that accepts all texts and stalls after this many pieces of 100 ms of audio."""
    return SimulatedProviders(
        llm=SimulatedLanguageModel(script(Answer(STORY), then=Answer())),
        tts=SimulatedTextToSpeech(script(then=Synthesis(fault=Stalls(), after=after))),
        second_tts=SimulatedTextToSpeech() if second else None,
    )


@pytest.mark.parametrize("after", [0, 1, 10, 30, 55])
async def test_r06_a_voice_that_takes_texts_and_stays_silent_is_left_for_another(
    after: int, autojump_clock: MockClock
) -> None:
    """Pipecat: on a dead socket to the voice there were 66 s of silence, and unspoken text was remembered."""
    policy = ConversationPolicy()
    async with simulated_call(stt_silent(after, second=True), policy=policy) as call:
        await ask(call)
        await call.answered()
        [playback] = call.caller.playbacks
        assert playback.ended_with_ms
        arrivals = [chunk.at_ms for chunk in playback.chunks]
        asked_at = call.facts(facts.SegmentReady)[0].at_ms
        waits = [later - earlier for earlier, later in zip([asked_at, *arrivals], arrivals, strict=False)]
        assert max(waits) <= policy.speech_stall_timeout_ms + 200
        await call.take_turn("thanks")
        await call.answered(2)
        assert remembered(call)[0].text == STORY
    assert failed_checks(call) == []


@pytest.mark.parametrize("after", [0, 5, 10, 30, 55])
async def test_r06_text_that_a_silent_voice_was_given_is_not_remembered(
    after: int, autojump_clock: MockClock
) -> None:
    """The caller interrupts the silence after text to speech stalled: what was sent is not what was heard."""
    async with simulated_call(stt_silent(after, second=False)) as call:
        await ask(call)
        await call.reaches("speaking")
        await trio.sleep(after * 0.1 + 2)
        heard = heard_words(sum(each.sent_ms() for each in call.caller.playbacks), *SEGMENTS)
        await call.interrupt()
        await call.take_turn("thanks")
        await call.until(lambda: len(call.providers.llm.requests) == 2)
        told = [each.text for each in remembered(call)]
        # If the voice gave no word times for a segment, the end of a word is estimated.
        assert len(told) == bool(heard)
        assert not heard or abs(len(told[0].split()) - len(heard.split())) <= 1
    assert failed_checks(call) == []


# --- R07 --------------------------------------------------------------------------------------------------


def test_r07_playback_that_is_never_confirmed_ends_within_its_deadlines() -> None:
    """LiveKit (Node): a sink that did not report the end of an answer wedged the session for ever."""
    call = Call().speaking("Yes indeed.")
    call.voiced(0, "Yes", "indeed.")
    call.plays(0)
    began = call.now
    while call.state == "speaking":
        call.deadline_passes()
    policy = call.memory.policy
    assert call.state == "quiet"
    assert call.now - began <= (1 + policy.voice_retries) * policy.speech_stall_timeout_ms + 200
    call.exchange("and then", "No.")


async def test_r07_after_a_voice_that_never_ends_its_answers_the_call_goes_on(
    autojump_clock: MockClock,
) -> None:
    """Text to speech gives all its audio and does not say that it is complete, answer after answer."""
    never = SimulatedTextToSpeech(script(then=Synthesis(fault=Stalls(), after=10_000)))
    policy = ConversationPolicy(speech_stall_timeout_ms=1000)
    async with simulated_call(SimulatedProviders(tts=never), policy=policy) as call:
        for number in range(1, 4):
            await call.take_turn("hello")
            asked_at = trio.current_time()
            await call.answered(number)
            await call.reaches("quiet")
            assert trio.current_time() - asked_at <= 2.1 + (1 + policy.voice_retries) * 1
        assert len(call.providers.llm.requests) == 3
    assert failed_checks(call) == []
