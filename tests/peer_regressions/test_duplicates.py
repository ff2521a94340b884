"""R20 to R24: one turn answered twice, a tool that acts twice, or words that end up in another turn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import combinations, pairwise, product

import pytest
import trio
from attrs import define, evolve
from trio.testing import MockClock

from machines import effects as do
from machines import facts
from machines.facts import Fact, TurnMode
from machines.history import Message, Speaker
from machines.policy import ConversationPolicy
from machines.system import Charts, ConversationSystem
from machines.tools import CallRecord, OnInterruption, ToolCall
from orchestrator.journal.format import Head
from orchestrator.simulation import (
    Answer,
    Delay,
    Fails,
    Opening,
    SimulatedLanguageModel,
    SimulatedProviders,
    SimulatedSpeechToText,
    SimulatedTextToSpeech,
    Transcription,
    failed_checks,
    script,
    simulated_call,
)
from orchestrator.simulation import (
    SimulatedCall as WholeCall,
)
from orchestrator.tools.tool import Tool, tool
from orchestrator.tools.tool_runner import CANCELLED
from tests.machines.calls import AUTOMATIC, Call, effects_of
from tests.peer_regressions.scenes import (
    INSTANT,
    Act,
    ask_by_voice,
    final_history,
    handled_in,
    press_stop,
    speak_up,
    storyteller,
    told_calls,
)

pytestmark = pytest.mark.repeats

# --- R20 --------------------------------------------------------------------------------------------------

EXCHANGE: tuple[Fact, ...] = (
    facts.RecordingStarted(TurnMode.AUTOMATIC),
    facts.SpeechStarted(),
    facts.TranscriptInterim(1, "hello"),
    facts.SpeechStopped(800),
    facts.RecordingStopped(),
    facts.TranscriptFinal(1, "hello", speech_ms=800),
    facts.SegmentReady(1, 0, "Yes indeed."),
    facts.GenerationFinished(1),
    facts.SegmentVoiced(1, 0, 660.0),
    facts.PlaybackAt(1, 0.0, playing=True),
    facts.PlaybackFinished(1),
)
REPEATED = tuple(
    fact for fact in EXCHANGE if fact.name not in ("speech_started", "recording_started", "segment_ready")
)
"""Everything but what says that the caller goes on, and the segments, which our own segmenter cuts."""


def test_r20_whatever_is_reported_twice_one_turn_has_one_answer() -> None:
    """Pipecat, LiveKit: one turn of the caller's was answered several times."""
    charts = Charts()
    for fact in REPEATED:
        place = EXCHANGE.index(fact)
        for again in range(place + 1, len(EXCHANGE) + 1):
            call = Call(charts=charts).listening(AUTOMATIC)
            for each in (*EXCHANGE[:again], fact, *EXCHANGE[again:]):
                call.handle(each, after_ms=10)
            assert len(effects_of(call, do.StartGeneration)) == 1, f"{fact.name} once more, as number {again}"
            assert len(effects_of(call, do.NotifyAnswerEnded)) == 1
            assert call.history == [("user", "hello"), ("assistant", "Yes indeed.")]


@pytest.mark.parametrize("times", [2, 5])
async def test_r20_a_transcript_that_comes_several_times_is_answered_once(
    times: int, autojump_clock: MockClock
) -> None:
    """A whole call with those facts: one answer for each turn."""
    providers = SimulatedProviders(SimulatedSpeechToText(script(then=Transcription(times=times))))
    async with simulated_call(providers) as call:
        for number in range(1, 4):
            await call.take_turn("hello")
            await call.answered(number)
            await trio.sleep(5)
        assert len(call.providers.llm.requests) == len(call.caller.answers()) == 3
    assert failed_checks(call) == []


# --- R21 --------------------------------------------------------------------------------------------------

EAGER = facts.EagerEndOfTurn(1, "hello")
OTHER = facts.EagerEndOfTurn(1, "hello there")
RESUMED = facts.TurnResumed(1)


@pytest.mark.parametrize("speculations", [0, 1, 2])
@pytest.mark.parametrize("length", range(5))
def test_r21_answers_in_advance_are_bounded_and_remembered_once(speculations: int, length: int) -> None:
    """LiveKit: speculation was billed twice, and the caller's words were remembered twice."""
    charts = Charts()
    for before in product((EAGER, OTHER, RESUMED), repeat=length):
        call = Call(ConversationPolicy(speculations=speculations), charts=charts).listening(AUTOMATIC)
        call.handle(facts.SpeechStarted())
        for fact in before:
            call.handle(fact, after_ms=100)
        call.handle(facts.EndOfTurn(1, "hello"), after_ms=100)
        assert call.state == "generating"
        requests = effects_of(call, do.StartGeneration)
        assert len(requests) <= speculations + 1, before
        stopped = effects_of(call, do.CancelGeneration)
        assert len(stopped) == len(requests) - 1, "each that was in vain was stopped"
        call.answers("Yes indeed.")
        call.heard_all()
        assert call.history == [("user", "hello"), ("assistant", "Yes indeed.")]


