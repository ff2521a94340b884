"""Any facts in any order, late, doubled or out of place: the invariants hold, and a replay gives the same."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from machines import facts
from machines.check.invariants import INVARIANTS, every_request_is_answered_once
from machines.check.walk import checked_step, started
from machines.facts import EndReason, ErrorClass, Fact, ProviderFailure, Request, Role, TurnMode, Word
from machines.history import Speaker
from machines.policy import ConversationPolicy, LinkPolicy
from machines.system import ConversationSystem, Handled, ProviderChain
from tests.machines.calls import CHARTS

pytestmark = [pytest.mark.slow, pytest.mark.repeats]
POLICY = ConversationPolicy(
    system_prompt="Be brief.",
    llm_retry_delays_ms=(0, 100),
    max_history=4,
    link=LinkPolicy(retry_delays_ms=(0, 100)),
)
waits = st.sampled_from([0.0, 0.0, 1.0, 20.0, 200.0, 5_000.0])
modes = st.sampled_from(TurnMode)
roles = st.sampled_from(Role)
offs = st.sampled_from([0, 0, 0, 0, -1, 1, -2])
"""How far a number is from the current one: mostly 0."""
texts = st.sampled_from(["", "well", "tell me more", "and then?"])
answers = st.sampled_from(["Yes.", "I think so.", "It is a long story, really."])
failures = st.sampled_from(ErrorClass).map(lambda each: ProviderFailure(each, "no"))
durations = st.floats(0, 5_000)


class AnyCall(RuleBasedStateMachine):
    """One call, to which anything may happen at any time."""

    usual = POLICY

    def __init__(self) -> None:
        super().__init__()
        self.requests = 0
        self.links_are_flaky = True
        self.mode = TurnMode.MANUAL
        self.policy = self.usual
        self.provider_chains: dict[Role, ProviderChain] = {}
        self.begins()

    @initialize(
        flaky=st.sampled_from([False, False, True]),
        mode=modes,
        barge_in=st.booleans(),
        providers=st.integers(1, 3),
    )
    def links_behave(self, flaky: bool, mode: TurnMode, barge_in: bool, providers: int) -> None:
        """In most calls the links come up and stay."""
        self.links_are_flaky = flaky
        self.mode = mode
        self.policy = evolve(self.usual, barge_in=barge_in)
        self.provider_chains = {role: ProviderChain(providers) for role in Role}
        self.begins()
        self.answers_the_phone()

    def begins(self) -> None:
        """A new call."""
        self.system = ConversationSystem(self.policy, CHARTS, self.provider_chains)
        self.now = 0.0
        self.facts_after_the_end = 0
        beginning = self.system.start(0.0)
        self.observed = checked_step(self.system, started(beginning), (), beginning).after
        self.told: list[tuple[Fact | None, Handled]] = [(None, beginning)]

    def answers_the_phone(self) -> None:
        """The caller records. The links are up at once, unless they are flaky."""
        self.happens(facts.RecordingStarted(self.mode, self.request()))
        if not self.links_are_flaky:
            for role in Role:
                self.happens(facts.LinkOpened(role, 1))

    def happens(self, fact: Fact, wait: float = 0.0) -> None:
        """`fact` happens; every invariant must hold after it."""
        self.now += wait
        fact = evolve(fact, at_ms=self.now)
        history = self.system.conversation.context.history
        before, had_ended = self.observed, self.system.ended
        handled = self.system.handle(fact)
        self.told.append((fact, handled))
        checked = checked_step(self.system, before, history, handled)
        self.observed = checked.after
        for each in INVARIANTS:
            # After the end no request is answered any more.
            if not (each is every_request_is_answered_once and had_ended):
                assert each(checked) is None, f"{each.__name__}: {each(checked)}"
        if self.system.ended:
            self.facts_after_the_end += 1
            if self.facts_after_the_end > 3:
                self.repeats()
                self.begins()
                self.answers_the_phone()

    def request(self) -> Request:
        self.requests += 1
        return Request("request", str(self.requests))

    # --- links --------------------------------------------------------------------------------------------

    @precondition(lambda self: self.links_are_flaky)
    @rule(role=roles, off=offs)
    def a_link_opens(self, role: Role, off: int) -> None:
        self.happens(facts.LinkOpened(role, self.system.links[role].context.attempt + off))

    @precondition(lambda self: self.system.conversation.state == "connecting")
    @rule()
    def all_links_open(self) -> None:
        for role in Role:
            self.happens(facts.LinkOpened(role, self.system.links[role].context.attempt))

    @precondition(lambda self: self.links_are_flaky)
    @rule(role=roles, off=offs, failure=failures, wait=waits)
    def a_link_fails(self, role: Role, off: int, failure: ProviderFailure, wait: float) -> None:
        attempt = self.system.links[role].context.attempt + off
        self.happens(facts.LinkFailed(role, attempt, failure), wait)

    @precondition(lambda self: self.links_are_flaky)
    @rule(role=roles, off=offs)
    def a_links_deadline_passes(self, role: Role, off: int) -> None:
        number = self.system.links[role].context.deadline_armed or 0
        self.happens(facts.LinkDeadlinePassed(role, number + off))

    @rule(role=roles, provider=st.integers(0, 2), well=st.booleans())
    def a_provider_goes_down_or_recovers(self, role: Role, provider: int, well: bool) -> None:
        if provider < self.system.links[role].context.providers:
            fact = facts.ProviderRecovered(role, provider) if well else facts.ProviderDown(role, provider)
            self.happens(fact)

    # --- the caller ---------------------------------------------------------------------------------------

    @rule(mode=modes, asks=st.booleans(), wait=waits)
    def recording_starts(self, mode: TurnMode, asks: bool, wait: float) -> None:
        self.happens(facts.RecordingStarted(mode, self.request() if asks else None), wait)

    @rule(asks=st.booleans(), wait=waits)
    def recording_stops(self, asks: bool, wait: float) -> None:
        self.happens(facts.RecordingStopped(self.request() if asks else None), wait)

    @rule(wait=waits)
    def the_caller_interrupts(self, wait: float) -> None:
        self.happens(facts.InterruptRequested(), wait)

    @rule(wait=waits)
    def speech_starts(self, wait: float) -> None:
        self.happens(facts.SpeechStarted(), wait)

    @rule(wait=waits)
    def speech_stops(self, wait: float) -> None:
        self.happens(facts.SpeechStopped(speech_ms=300), wait)

    # --- words --------------------------------------------------------------------------------------------

    @rule(off=offs, text=texts, wait=waits)
    def interim_words(self, off: int, text: str, wait: float) -> None:
        self.happens(
            facts.TranscriptInterim(self.system.conversation.context.turns.current + off, text), wait
        )

    @rule(off=offs, text=texts, wait=waits)
    def final_words(self, off: int, text: str, wait: float) -> None:
        awaited = self.system.conversation.context.turns.awaited or 0
        self.happens(facts.TranscriptFinal(awaited + off, text), wait)

    @rule(off=offs, failure=failures)
    def transcription_fails(self, off: int, failure: ProviderFailure) -> None:
        awaited = self.system.conversation.context.turns.awaited or 0
        self.happens(facts.TranscriptionFailed(awaited + off, failure))

    @precondition(lambda self: self.system.conversation.context.turns.queued)
    @rule(text=texts, wait=waits)
    def words_of_a_turn_that_waits(self, text: str, wait: float) -> None:
        turn = self.system.conversation.context.turns.queued[0]
        self.happens(facts.TranscriptFinal(turn, text), wait)

    @rule(off=offs, text=texts, wait=waits)
    def the_provider_ends_the_turn(self, off: int, text: str, wait: float) -> None:
        turn = self.system.conversation.context.turns.current + off
        self.happens(facts.EagerEndOfTurn(turn, text))
        self.happens(facts.EndOfTurn(turn, text), wait)

    @rule(off=offs)
    def the_provider_resumes_the_turn(self, off: int) -> None:
        self.happens(facts.TurnResumed(self.system.conversation.context.turns.current + off))

    @precondition(lambda self: self.system.conversation.room == "LISTENING")
    @rule(text=texts)
    def the_caller_says(self, text: str) -> None:
        self.happens(facts.RecordingStopped())
        self.happens(facts.TranscriptFinal(self.system.conversation.context.turns.awaited or 0, text), 20.0)

    # --- the answer ---------------------------------------------------------------------------------------

    def generation(self, off: int) -> int:
        return (self.system.conversation.context.answer.generation_open or 0) + off

    def utterance(self, off: int) -> int:
        return (self.system.conversation.context.answer.speech_open or 0) + off

    @rule(off=offs, text=answers, wait=waits)
    def a_segment_is_ready(self, off: int, text: str, wait: float) -> None:
        segment = len(self.system.conversation.context.answer.ledger.segments)
        self.happens(facts.SegmentReady(self.generation(off), segment, text), wait)

    @rule(off=offs, wait=waits)
    def the_model_goes_on(self, off: int, wait: float) -> None:
        self.happens(facts.GenerationAlive(self.generation(off)), wait)

    @rule(off=offs)
    def the_model_finishes(self, off: int) -> None:
        self.happens(facts.GenerationFinished(self.generation(off)))

    @rule(off=offs, failure=failures)
    def the_model_fails(self, off: int, failure: ProviderFailure) -> None:
        self.happens(facts.GenerationFailed(self.generation(off), failure))

    @precondition(lambda self: self.system.conversation.context.answer.speech_open is not None)
    @rule(data=st.data(), duration=durations, timed=st.booleans())
    def a_segment_is_voiced(self, data: st.DataObject, duration: float, timed: bool) -> None:
        segments = self.system.conversation.context.answer.ledger.segments
        # Text to speech voices the segments in their order, and each only once.
        silent = [n for n, segment in enumerate(segments) if segment.duration_ms is None]
        if not silent:
            return
        number = silent[0]
        texts = segments[number].text.split() if timed else []
        each = duration / max(1, len(texts))
        words = tuple(Word(text, n * each, (n + 1) * each) for n, text in enumerate(texts))
        attempt = self.system.conversation.context.answer.speech_attempt + data.draw(offs)
        self.happens(facts.SegmentVoiced(self.utterance(0), number, duration, words, attempt=attempt))

    @rule(off=offs, position=durations, playing=st.booleans(), wait=waits)
    def playback_is_at(self, off: int, position: float, playing: bool, wait: float) -> None:
        self.happens(facts.PlaybackAt(self.utterance(off), position, playing), wait)

    @rule(off=offs, wait=waits)
    def playback_finishes(self, off: int, wait: float) -> None:
        self.happens(facts.PlaybackFinished(self.utterance(off)), wait)

    @rule(off=offs, failure=failures, voiced_ms=st.sampled_from([0.0, 300.0, 5_000.0]))
    def the_voice_fails(self, off: int, failure: ProviderFailure, voiced_ms: float) -> None:
        attempt = self.system.conversation.context.answer.speech_attempt
        self.happens(facts.SynthesisFailed(self.utterance(off), failure, voiced_ms, attempt=attempt))

    # --- time and ends ------------------------------------------------------------------------------------

    @rule(off=offs, wait=waits)
    def a_deadline_passes(self, off: int, wait: float) -> None:
        number = self.system.conversation.context.deadline_armed or 0
        self.happens(facts.DeadlinePassed(number + off), wait)

    @precondition(lambda self: len(self.told) > 30)
    @rule(reason=st.sampled_from(EndReason))
    def the_caller_hangs_up(self, reason: EndReason) -> None:
        self.happens(facts.HungUp(reason))

    @precondition(lambda self: self.observed.over)
    @rule()
    def everything_is_closed(self) -> None:
        self.happens(facts.EverythingClosed())

    # --- always -------------------------------------------------------------------------------------------

    @invariant()
    def history_is_bounded(self) -> None:
        history = self.system.conversation.context.history
        assert len(history) <= POLICY.max_history
        assert all((each.heard_ms is None) == (each.speaker is Speaker.USER) for each in history)

    def teardown(self) -> None:
        """The call can be ended."""
        if not self.system.ended:
            self.happens(facts.HungUp(EndReason.CALLER_HUNG_UP))
            self.happens(facts.EverythingClosed())
        assert self.system.ended
        self.repeats()

    def repeats(self) -> None:
        """The same facts give the same steps again."""
        again = ConversationSystem(self.policy, CHARTS, self.provider_chains)
        for fact, handled in self.told:
            assert (again.start(0.0) if fact is None else again.handle(fact)) == handled


class ShortCall(AnyCall):
    """A call of a few facts."""


class LongCall(AnyCall):
    """A call of many."""


class SpeculativeCall(AnyCall):
    """A call whose model is asked in pauses, and whose voice speaks in advance."""

    usual = evolve(POLICY, speculations=2, speculative_speech=True)

    @precondition(lambda self: self.system.conversation.state in ("quiet", "hearing", "endpointing"))
    @rule(text=texts, wait=waits)
    def the_caller_pauses(self, text: str, wait: float) -> None:
        turns = self.system.conversation.context.turns
        self.happens(facts.SpeechStarted())
        self.happens(facts.TranscriptInterim(turns.current, text), 400.0)
        self.happens(facts.SpeechStopped(speech_ms=400), 100.0)
        self.happens(facts.DeadlinePassed(self.system.conversation.context.deadline_armed or 0), wait)

    @precondition(lambda self: self.system.conversation.state in ("speculating", "finalizing"))
    @rule(text=texts, wait=waits)
    def the_pause_is_the_end(self, text: str, wait: float) -> None:
        context = self.system.conversation.context
        self.happens(facts.SegmentReady(self.generation(0), len(context.speculation.segments), "Yes."))
        self.happens(facts.DeadlinePassed(context.deadline_armed or 0), wait)
        self.happens(facts.TranscriptFinal(context.turns.awaited or 0, text), wait)


TestSpeculativeCalls = SpeculativeCall.TestCase
TestSpeculativeCalls.settings = settings(stateful_step_count=40)
TestShortCalls = ShortCall.TestCase
TestShortCalls.settings = settings(stateful_step_count=12)
TestLongCalls = LongCall.TestCase
TestLongCalls.settings = settings(stateful_step_count=80)


@pytest.mark.parametrize("said", [["", "well"], ["well"]])
@pytest.mark.parametrize("voice", [0, 2])
def test_words_that_a_filter_refuses_stay_unanswered(said: list[str], voice: int) -> None:
    """Found by the above: the invariants took them for an answer."""
    call = LongCall()
    call.links_behave(False, TurnMode.MANUAL, False, 1)
    for text in said:
        call.the_caller_says(text)
    for _ in range(voice):
        call.speech_starts(0.0)
    call.the_model_fails(0, ProviderFailure(ErrorClass.REFUSED_TEXT, "no"))
    history = call.system.conversation.context.history
    assert [(each.speaker, each.text, each.withheld) for each in history] == [(Speaker.USER, "well", True)]
    call.teardown()
