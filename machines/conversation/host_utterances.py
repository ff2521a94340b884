"""Host utterances: texts that the host program wants said."""

from __future__ import annotations

from machines import effects as do
from machines import facts
from machines.conversation import waiting
from machines.conversation.context import Context
from machines.conversation.speech import say_instead
from machines.declarations import causes
from machines.driver import Chart
from machines.facts import Fact, SayMode


class HostUtterances(Chart[Context]):
    """Guards and actions on host utterances."""

    # --- guards ------------------------------------------------------------------------------------------

    def replaces_answer(self, fact: facts.SayRequested) -> bool:
        """The host wants this said instead of the answer, and the answer is not a goodbye."""
        return fact.mode is SayMode.INTERRUPT and self.context.answer.end_after is None

    def can_say_now(self, fact: facts.SayRequested) -> bool:
        """The caller does not have the word, and nothing else is to be said first."""
        context = self.context
        if context.caller_has_word() or waiting.greeting_due(context) or context.host_utterances:
            return False
        return fact.mode is not SayMode.WHEN_IDLE or not (context.turns.queue or context.turns.queued)

    def host_utterance_due(self) -> bool:
        """A text of the host that is not for idle times waits, and the caller does not have the word."""
        return waiting.host_utterance_due(self.context)

    def idle_host_utterance_due(self) -> bool:
        """A text of the host waits, no transcript is pending, and the caller does not have the word."""
        return waiting.idle_host_utterance_due(self.context)

    def room_for_host_utterance(self) -> bool:
        """There is room in the queue for another text of the host."""
        return len(self.context.host_utterances) < self.context.policy.max_host_utterances

    # --- actions -----------------------------------------------------------------------------------------

    @causes(do.Speak, do.NotifySegment, do.FinishSpeech)
    def say_host_utterance(self, fact: facts.SayRequested) -> None:
        """Say the host's text now."""
        self._say_for_host(fact, fact.at_ms)

    @causes()
    def queue_host_utterance(self, fact: facts.SayRequested) -> None:
        """Queue the text: those that replace an answer first, those for idle times last."""
        order = (facts.SayMode.INTERRUPT, facts.SayMode.QUEUE, facts.SayMode.WHEN_IDLE)
        waiting = (*self.context.host_utterances, fact)
        self.context.host_utterances = tuple(sorted(waiting, key=lambda each: order.index(each.mode)))

    @causes(do.Speak, do.NotifySegment, do.FinishSpeech)
    def say_next_host_utterance(self, fact: Fact) -> None:
        """Say the first text in the queue."""
        first, *others = self.context.host_utterances
        self.context.host_utterances = tuple(others)
        self._say_for_host(first, fact.at_ms)

    def _say_for_host(self, wanted: facts.SayRequested, at_ms: float) -> None:
        self.context.answer.end_after = wanted.then
        say_instead(self.context, wanted.text, at_ms, protected=not wanted.interruptible, tones=wanted.tones)

    @causes()
    def answer_later(self) -> None:
        """Queue the caller's words again: their answer was given up for a text of the host."""
        if self.context.turns.caller_words:
            self.context.turns.queue = (self.context.turns.caller_words, *self.context.turns.queue)
            self.context.turns.caller_words = ""