@pytest.mark.parametrize("speculations", [0, 1, 2])
@pytest.mark.parametrize("pauses", list(product((False, True), repeat=3)))
def test_r21_answers_in_a_pause_are_bounded_and_remembered_once(
    speculations: int, pauses: tuple[bool, ...]
) -> None:
    """The same where speech to text leaves the end of turns to us. In some pauses the words come late."""
    policy = ConversationPolicy(speculations=speculations, speculative_speech=True)
    call = Call(policy).listening(AUTOMATIC)
    said = "hello"
    for late in pauses:
        call.handle(facts.SpeechStarted(), after_ms=100)
        if not late:
            call.handle(facts.TranscriptInterim(1, said, 0.8), after_ms=400)
        call.handle(facts.SpeechStopped(500), after_ms=100)
        if late:
            call.handle(facts.TranscriptInterim(1, said, 0.8), after_ms=100)
        if len(effects_of(call, do.StartGeneration)) < speculations:
            call.deadline_passes()
            assert call.state == "speculating"
            call.segment(0, "Yes indeed.")
        said += " please"
    said = said.removesuffix(" please")
    while call.state != "finalizing":
        call.deadline_passes()
    call.final(said)
    requests = effects_of(call, do.StartGeneration)
    assert len(requests) <= speculations + 1
    stopped = effects_of(call, do.CancelGeneration)
    assert len(stopped) == len(requests) - 1, "each that was in vain was stopped"
    call.answers("Yes indeed.")
    call.heard_all()
    assert call.history == [("user", said), ("assistant", "Yes indeed.")]
    assert [each.text for each in effects_of(call, do.Speak)] == ["Yes indeed."]  # type: ignore[attr-defined]


# --- R22 --------------------------------------------------------------------------------------------------

BOOKS = Answer("Let me see.", Delay(100), calls=(ToolCall("id 1", "book", "{}"),))


@define
class Diary:
    """What a tool that must not be called twice has done."""

    begun: int = 0
    booked: int = 0
    told: int = 0

    def book(self, on_interruption: OnInterruption) -> Tool:
        """A tool that books in the middle of its work."""

        async def book() -> str:
            """Book a table."""
            self.begun += 1
            await trio.sleep(1.4)
            self.booked += 1
            await trio.sleep(0.4)
            self.told += 1
            return "booked"

        return tool(on_interruption=on_interruption)(book)


async def hang_up(call: WholeCall) -> None:
    """The caller is gone."""
    call.hang_up()
    await call.over.wait()


async def speak_up_and_wait(call: WholeCall) -> None:
    """The caller says something, and listens."""
    await speak_up(call)
    await call.keep_quiet(700)


@pytest.mark.parametrize("cut_in", [speak_up_and_wait, press_stop, hang_up], ids=["voice", "stop", "hang-up"])
@pytest.mark.parametrize("on_interruption", OnInterruption)
async def test_r22_a_tool_that_is_interrupted_at_any_step_acts_once_and_its_result_is_kept(
    on_interruption: OnInterruption, cut_in: Act, autojump_clock: MockClock
) -> None:
    """LiveKit, Pipecat: the results of interrupted tools were lost, and the model booked again."""

    def begin(diary: Diary) -> AbstractAsyncContextManager[WholeCall]:
        providers = SimulatedProviders(llm=SimulatedLanguageModel(script(BOOKS, then=Answer("Well."))))
        return simulated_call(providers, policy=INSTANT, tools=[diary.book(on_interruption)])

    async with begin(Diary()) as call:
        await ask_by_voice(call)
        asked = len(call.records)
        await call.reaches("running_tools")
        await call.reaches("quiet")
        last = len(call.records)
    ends = set()
    for number in range(asked, last):
        diary = Diary()
        async with begin(diary) as call:
            await ask_by_voice(call)
            await call.until(lambda: len(call.records) > number)  # noqa: B023
            await cut_in(call)
            if cut_in is not hang_up:
                await trio.sleep(5)
                assert call.state == "quiet", f"fact {number}"
                await call.say("thanks")
                await call.keep_quiet(700)
                await call.reaches("quiet")
                assert told_calls(call) == _calls(call), f"fact {number}"
        asked_for = sum(isinstance(each, do.RunTool) for step in call.steps for each in step.effects)
        assert diary.begun <= asked_for <= 1, f"fact {number}"
        if on_interruption is not OnInterruption.CANCEL:
            assert diary.told == diary.booked == asked_for, f"fact {number}"
        records = [(each.result, each.failed) for each in _calls(call)]
        kept = ("booked", False) if diary.told else (CANCELLED.text, True)
        assert records == [kept] * asked_for, f"fact {number}"
        assert failed_checks(call) == [], f"fact {number}"
        ends.add((asked_for, diary.begun, diary.booked, diary.told))
    assert (1, 1, 1, 1) in ends
    assert ((1, 1, 0, 0) in ends) is (on_interruption is OnInterruption.CANCEL)


