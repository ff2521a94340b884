"""An example of testing a host's own policy: whatever callers and providers do, the invariants hold.

    pytest examples/policy_model.py

The machines are pure, so hours of calls can be tried in seconds without providers, clock and sockets.
Hypothesis makes up calls, fact by fact, and shows the shortest one that violates an invariant.
"""

from __future__ import annotations

from attrs import evolve
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from machines import effects as do
from machines import facts
from machines.facts import EndReason, ErrorClass, Fact, ProviderFailure, Role, TurnMode
from machines.policy import ConversationPolicy
from machines.system import Charts, ConversationSystem

HOTLINE = ConversationPolicy(
    system_prompt="You answer questions about bicycles.",
    greeting="Welcome to the bicycle hotline.",
    reprompt="Pardon?",
    idle_after_ms=20_000,
    idle_goodbye="Nobody is there. Goodbye.",
    hand_over=True,
)
CHARTS = Charts()
"""Made once, and shared by all calls."""
FAILURE = ProviderFailure(ErrorClass.FATAL, "the model is broken")


class HotlineCalls(RuleBasedStateMachine):
    """One call: the rules are what can happen, the invariants what must be true after each."""

    policy = HOTLINE

    def __init__(self) -> None:
        super().__init__()
        self.system = ConversationSystem(self.policy, CHARTS)
        self.now_ms = 0.0
        self.effects: list[do.Effect] = []
        self.deadline: do.ArmDeadline | None = None
        self.turn_due: int | None = None
        """The turn whose final transcript is awaited."""
        self.generation: int | None = None
        """The answer that is being generated."""
        self.segments = 0
        self.voice = False
        """Whether the caller is speaking."""
        self._note(self.system.start(0.0).effects)

    # --- what can happen ----------------------------------------------------------------------------------

    @initialize()
    def the_phone_is_picked_up(self) -> None:
        self._happens(facts.RecordingStarted(TurnMode.AUTOMATIC))
        for role in Role:
            self._happens(facts.LinkOpened(role, attempt=1))

    @precondition(lambda self: not self.voice)
    @rule()
    def the_caller_speaks(self) -> None:
        self.voice = True
        self._happens(facts.SpeechStarted())

    @precondition(lambda self: self.voice)
    @rule()
    def the_caller_falls_silent(self) -> None:
        self.voice = False
        self._happens(facts.SpeechStopped(speech_ms=800))

    @precondition(lambda self: self.turn_due is not None)
    @rule()
    def words_are_understood(self) -> None:
        self._happens(facts.TranscriptFinal(self.turn_due or 0, "How do I mend a tyre?", 0.9, 800))

    @precondition(lambda self: self.turn_due is not None)
    @rule()
    def nothing_is_understood(self) -> None:
        self._happens(facts.TranscriptFinal(self.turn_due or 0, ""))

    @precondition(lambda self: self.generation is not None)
    @rule()
    def the_model_says_a_sentence(self) -> None:
        self._happens(facts.SegmentReady(self.generation or 0, self.segments, "You need a patch."))
        self.segments += 1

    @precondition(lambda self: self.generation is not None)
    @rule()
    def the_model_ends(self) -> None:
        self._happens(facts.GenerationFinished(self.generation or 0))

    @precondition(lambda self: self.generation is not None)
    @rule()
    def the_model_fails(self) -> None:
        self._happens(facts.GenerationFailed(self.generation or 0, FAILURE))

    @rule()
    def everything_said_was_heard(self) -> None:
        finished = [effect.generation for effect in self.effects if isinstance(effect, do.FinishSpeech)]
        if finished:
            self._happens(facts.PlaybackFinished(finished[-1]))

    @precondition(lambda self: self.deadline is not None)
    @rule()
    def time_passes(self) -> None:
        assert self.deadline is not None
        self.now_ms += self.deadline.delay_ms
        self._happens(facts.DeadlinePassed(self.deadline.number))

    # --- invariants ---------------------------------------------------------------------------------

    @invariant()
    def the_greeting_comes_first(self) -> None:
        said = [effect.text for effect in self.effects if isinstance(effect, do.Speak)]
        caller_was_first = any(isinstance(effect, do.FinalizeTurn) for effect in self.effects)
        assert not said or said[0] == self.policy.greeting or caller_was_first

    @invariant()
    def no_call_waits_for_ever(self) -> None:
        """A deadline is set, or something else will happen, unless the caller is speaking."""
        assert self.deadline is not None or self.voice or self.system.ended

    @invariant()
    def nobody_is_left_without_a_word(self) -> None:
        """A call that we end ends with words, and is handed over to a person if the model is broken."""
        reasons = [effect.reason for effect in self.effects if isinstance(effect, do.CloseConversation)]
        said = [effect.text for effect in self.effects if isinstance(effect, do.Speak)]
        if reasons == [EndReason.IDLE]:
            assert said[-1] == self.policy.idle_goodbye
        elif reasons == [EndReason.HANDED_OVER]:
            assert said[-1] == self.policy.fallback.third
        else:
            assert reasons == []

    # --- what was observed --------------------------------------------------------------------------

    def _happens(self, fact: Fact) -> None:
        self.now_ms += 1
        self._note(self.system.handle(evolve(fact, at_ms=self.now_ms)).effects)

    def _note(self, effects: tuple[do.Effect, ...]) -> None:
        self.effects += effects
        for effect in effects:
            match effect:
                case do.ArmDeadline():
                    self.deadline = effect
                case do.DisarmDeadline():
                    self.deadline = None
                case do.FinalizeTurn(turn=turn):
                    self.turn_due = turn
                case do.StartGeneration(generation=generation):
                    self.generation, self.segments = generation, 0
                case do.CancelGeneration():
                    self.generation = None


TestHotline = HotlineCalls.TestCase
