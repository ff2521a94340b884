"""Whole calls in which anything may be done at any time, by the caller and by providers.

Beside `vantum check`, which leaves out texts, histories, word times and playback positions, and
`tests/machines/conversation/test_interleavings.py`, where nothing sounds: here audio is heard, played and
cut off.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TypeVar

import pytest
import trio
from attrs import evolve
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from machines import effects as do
from machines.declarations import Outcome
from machines.facts import EndReason, ErrorClass, SegmentVoiced, TurnMode
from machines.history import Message, Speaker
from machines.policy import ConversationPolicy
from machines.system import ConversationSystem, Handled
from orchestrator.journal.format import Head, Used
from orchestrator.simulation import (
    Answer,
    Breaks,
    Delay,
    Ends,
    Fails,
    Fault,
    Opening,
    Plan,
    SimulatedCall,
    SimulatedLanguageModel,
    SimulatedProviders,
    SimulatedSpeechToText,
    SimulatedTextToSpeech,
    Stalls,
    Synthesis,
    Transcription,
    failed_checks,
)
from orchestrator.simulation.speech import VOCABULARY
from tests.orchestrator.step_by_step import StepByStep

pytestmark = pytest.mark.repeats
B = TypeVar("B")

delays = st.sampled_from([0, 0, 30, 400, 2500]).map(Delay)
faults: st.SearchStrategy[Fault] = st.sampled_from(
    [Fails(), Fails(ErrorClass.AUTH), Fails(ErrorClass.FATAL), Stalls(), Breaks(), Ends()]
)
pieces = st.integers(0, 12)
ANSWERS = (
    None,
    "",
    "Yes.",
    "No, never.",
    "One. Two, three. " * 8,
    "It is a long story, really. And it goes on.",
)
answers = st.builds(
    Answer, st.sampled_from(ANSWERS), delays, st.sampled_from([Delay(), Delay(20)])
) | st.builds(Answer, st.sampled_from(ANSWERS), fault=faults, after=pieces)
PACES = [Delay(), Delay(), Delay(90), Delay(150)]
"""Between pieces of 100 ms of audio: some voices are slower than they are heard."""
manners = st.builds(Synthesis, delays, st.sampled_from(PACES), words=st.booleans()) | st.builds(
    Synthesis, fault=faults, after=pieces, between=st.just(Delay(5))
)
transcriptions = st.builds(
    Transcription, delays, st.none() | faults, st.sampled_from([None, None, ""]), st.sampled_from([1, 1, 2])
)
openings = st.builds(
    Opening, delays, st.none() | faults, st.none() | faults, st.sampled_from([50, 900, 4000, 15_000])
)
words = st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=4).map(" ".join)
waits = st.sampled_from([0, 1, 50, 300, 900, 3000])


def planned(upcoming: deque[B], usual: B) -> Plan[B]:
    """What is upcoming, then the usual."""
    return lambda: upcoming.popleft() if upcoming else usual


class AnyWholeCall(RuleBasedStateMachine):
    """One call with two providers for each role, or one."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: deque[Answer] = deque()
        self.manners: deque[Synthesis] = deque()
        self.transcriptions: deque[Transcription] = deque()
        self.openings: deque[Opening] = deque()

    @initialize(
        policy=st.builds(
            ConversationPolicy,
            greeting=st.sampled_from(["", "", "Good morning."]),
            reprompt=st.sampled_from(["", "Pardon?"]),
            idle_after_ms=st.sampled_from([0, 0, 4000]),
            barge_in=st.sampled_from([True, True, False]),
            barge_in_min_ms=st.sampled_from([0, 200, 600]),
            barge_in_min_words=st.sampled_from([0, 1, 2]),
            max_history=st.sampled_from([2, 50]),
        ),
        second=st.booleans(),
        mode=st.sampled_from(TurnMode),
    )
    def somebody_calls(self, policy: ConversationPolicy, second: bool, mode: TurnMode) -> None:
        """Everybody works at once, unless it is said otherwise."""
        opening = planned(self.openings, Opening(Delay(50)))
        providers = SimulatedProviders(
            SimulatedSpeechToText(planned(self.transcriptions, Transcription(Delay(50))), opening),
            SimulatedLanguageModel(planned(self.answers, Answer())),
            SimulatedTextToSpeech(planned(self.manners, Synthesis()), opening),
        )
        if second:
            providers = evolve(
                providers,
                second_stt=SimulatedSpeechToText(),
                second_llm=SimulatedLanguageModel(),
                second_tts=SimulatedTextToSpeech(),
            )
        self.held = StepByStep.begin(providers, policy)
        self.held.do(lambda call: _started(call, mode))

    @property
    def call(self) -> SimulatedCall:
        return self.held.call

    def goes_on(self) -> bool:
        return not self.call.over.is_set()

    # --- what the caller does -----------------------------------------------------------------------------

    @precondition(goes_on)
    @rule(said=words, rate=st.sampled_from([8000, 16_000]))
    def says(self, said: str, rate: int) -> None:
        self.held.do(lambda call: call.say(said, rate))

    @precondition(goes_on)
    @rule(
        said=words,
        mode=st.sampled_from(TurnMode),
        answer=st.none() | answers,
        speaking=st.none() | manners,
        transcription=st.none() | transcriptions,
        opening=st.none() | openings,
        after=st.sampled_from([0, 50, 500, 1500, 4000]),
        over_it=st.sampled_from(["", "", "hello", "please stop", "yes", "tell me a joke"]),
        pause=st.sampled_from([0, 300, 700]),
    )
    def takes_a_turn(
        self,
        said: str,
        mode: TurnMode,
        answer: Answer | None,
        speaking: Synthesis | None,
        transcription: Transcription | None,
        opening: Opening | None,
        after: int,
        over_it: str,
        pause: int,
    ) -> None:
        """A whole turn, what providers do in it, and something that is said over the answer, or after it."""
        self.answers.extend([answer] if answer else [])
        self.manners.extend([speaking] if speaking else [])
        self.transcriptions.extend([transcription] if transcription else [])
        self.openings.extend([opening] if opening else [])

        async def take_turn(call: SimulatedCall) -> None:
            await call.start_recording(mode)
            await call.say(said)
            await (call.stop_recording() if mode is TurnMode.MANUAL else call.keep_quiet(700))
            with trio.move_on_after(15):
                await call.reaches("speaking")
            await trio.sleep(after / 1000)
            await call.say(over_it)
            await call.keep_quiet(pause)

        self.held.do(take_turn)

    @precondition(goes_on)
    @rule(
        what=st.sampled_from(["record", "talk hands free", "stop", "silence", "nothing"]),
        ms=waits,
        microphone=st.booleans(),
    )
    def does(self, what: str, ms: int, microphone: bool) -> None:
        """One thing, and then nothing for a while, with the microphone on or off."""

        async def act(call: SimulatedCall) -> None:
            match what:
                case "record":
                    await call.start_recording(TurnMode.MANUAL)
                case "talk hands free":
                    await call.start_recording(TurnMode.AUTOMATIC)
                case "stop":
                    await call.stop_recording()
                case "silence":
                    await call.interrupt()
            if microphone:
                await call.keep_quiet(ms)
            else:
                await trio.sleep(ms / 1000)

        self.held.do(act)

    @precondition(lambda self: self.goes_on() and len(self.call.steps) > 100)
    @rule(reason=st.sampled_from(EndReason))
    def is_gone(self, reason: EndReason) -> None:
        async def go(call: SimulatedCall) -> None:
            call.hang_up(reason)

        self.held.do(go)

    @precondition(lambda self: hasattr(self, "held") and not self.goes_on())
    @rule()
    def the_line_is_dead(self) -> None:
        """A call that is over stays over."""
        assert self.call.state == "ended"

    # --- always -------------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_sent_that_may_not_be_sent(self) -> None:
        assert self.call.caller.complaints == []

    @invariant()
    def one_answer_sounds_at_most(self) -> None:
        sounding = [each.utterance for each in self.call.caller.playbacks if not each.over]
        assert len(sounding) <= 1
        assert not sounding or self.call.state not in ("quiet", "hearing", "endpointing", "generating")

    @invariant()
    def the_model_is_asked_one_thing_at_a_time(self) -> None:
        assert self.call.providers.llm.running <= 1

    def teardown(self) -> None:
        """Nothing is left, the journal is replayed the same, and the history is what was heard."""
        if hasattr(self, "held"):
            self.held.end()
            assert failed_checks(self.call) == []
            assert all(step.outcome is not Outcome.UNDECLARED for step in self.call.steps)
            check_history(self.call)


