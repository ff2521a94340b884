"""Interruptions: whether voice over an answer is one, and what then becomes of the answer."""

from __future__ import annotations

from machines import effects as do
from machines import facts
from machines.conversation.answers import Answers
from machines.declarations import causes
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

WORDS_AHEAD = 2
"""An echo may hold this many words more than are known to have been heard."""
LATE_ECHO_MS = 600
"""Voice that begins so long after an answer may be its echo: 400 ms of delay, and that of voice activity."""
Words = facts.TranscriptInterim | facts.TranscriptFinal | facts.EagerEndOfTurn | facts.EndOfTurn


class Interruptions(Answers):
    """Guards and actions on interruptions."""

    # --- guards ------------------------------------------------------------------------------------------

    def voidable(self) -> bool:
        """Who speaks while an answer is prepared takes up the word again."""
        policy = self.context.policy
        return policy.barge_in and policy.barge_in_thinking and not self.call_blocks()

    def interruptible(self) -> bool:
        """Who speaks over what is being said interrupts it; if not, it is answered afterwards."""
        return self.context.policy.barge_in and not self.context.answer.protected and not self.call_blocks()

    def barge_in_allowed(self) -> bool:
        """So it will be with an answer that begins now."""
        return self.context.policy.barge_in and not self.call_blocks()

    def pauses_on_voice(self) -> bool:
        """Voice holds the answer at once; if it was in vain too often, only words do."""
        return self.context.answer.false_alarms < self.context.policy.barge_in_false_alarms

    def voice_interrupts(self) -> bool:
        """No words are needed."""
        return self.context.policy.barge_in_min_words == 0

    def brief(self, fact: facts.SpeechStopped) -> bool:
        """A cough or a click, too short to say anything."""
        return fact.speech_ms < self.context.policy.barge_in_min_ms

    def about_this_turn(self, fact: facts.TranscriptInterim | facts.EagerEndOfTurn) -> bool:
        """It is no turn that waits to be answered afterwards."""
        return fact.turn in (self.context.turns.current, self.context.turns.awaited)

    def is_interruption(self, fact: Words) -> bool:
        """The caller says something of their own, not what was said to them, nor a mere "go on"."""
        policy, ends = self.context.policy, self.nearly_said(fact)
        heard, unheard = self.context.answer.ledger.split(fact.at_ms)
        said = words_of(fact.text)
        # A reply may take up the last words ("Monday or Tuesday?"); an echo would have been met before them.
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

    def nearly_said(self, fact: Fact) -> bool:
        """So little is left of what is being said, if anything, that short words are a reply to it."""
        ledger = self.context.answer.ledger
        over = self.context.answer.speech_open is None
        rest_known = over or (self.context.answer.generation_open is None and ledger.every_segment_voiced())
        return rest_known and ledger.remaining_ms(fact.at_ms) <= self.context.policy.backchannel_end_ms

    # --- actions -----------------------------------------------------------------------------------------

    @causes(do.PauseSpeech)
    def pause_speech(self) -> None:
        """Somebody seems to cut in: silence, until it is known whether they do."""
        number = self.context.answer.speech_open
        assert number is not None, "only what is being said is held"
        self.context.ask(do.PauseSpeech(number))

    @causes(do.ResumeSpeech, do.RunTool)
    def resume_speech(self, fact: Fact) -> None:
        """It was a false alarm."""
        number = self.context.answer.speech_open
        assert number is not None, "only what is held is resumed"
        self.context.answer.false_alarms += 1
        self.context.ask(do.ResumeSpeech(number))
        self.run_calls(fact)

    @causes(do.CancelGeneration, do.StopSpeech, do.NotifyInterrupted, do.NotifyAnswerEnded)
    def interrupt_answer(self, fact: Fact) -> None:
        """The caller cuts in: silence, and history keeps what was heard."""
        number = self._stop_speech(do.StopCause.INTERRUPTED)
        heard_ms = self.context.answer.ledger.heard_ms(fact.at_ms)
        heard, unheard = self.context.answer.ledger.split(fact.at_ms)
        self.context.ask(do.NotifyInterrupted(number, heard, unheard, heard_ms))
        self.context.answer.end_after = None
        self.context.answer.false_alarms = 0
        self._end_speech(fact.at_ms)

    @causes(do.BeginTurn)
    def begin_turn_after_answer(self) -> None:
        """A new turn begins after an answer, unless what was said during the answer counts too."""
        if self.speaking_on():
            self.note_echoing_turn()
        elif self.interruptible():
            self.begin_turn()

    @causes()
    def note_echoing_turn(self) -> None:
        """The voice that is heard began while we spoke."""
        self.context.turns.echoing = self.context.turns.current

    @causes()
    def note_echoing_words(self) -> None:
        """The words that are awaited were said while we spoke."""
        self.context.turns.echoing = self.context.turns.awaited

    @causes()
    def note_noise(self) -> None:
        """Voice that goes on without words will go on: it is not waited for again."""
        self.context.answer.false_alarms = max(
            self.context.answer.false_alarms, self.context.policy.barge_in_false_alarms - 1
        )

    @causes()
    def note_voice_after_answer(self, fact: facts.SpeechStarted) -> None:
        """Where there is an echo, its end comes a little later than what it is of."""
        said_at = self.context.answer.said_at
        if not self.pauses_on_voice() and said_at is not None and fact.at_ms - said_at <= LATE_ECHO_MS:
            self.note_echoing_turn()
