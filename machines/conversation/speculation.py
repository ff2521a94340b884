"""Speculative answers: the model is asked before it is sure that the turn is over.

A speech-to-text provider that decides about turns says when it expects the end (`EagerEndOfTurn`). With any
other the caller's pause says it: the model is asked with the interim words as soon as they are stable, while
the endpoint delay runs and the final transcript is made. The answer is used if the final words are the same.
"""

from __future__ import annotations

from machines import effects as do
from machines import facts
from machines.conversation.asking_early import may_ask, words_stable_at, words_with
from machines.conversation.context import Context
from machines.conversation.endpointing import pause_over_at
from machines.conversation.generation import cancel_generation, request_answer
from machines.conversation.running_calls import go_on_from_calls
from machines.conversation.speech import begin_reply, finish_speech, say
from machines.declarations import causes
from machines.driver import SLACK_MS, Chart
from machines.evidence import Evidence
from machines.facts import Fact, Role
from machines.phrases import words_of

WholeWords = facts.EagerEndOfTurn | facts.EndOfTurn | facts.TranscriptFinal
"""The facts that hold all words of a turn, as expected or as known."""


class Speculation(Chart[Context]):
    """Guards and actions on speculation."""

    # --- guards ------------------------------------------------------------------------------------------

    def can_speculate(self, fact: facts.EagerEndOfTurn) -> bool:
        """The model may be asked now what it would answer if the turn ends with these words."""
        return may_ask(self.context, words_with(self.context, fact.turn, self.context.said(fact)))

    def words_stable(self, fact: Fact) -> bool:
        """The caller pauses, and the words so far will hardly change: the model may be asked with them."""
        stable = fact.at_ms + SLACK_MS >= words_stable_at(self.context)
        return stable and fact.at_ms + SLACK_MS < pause_over_at(self.context, fact.at_ms)

    def other_words(self, fact: facts.TranscriptInterim) -> bool:
        """The words of the current turn are not those that the model was asked to answer.

        A provider that decides about turns says itself when an expected end is off.
        """
        current = fact.turn == self.context.turns.current and not self.context.links.ends_turns
        if not current or self.context.evidence(fact) is Evidence.NOISE:
            return False
        return not self._asked_with(fact.turn, fact.text)

    def matches_speculation(self, fact: WholeWords) -> bool:
        """The words are those that the model was asked to answer."""
        expected = isinstance(fact, facts.EagerEndOfTurn)
        return self._asked_with(fact.turn, fact.text if expected else self.context.said(fact))

    def speculation_has_text(self) -> bool:
        """The speculative answer has at least one segment."""
        return bool(self.context.speculation.segments)

    def _asked_with(self, turn: int, text: str) -> bool:
        words = words_of(words_with(self.context, turn, text))
        return bool(words) and words == words_of(self.context.speculation.words)

    # --- actions -----------------------------------------------------------------------------------------

    @causes(do.StartGeneration)
    def speculate(self, fact: facts.EagerEndOfTurn) -> None:
        """Ask the model for an answer to these words before it is sure that the turn is over."""
        self._speculate(words_with(self.context, fact.turn, fact.text), fact.at_ms)

    @causes(do.StartGeneration)
    def speculate_in_pause(self, fact: Fact) -> None:
        """Ask the model for an answer to the words so far: the caller pauses, and may have finished."""
        turns = self.context.turns
        self._speculate(words_with(self.context, turns.current, turns.interim), fact.at_ms)

    def _speculate(self, words: str, at_ms: float) -> None:
        self.context.speculation.words = words
        self.context.speculation.count += 1
        request_answer(self.context, at_ms, said="", words=words)

    @causes(do.PrepareSpeech)
    def keep_speculative_segment(self, fact: facts.SegmentReady) -> None:
        """Keep a segment of the speculative answer; it is said only if the answer is adopted.

        The first one is synthesized in advance, if the policy wants it.
        """
        speculation = self.context.speculation
        self.context.answer.alive_at = fact.at_ms
        if not speculation.segments and self._prepares_speech():
            speculation.prepared = fact.generation
            self.context.ask(do.PrepareSpeech(fact.generation, 0, fact.markup or fact.text))
        speculation.segments += (fact,)

    def _prepares_speech(self) -> bool:
        return self.context.policy.speculative_speech and Role.TTS in self.context.links.up

    @causes()
    def note_speculation_complete(self) -> None:
        """The model has given the whole speculative answer."""
        self.context.answer.generation_open = None

    @causes(do.CancelGeneration, do.DropSpeech)
    def drop_speculation(self) -> None:
        """Drop the speculative answer, if there is one. No client was told of it."""
        cancel_generation(self.context)
        self._forget()

    @causes(do.DropSpeech)
    def forget_speculation(self) -> None:
        """The model failed to give the speculative answer: ask anew when the turn is over."""
        self.context.speculation.failed = self.context.speculation.words
        self._forget()

    def _forget(self) -> None:
        self.context.answer.generation_open = None
        self.context.answer.requests = 0
        if self.context.speculation.prepared is not None:
            self.context.ask(do.DropSpeech(self.context.speculation.prepared))
        self._close_speculation()

    @causes(do.NotifyAnswerStarted, do.CancelTool)
    def adopt_speculation(self, fact: Fact) -> None:
        """Make the speculative answer a regular one: the turn ended with the expected words."""
        go_on_from_calls(self.context, fact.at_ms)
        self.context.answer.thinking_began = fact.at_ms
        self.context.ask(do.NotifyAnswerStarted(self.context.answer.generation))
        self._close_speculation()

    @causes(do.NotifyAnswerStarted, do.CancelTool, do.Speak, do.NotifySegment, do.FinishSpeech)
    def say_speculation(self, fact: Fact) -> None:
        """Make the speculative answer a regular one, and say what there is of it."""
        speculative_segments = self.context.speculation.segments
        self.adopt_speculation(fact)
        begin_reply(self.context, fact.at_ms)
        for segment in speculative_segments:
            say(self.context, segment.text, segment.markup)
        if not self.context.answer.still_generating():
            finish_speech(self.context)

    def _close_speculation(self) -> None:
        speculation = self.context.speculation
        speculation.words, speculation.segments, speculation.prepared = "", (), None