TestAnyWholeCall = AnyWholeCall.TestCase
TestAnyWholeCall.settings = settings(max_examples=40, stateful_step_count=6)


async def _started(call: SimulatedCall, mode: TurnMode) -> None:
    await call.start_recording(mode)


# --- the history ------------------------------------------------------------------------------------------


def check_history(call: SimulatedCall) -> None:
    """Each answer that was remembered is as much of what was said as the caller's side has played."""
    for handled, before, after in _histories(call):
        user, answer = after[-2:]
        assert after[:-2] == before[len(before) - len(after) + 2 :], "what was remembered stays as it was"
        assert (user.speaker, answer.speaker) == (Speaker.USER, Speaker.ASSISTANT)
        [ended, *_] = [each for each in handled.effects if isinstance(each, do.NotifyAnswerEnded)]
        assert ended.text.startswith(answer.text)
        [playback] = [each for each in call.caller.playbacks if each.utterance == ended.generation]
        played_ms = playback.heard_ms(handled.steps[0].fact.at_ms)
        assert answer.heard_ms is not None
        assert abs(answer.heard_ms - played_ms) < 1
        assert answer.interrupted is bool(answer.unheard)
        assert not answer.unheard or f"{answer.text} {answer.unheard}" == ended.text
        _check_words(call, ended.generation, answer.text, played_ms)


