"""A call in sentences: the machines of one conversation, facts with times, and shortcuts to a state."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve

from machines import effects as do
from machines import facts
from machines.conversation.context import Context
from machines.declarations import Outcome
from machines.effects import Effect
from machines.facts import ErrorClass, Fact, ProviderFailure, Request, Role, TurnMode, Word
from machines.history import Message, Speaker
from machines.policy import ConversationPolicy
from machines.system import Charts, ConversationSystem, Handled, ProviderChain

MANUAL, AUTOMATIC = TurnMode.MANUAL, TurnMode.AUTOMATIC
START = Request("audio.input.start", "start")
STOP = Request("audio.input.stop", "stop")
PASSING = ProviderFailure(ErrorClass.CONNECTION, "connection lost")
FATAL = ProviderFailure(ErrorClass.FATAL, "no such model")
HUNG_UP = facts.HungUp(facts.EndReason.CALLER_HUNG_UP)
SYSTEM = Message(Speaker.SYSTEM, "Be brief.")
POLICY = ConversationPolicy(system_prompt=SYSTEM.text)

BOOKKEEPING = (
    do.ArmDeadline,
    do.DisarmDeadline,
    do.ArmLinkDeadline,
    do.DisarmLinkDeadline,
    do.NotifyState,
    do.NotifyLink,
    do.ReportProviderFailure,
    do.LogFailure,
    do.NotifyAnswerEnded,
)
"""Effects of almost every step. They are left out where effects are compared, and have tests of their own."""

CHARTS = Charts()
"""The charts of all calls. Making them takes longer than most calls."""
TWO_EACH = {role: ProviderChain(2) for role in Role}
"""Two providers for every role."""


def user(text: str) -> Message:
    """What the caller said."""
    return Message(Speaker.USER, text)


class Call:
    """One call. Times are milliseconds since its start."""

    def __init__(
        self,
        policy: ConversationPolicy = POLICY,
        provider_chains: Mapping[Role, ProviderChain] | None = None,
        charts: Charts | None = None,
    ) -> None:
        self.system = ConversationSystem(policy, charts or CHARTS, provider_chains)
        self.now = 0.0
        self.beginning = self.system.start(self.now)
        self.last = self.beginning
        self.all_effects: list[Effect] = list(self.beginning.effects)

    @property
    def state(self) -> str:
        return self.system.conversation.state

    @property
    def memory(self) -> Context:
        return self.system.conversation.context

    @property
    def history(self) -> list[tuple[str, str]]:
        """Who said what."""
        return [(message.speaker.value, message.text) for message in self.memory.history]

    def handle(self, fact: Fact, after_ms: float = 0.0) -> Handled:
        """`fact` happens `after_ms` after the last one; everything about it is in `last`."""
        self.now += after_ms
        self.last = self.system.handle(evolve(fact, at_ms=self.now))
        assert all(step.outcome is not Outcome.UNDECLARED for step in self.last.steps), self.last.steps
        self.all_effects.extend(self.last.effects)
        return self.last

    def happens(self, fact: Fact, after_ms: float = 0.0) -> list[Effect]:
        """`fact` happens `after_ms` after the last one. Returns its effects without `BOOKKEEPING`."""
        effects = self.handle(fact, after_ms).effects
        return [effect for effect in effects if not isinstance(effect, BOOKKEEPING)]

    def deadline_passes(self) -> list[Effect]:
        """The armed deadline passes when it is due."""
        arming = [effect for effect in self.all_effects if isinstance(effect, do.ArmDeadline)][-1]
        assert arming.number == self.memory.deadline_armed
        return self.happens(facts.DeadlinePassed(arming.number), after_ms=arming.delay_ms)

    def outcome(self) -> Outcome:
        """What became of the last fact."""
        return self.last.steps[0].outcome

    # --- shortcuts ----------------------------------------------------------------------------------------

    def links_come_up(self) -> list[Effect]:
        """All links open; returns the effects of the last one."""
        effects: list[Effect] = []
        for role in Role:
            effects = self.happens(facts.LinkOpened(role, attempt=1))
        return effects

    def listening(self, mode: TurnMode = MANUAL) -> Call:
        """All links are up, and the caller records."""
        self.handle(facts.RecordingStarted(mode, START))
        self.links_come_up()
        assert self.state == "quiet"
        return self

    def finalizing(self, mode: TurnMode = MANUAL) -> Call:
        """The caller's turn is over, its words are awaited."""
        self.listening(mode)
        self.handle(facts.RecordingStopped(STOP), after_ms=1000)
        assert self.state == "finalizing"
        return self

    def thinking(self, words: str = "hello", mode: TurnMode = MANUAL) -> Call:
        """The caller said `words`, the model was asked."""
        self.finalizing(mode)
        self.final(words)
        assert self.state == "generating"
        return self

    def speaking(self, *segments: str, mode: TurnMode = MANUAL) -> Call:
        """The answer `segments` is complete and being spoken, nothing heard yet."""
        self.thinking(mode=mode)
        self.answers(*segments or ("Yes indeed.",))
        assert self.state == "speaking"
        return self

    def saying_goodbye(self, mode: TurnMode = MANUAL) -> Call:
        """The model failed for the third time in a row: the last words are being said, nothing heard yet."""
        self.thinking(mode=mode)
        for _ in range(2):
            self.handle(facts.GenerationFailed(self.memory.answer.generation, FATAL))
            self.heard_all()
            self.handle(facts.RecordingStopped())
            self.final("again")
        self.handle(facts.GenerationFailed(self.memory.answer.generation, FATAL))
        assert self.state == "speaking"
        return self

    def final(self, words: str) -> list[Effect]:
        """The awaited words arrive."""
        turn = self.memory.turns.awaited
        assert turn is not None
        return self.happens(facts.TranscriptFinal(turn, words, confidence=0.9, speech_ms=800), after_ms=100)

    def answers(self, *segments: str) -> None:
        """The model generates a whole answer."""
        for number, text in enumerate(segments):
            self.segment(number, text)
        self.handle(facts.GenerationFinished(self.memory.answer.generation))

    def segment(self, number: int, text: str) -> list[Effect]:
        """The model has another segment."""
        return self.happens(facts.SegmentReady(self.memory.answer.generation, number, text), after_ms=50)

    @property
    def utterance(self) -> int:
        """The answer that is being spoken."""
        assert self.memory.answer.speech_open is not None
        return self.memory.answer.speech_open

    def voiced(self, segment: int, *words: str, word_ms: float = 100) -> None:
        """A segment's audio is there, with each word as long as the others."""
        times = tuple(Word(word, n * word_ms, (n + 1) * word_ms) for n, word in enumerate(words))
        self.handle(
            facts.SegmentVoiced(
                self.utterance,
                segment,
                word_ms * len(words),
                words=times,
                attempt=self.memory.answer.speech_attempt,
            )
        )

    def plays(self, position_ms: float = 0, *, playing: bool = True) -> None:
        """Playback is known to be at a position."""
        self.handle(facts.PlaybackAt(self.utterance, position_ms, playing))

    def voice_fails(self, failure: ProviderFailure = PASSING, voiced_ms: float = 0.0) -> list[Effect]:
        """The voice breaks off."""
        fact = facts.SynthesisFailed(
            self.utterance, failure, voiced_ms, attempt=self.memory.answer.speech_attempt
        )
        return self.happens(fact)

    def heard_all(self) -> list[Effect]:
        """The caller has heard the whole answer."""
        return self.happens(facts.PlaybackFinished(self.utterance))

    def exchange(self, words: str, answer: str) -> None:
        """A whole exchange: the caller's words, and an answer that is heard to its end."""
        self.handle(facts.RecordingStarted(self.memory.recording.mode))
        self.handle(facts.RecordingStopped())
        self.final(words)
        self.answers(answer)
        self.heard_all()
        assert self.state == "quiet"


def asked(effects: list[do.Effect]) -> list[str]:
    """What the model is asked."""
    return [each.messages[-1].text for each in effects if isinstance(each, do.StartGeneration)]


def effects_of(call: Call, kind: type[do.Effect]) -> list[do.Effect]:
    """All effects of a kind since the call began."""
    return [effect for effect in call.all_effects if isinstance(effect, kind)]


def reopened(call: Call, role: Role) -> None:
    """A link that is being replaced comes up again."""
    call.handle(facts.LinkOpened(role, call.system.links[role].context.attempt))


def told_of_answers(call: Call) -> list[do.Effect]:
    """What the caller's side knows of answers."""
    kinds = (do.NotifyAnswerStarted, do.NotifyAnswerEnded, do.NotifySegment, do.Speak, do.StopSpeech)
    return [effect for effect in call.all_effects if isinstance(effect, kinds)]