def _calls(call: WholeCall) -> list[CallRecord]:
    return [record for message in final_history(call) for record in message.calls]


# --- R23 --------------------------------------------------------------------------------------------------


def merged(first: Sequence[Fact], second: Sequence[Fact]) -> Iterator[tuple[Fact, ...]]:
    """Both sequences merged in every way that keeps the order within each."""
    size = len(first) + len(second)
    for places in combinations(range(size), len(first)):
        left, right = iter(first), iter(second)
        yield tuple(next(left) if place in places else next(right) for place in range(size))


LATE_WORDS = (facts.TranscriptInterim(1, "one"), facts.TranscriptFinal(1, "one two"))
NEXT_VOICE = (facts.SpeechStarted(), facts.TranscriptInterim(2, "three"), facts.SpeechStopped(700))


def test_r23_late_words_are_those_of_their_own_turn() -> None:
    """Pipecat: inference ran before the transcript was there. LiveKit: the bot was one turn behind."""
    charts = Charts()
    for order in merged(LATE_WORDS, NEXT_VOICE):
        call = Call(charts=charts).finalizing(AUTOMATIC)
        for fact in order:
            call.handle(fact, after_ms=20)
        while call.state in ("endpointing", "hearing"):
            call.deadline_passes()
        call.final("three four")
        asked = [each.messages[-1].text for each in call.all_effects if isinstance(each, do.StartGeneration)]
        assert asked[-1] == "one two three four", [fact.name for fact in order]
        assert call.state == "generating"
        call.answers("Yes indeed.")
        call.heard_all()
        assert call.history == [("user", "one two three four"), ("assistant", "Yes indeed.")]


@pytest.mark.parametrize("delays_ms", list(product((0, 400, 1500), repeat=3)), ids=str)
async def test_r23_every_turn_is_answered_by_its_own_words(
    delays_ms: tuple[float, ...], autojump_clock: MockClock
) -> None:
    """Whole calls, however late each transcript is: each turn gets its own answer."""
    late = script(*(Transcription(Delay(each)) for each in delays_ms), then=Transcription())
    turns = ("one two", "three four", "five six")
    async with simulated_call(SimulatedProviders(SimulatedSpeechToText(late))) as call:
        await call.start_recording(TurnMode.AUTOMATIC)
        for number, words in enumerate(turns, 1):
            await call.say(words)
            await call.keep_quiet(700)
            await call.answered(number)
        asked = [messages[-1].text for messages in call.providers.llm.requests]
        assert asked == list(turns)
    assert failed_checks(call) == []


# --- R24 --------------------------------------------------------------------------------------------------

GREETING = "Good morning. This is Vantum."


def commits(call: WholeCall) -> list[tuple[Message, ...]]:
    """The history after each fact of the call's journal that changed it."""
    head, *others = call.records
    assert isinstance(head, Head)
    system = ConversationSystem(head.policy, provider_chains=head.provider_chains)
    system.start(head.at_ms)
    histories: list[tuple[Message, ...]] = [()]
    for record in handled_in(others[1:]):
        system.handle(record.steps[0].fact)
        if system.conversation.context.history != histories[-1]:
            histories.append(system.conversation.context.history)
    return histories


@pytest.mark.parametrize("offset_ms", [0, 300, 1100, 2300, 4700])
async def test_r24_an_answer_is_remembered_before_what_is_said_next_and_a_greeting_is_said_once(
    offset_ms: int, autojump_clock: MockClock
) -> None:
    """Pipecat: spoken text was remembered after the caller's next words, and the greeting came again."""
    flaky = storyteller()
    flaky = evolve(
        flaky,
        tts=SimulatedTextToSpeech(
            openings=script(Opening(dies=Fails(), after_ms=6000 + offset_ms), then=Opening())
        ),
    )
    async with simulated_call(flaky, policy=evolve(INSTANT, greeting=GREETING)) as call:
        await call.start_recording(TurnMode.AUTOMATIC)
        await call.reaches("speaking")
        await trio.sleep(offset_ms / 1000)
        for words in ("hello", "what is your name", "tell me a joke", "thanks"):
            await call.say(words)
            await call.keep_quiet(700)
            await call.reaches("speaking")
            await call.keep_quiet(offset_ms)
            if call.state == "speaking":
                await speak_up(call)
                await call.keep_quiet(700)
        await call.until(lambda: call.state == "quiet")
        greetings = [each for each in call.caller.notified_of(do.NotifySegment) if each.text == GREETING]
        assert len(greetings) == 1
        histories = commits(call)
        assert len(histories) > 2
        for earlier, later in pairwise(histories):
            assert later[: len(earlier)] == earlier, "what was remembered stays, and stays where it was"
            assert [each.speaker for each in later[len(earlier) :]] == [Speaker.USER, Speaker.ASSISTANT]
    assert failed_checks(call) == []