def _histories(call: SimulatedCall) -> list[tuple[Handled, tuple[Message, ...], tuple[Message, ...]]]:
    """The facts that changed the history, with what it was before and after."""
    head, _, *others = call.records
    assert isinstance(head, Head)
    system = ConversationSystem(head.policy, call.charts, head.provider_chains)
    system.start(head.at_ms)
    found, before = [], system.conversation.context.history
    for record in others:
        if isinstance(record, Used):
            continue
        assert isinstance(record, Handled)
        system.handle(record.steps[0].fact)
        after = system.conversation.context.history
        if after != before:
            found.append((record, before, after))
        before = after
    return found


def _check_words(call: SimulatedCall, generation: int, text: str, played_ms: float) -> None:
    """Of an answer that was spoken in one go these words were heard to their end, give or take one.

    Of a segment whose audio was not complete the pace is a guess, a tenth slower than this voice's.
    """
    effects = [effect for step in call.steps for effect in step.effects]
    if any(isinstance(each, do.RestartSpeech) and each.generation == generation for each in effects):
        return
    segments = [
        each.text for each in effects if isinstance(each, do.NotifySegment) and each.generation == generation
    ]
    start, ends = 0.0, []
    for segment in segments:
        at = start
        for word in segment.split():
            at += 60 * len(word + " ")
            ends.append(min(at, start + 60 * len(segment)))
        start += 60 * len(segment)
    voiced = [
        step.fact
        for step in call.steps
        if isinstance(step.fact, SegmentVoiced) and step.fact.utterance == generation
    ]
    heard = sum(end <= played_ms for end in ends)
    assert abs(heard - len(text.split())) <= 1 + (len(voiced) < len(segments)) * math.ceil(heard / 9)
