"""Interruptions: whether voice over an answer is one, and what becomes of the answer."""

from __future__ import annotations

from machines import effects as do
from machines import facts
from machines.conversation import new_turn, running_calls
from machines.conversation.context import Context
from machines.conversation.speech import end_speech, stop_speech
from machines.declarations import causes
from machines.driver import Chart
from machines.facts import Fact
from machines.language.scripts import joined
from machines.phrases import (
    backchannels_for,
    first_words,
    occurs_late,
    without_backchannels,
    without_echo,
    words_of,
)
from machines.tools import OnInterruption

WORDS_AHEAD = 2
"""An echo may hold this many words beyond those known to have been heard."""
LATE_ECHO_MS = 600
"""Voice that begins within this time after an answer may be its echo. 400 ms are the echo's own delay, the
rest is the delay of voice activity detection."""


class Interruptions(Chart[Context]):
    """Guards and actions on interruptions."""

    # --- guards ------------------------------------------------------------------------------------------

    def can_void_answer(self) -> bool:
        """The caller can still void the answer by speaking."""
        policy = self.context.policy
        return policy.barge_in and policy.barge_in_thinking and not self._call_blocks()

    def interruptible(self) -> bool:
        """The caller can interrupt the answer by speaking. If not, what they say is answered afterwards."""
        return self.context.policy.barge_in and not self.context.answer.protected and not self._call_blocks()

    def barge_in_allowed(self) -> bool:
        """The caller will be able to interrupt an answer that begins now."""
        return self.context.policy.barge_in and not self._call_blocks()

    def pauses_on_voice(self) -> bool:
        """Voice pauses the answer at once. After too many false alarms it does not; only words do."""
        return self.context.answer.false_alarms < self.context.policy.barge_in_false_alarms

    def voice_interrupts(self) -> bool:
        """Voice alone interrupts, without words."""
        return self.context.policy.barge_in_min_words == 0

    def too_short_for_words(self, fact: facts.SpeechStopped) -> bool:
        """The voice was too short to hold words: a cough or a click."""
        return fact.speech_ms < self.context.policy.barge_in_min_ms

    def about_this_turn(self, fact: facts.TranscriptInterim | facts.EagerEndOfTurn) -> bool:
        """The words belong to the current or the awaited turn, not to a queued one."""
        return fact.turn in (self.context.turns.current, self.context.turns.awaited)

    def is_interruption(self, fact: facts.Transcribed) -> bool:
        """The caller says something of their own: neither an echo of the answer nor a backchannel."""
        if not self.context.said(fact):
            return False
        policy, ends = self.context.policy, self._nearly_said(fact)
        heard, unheard = self.context.answer.ledger.split(fact.at_ms)
        said = words_of(fact.text)
        # A reply may repeat the last words ("Monday or Tuesday?"); an echo would have been noticed earlier.
        if not (
            ends
            and self.context.answer.false_alarms == 0
            and occurs_late(said, self.context.answer.ledger.text())
        ):
            said = without_echo(fact.text, joined(heard, first_words(unheard, WORDS_AHEAD)))
        backchannels = backchannels_for(fact.text, policy.backchannels, policy.language)
        if len(without_backchannels(said, backchannels)) >= max(1, policy.barge_in_min_words):
            return True
        return bool(said) and ends

    def _call_blocks(self) -> bool:
        """A tool call is running that the caller's voice does not interrupt."""
        return bool(self.context.running_calls(OnInterruption.BLOCK))

    def _nearly_said(self, fact: Fact) -> bool:
        """So little of the answer is left that a backchannel is a reply to it."""
        ledger = self.context.answer.ledger
        over = self.context.answer.speech_open is None
        rest_known = over or (self.context.answer.generation_open is None and ledger.every_segment_voiced())
        return rest_known and ledger.remaining_ms(fact.at_ms) <= self.context.policy.backchannel_end_ms

    # --- actions -----------------------------------------------------------------------------------------

    @causes(do.PauseSpeech)
    def pause_speech(self) -> None:
        """Pause the answer until it is known whether the voice is an interruption."""
        number = self.context.answer.speech_open
        assert number is not None, "only an answer that is being spoken is paused"
        self.context.ask(do.PauseSpeech(number))

    @causes(do.ResumeSpeech, do.RunTool)
    def resume_speech(self, fact: Fact) -> None:
        """Resume the answer after a false alarm."""
        number = self.context.answer.speech_open
        assert number is not None, "only an answer that is paused is resumed"
        self.context.answer.false_alarms += 1
        self.context.ask(do.ResumeSpeech(number))
        running_calls.run_calls(self.context, fact.at_ms)

    @causes(do.CancelGeneration, do.StopSpeech, do.NotifyInterrupted, do.NotifyAnswerEnded)
    def interrupt_answer(self, fact: Fact) -> None:
        """Stop the answer. What was heard of it becomes history."""
        number = stop_speech(self.context, do.StopCause.INTERRUPTED)
        heard_ms = self.context.answer.ledger.heard_ms(fact.at_ms)
        heard, unheard = self.context.answer.ledger.split(fact.at_ms)
        self.context.ask(do.NotifyInterrupted(number, heard, unheard, heard_ms))
        self.context.answer.end_after = None
        self.context.answer.false_alarms = 0
        end_speech(self.context, fact.at_ms)

    @causes(do.BeginTurn)
    def begin_turn_after_answer(self) -> None:
        """Begin a new turn, unless what the caller said during the answer counts too."""
        if self.context.turns.speaking_on():
            self.note_echoing_turn()
        elif self.interruptible() and not self.context.recording.in_first():
            new_turn.begin_turn(self.context)

    @causes()
    def note_echoing_turn(self) -> None:
        """Remember that the current turn began during the answer, so that it may hold its echo."""
        self.context.turns.echoing = self.context.turns.current

    @causes()
    def note_echoing_words(self) -> None:
        """Remember that the awaited words were said during the answer, so that they may be its echo."""
        self.context.turns.echoing = self.context.turns.awaited

    @causes()
    def note_noise(self) -> None:
        """Count false alarms so that, after one more, voice without words does not pause an answer again."""
        self.context.answer.false_alarms = max(
            self.context.answer.false_alarms, self.context.policy.barge_in_false_alarms - 1
        )

    @causes()
    def note_voice_after_answer(self, fact: facts.SpeechStarted) -> None:
        """If there was an echo before, remember that a turn just after an answer may be its echo."""
        said_at = self.context.answer.said_at
        if not self.pauses_on_voice() and said_at is not None and fact.at_ms - said_at <= LATE_ECHO_MS:
            self.note_echoing_turn()
