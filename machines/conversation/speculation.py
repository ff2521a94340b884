"""Speculative answers: the model is asked before it is sure that the turn is over."""

from __future__ import annotations

from machines import effects as do
from machines import facts
from machines.conversation.answers import Answers
from machines.declarations import causes
from machines.facts import Fact, Role
from machines.phrases import words_of


class Speculation(Answers):
    """Guards and actions on speculation."""

    # --- guards ------------------------------------------------------------------------------------------

    def can_speculate(self, fact: facts.EagerEndOfTurn) -> bool:
        """The model may be asked now what it would answer if the turn ends with these words.

        It is not asked while its tool calls are open: what becomes of them depends on how the turn goes on.
        """
        if self.calls_awaited():
            return False
        left = self.context.speculation.count < self.context.policy.speculations
        words = self.context.turns.join(self.context.said(fact))
        return left and bool(words) and Role.LLM in self.context.links.up

    def matches_speculation(self, fact: facts.EagerEndOfTurn | facts.EndOfTurn) -> bool:
        """The words are those that the model was asked to answer."""
        return words_of(self.context.turns.join(fact.text)) == words_of(self.context.speculation.words)

    def speculation_has_text(self) -> bool:
        """The speculative answer has at least one segment."""
        return bool(self.context.speculation.segments)

    # --- actions -----------------------------------------------------------------------------------------

    @causes(do.StartGeneration)
    def speculate(self, fact: facts.EagerEndOfTurn) -> None:
        """Ask the model for an answer to these words before it is sure that the turn is over."""
        self.context.speculation.words = self.context.turns.join(fact.text)
        self.context.speculation.count += 1
        self._request(fact.at_ms, said="", words=self.context.speculation.words)

    @causes()
    def keep_speculative_segment(self, fact: facts.SegmentReady) -> None:
        """Keep a segment of the speculative answer; it is said only if the answer is adopted."""
        self.context.answer.alive_at = fact.at_ms
        self.context.speculation.segments += (fact,)

    @causes()
    def note_speculation_complete(self) -> None:
        """The model has given the whole speculative answer."""
        self.context.answer.generation_open = None

    @causes(do.CancelGeneration)
    def drop_speculation(self) -> None:
        """Drop the speculative answer. No client was told of it."""
        self._cancel_generation()
        self.forget_speculation()

    @causes()
    def forget_speculation(self) -> None:
        """The model failed to give the speculative answer: ask anew when the turn is over."""
        self.context.answer.generation_open = None
        self.context.answer.requests = 0
        self._close_speculation()

    @causes(do.NotifyAnswerStarted, do.CancelTool)
    def adopt_speculation(self, fact: Fact) -> None:
        """Make the speculative answer a regular one: the turn ended with the expected words."""
        self._go_on_from_calls(fact.at_ms)
        self.context.answer.thinking_began = fact.at_ms
        self.context.ask(do.NotifyAnswerStarted(self.context.answer.generation))
        self._close_speculation()

    @causes(do.NotifyAnswerStarted, do.CancelTool, do.Speak, do.NotifySegment, do.FinishSpeech)
    def say_speculation(self, fact: Fact) -> None:
        """Make the speculative answer a regular one, and say what there is of it."""
        speculative_segments = self.context.speculation.segments
        self.adopt_speculation(fact)
        self._begin_reply(fact.at_ms)
        for segment in speculative_segments:
            self._say(segment.text, segment.markup)
        if not self.still_generating():
            self._finish_speech()

    def _close_speculation(self) -> None:
        self.context.speculation.words, self.context.speculation.segments = "", ()
