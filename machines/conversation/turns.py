"""The caller's turns: where they begin and end, and those that wait to be answered."""

from __future__ import annotations

from machines import effects as do
from machines import facts
from machines.conversation import callers_words, new_turn
from machines.conversation.context import Context, Continuation
from machines.declarations import causes
from machines.driver import Chart
from machines.facts import Fact


class Turns(Chart[Context]):
    """Guards and actions on turns."""

    # --- guards ------------------------------------------------------------------------------------------

    def automatic(self) -> bool:
        """Voice activity or the speech-to-text provider decides when a turn is over, not the caller."""
        return self.context.recording.automatic()

    def speaking_on(self) -> bool:
        """The caller has spoken on after the turn ended, or over an answer."""
        return self.context.turns.speaking_on()

    def pausing_again(self) -> bool:
        """The caller has spoken on after the turn ended, and paused again."""
        return self.context.turns.continuation is Continuation.PAUSED

    def in_first_recording(self) -> bool:
        """A client's first recording goes on. It interrupts nothing, and what is said in it counts."""
        return self.context.recording.in_first()

    def turns_wait(self) -> bool:
        """The words of a queued turn are known and wait to be answered."""
        return bool(self.context.turns.queue)

    def transcripts_pending(self) -> bool:
        """The final transcript of a queued turn is still to come."""
        return bool(self.context.turns.queued)

    # --- actions -----------------------------------------------------------------------------------------

    @causes(do.BeginTurn)
    def begin_turn(self) -> None:
        """Give the caller's next words a turn of their own."""
        new_turn.begin_turn(self.context)

    @causes(do.FinalizeTurn, do.BeginTurn)
    def end_turn(self, fact: Fact) -> None:
        """End the turn: ask for its final transcript, and begin the next one."""
        interim = self.context.turns.interim
        self.context.turns.awaited = self.context.turns.current
        self.context.turns.greeted = True
        self.context.turns.waits = 0
        self.context.ask(do.FinalizeTurn(self.context.turns.current))
        new_turn.begin_next_turn(self.context)
        self.context.turns.interim = interim
        self.context.turns.times.turn_over = fact.at_ms

    @causes(do.NotifyTranscript, do.NotifyLowConfidence, do.BeginTurn)
    def end_turn_with_words(self, fact: facts.EndOfTurn) -> None:
        """End the turn with the words that the speech-to-text provider gave with its end."""
        self.context.turns.times.turn_over = fact.at_ms
        self.context.turns.greeted = True
        callers_words.keep_transcript(self.context, fact)
        new_turn.begin_next_turn(self.context)

    @causes(do.FinalizeTurn, do.BeginTurn)
    def queue_turn(self) -> None:
        """End a turn while another one is answered: ask for its final transcript, and let it wait."""
        self.context.turns.queued += (self.context.turns.current,)
        self.context.ask(do.FinalizeTurn(self.context.turns.current))
        new_turn.begin_next_turn(self.context)

    @causes(do.NotifyTranscript, do.NotifyLowConfidence)
    def queue_words(self, fact: facts.TranscriptFinal) -> None:
        """Queue the words of a turn that waits."""
        self.forget_queued_turn(fact)
        callers_words.notify_transcript(self.context, fact)
        text = self.context.said(fact)
        if text:
            callers_words.queue_words(self.context, text)

    @causes()
    def forget_queued_turn(self, fact: facts.TranscriptFinal) -> None:
        """The words of a queued turn are here: it is waited for no more."""
        left = (turn for turn in self.context.turns.queued if turn != fact.turn)
        self.context.turns.queued = tuple(left)

    @causes()
    def forget_queued_turns(self) -> None:
        """Give up waiting for the words of queued turns."""
        self.context.turns.queued = ()

    @causes()
    def next_turn(self) -> None:
        """Take the words that have waited longest, to be answered."""
        first, *others = self.context.turns.queue
        self.context.turns.queue = ()
        self.context.turns.caller_words = self.context.turns.join(first)
        self.context.turns.queue = tuple(others)

    @causes()
    def note_score(self, fact: facts.TurnScored) -> None:
        """Keep how complete the turn model takes the turn to be."""
        self.context.turns.completeness = fact.completeness

    @causes()
    def note_voice(self) -> None:
        """The caller speaks, in the turn itself: nothing that was known of its end holds any more."""
        self.context.turns.continuation = Continuation.NONE
        self.context.turns.completeness = None
        self.context.turns.times.voice_ended = None

    @causes()
    def note_voice_end(self, fact: facts.SpeechStopped) -> None:
        """Keep when the caller's voice ended."""
        self.context.turns.continuation = Continuation.NONE
        self.context.turns.times.voice_ended = fact.at_ms

    @causes()
    def note_speaking_on(self) -> None:
        """The caller speaks again before the words of the last turn are known."""
        self.context.turns.times.voice_ended = None
        self.context.turns.continuation = Continuation.SPEAKING

    @causes()
    def note_pausing_again(self, fact: facts.SpeechStopped) -> None:
        """The caller spoke again before the words of the last turn are known, and pauses now."""
        self.context.turns.times.voice_ended = fact.at_ms
        self.context.turns.continuation = Continuation.PAUSED
