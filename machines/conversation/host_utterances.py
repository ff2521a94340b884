"""Host utterances: what the host program wants said."""

from __future__ import annotations

from machines import effects as do
from machines import facts
from machines.conversation.fallback_texts import FallbackTexts
from machines.declarations import causes
from machines.facts import Fact, SayMode


class HostUtterances(FallbackTexts):
    """Guards and actions on host utterances."""

    # --- guards ------------------------------------------------------------------------------------------

    def urgent(self, fact: facts.SayRequested) -> bool:
        """It is said instead of an answer."""
        return fact.mode is SayMode.INTERRUPT and not self.goodbye()

    def can_say_now(self, fact: facts.SayRequested) -> bool:
        """The caller does not speak, and what has time waits for nothing else."""
        if self.caller_has_word() or self.greets() or self.context.host_utterances:
            return False
        return fact.mode is not SayMode.WHEN_IDLE or not (self.turns_wait() or self.words_owed())

    def host_utterance_due(self) -> bool:
        """The host wants something said next."""
        first = next(iter(self.context.host_utterances), None)
        return first is not None and first.mode is not SayMode.WHEN_IDLE and not self.caller_has_word()

    def idle_host_utterance_due(self) -> bool:
        """The host wants something said, and nothing else waits any more."""
        return bool(self.context.host_utterances) and not (self.words_owed() or self.caller_has_word())

    def room_for_host_utterance(self) -> bool:
        """Not too much waits already."""
        return len(self.context.host_utterances) < self.context.policy.max_host_utterances

    # --- actions -----------------------------------------------------------------------------------------

    @causes(do.Speak, do.NotifySegment, do.FinishSpeech)
    def say_host_utterance(self, fact: facts.SayRequested) -> None:
        self._say_for_host(fact, fact.at_ms)

    @causes()
    def queue_host_utterance(self, fact: facts.SayRequested) -> None:
        """It waits; what is urgent goes before what is not, and what has time after everything else."""
        order = (facts.SayMode.INTERRUPT, facts.SayMode.QUEUE, facts.SayMode.WHEN_IDLE)
        waiting = (*self.context.host_utterances, fact)
        self.context.host_utterances = tuple(sorted(waiting, key=lambda each: order.index(each.mode)))

    @causes(do.Speak, do.NotifySegment, do.FinishSpeech)
    def say_next_host_utterance(self, fact: Fact) -> None:
        """What waits first is said."""
        first, *others = self.context.host_utterances
        self.context.host_utterances = tuple(others)
        self._say_for_host(first, fact.at_ms)

    def _say_for_host(self, wanted: facts.SayRequested, at_ms: float) -> None:
        self.context.answer.end_after = wanted.then
        self._say_instead(wanted.text, at_ms, protected=not wanted.interruptible, tones=wanted.tones)

    @causes()
    def answer_later(self) -> None:
        """The caller's words, whose answer was given up for something else, wait to be answered."""
        if self.context.turns.caller_words:
            self.context.turns.queue = (self.context.turns.caller_words, *self.context.turns.queue)
            self.context.turns.caller_words = ""
