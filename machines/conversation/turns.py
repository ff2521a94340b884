"""The caller's turns: where one begins, where it ends, and those that wait to be answered."""

from __future__ import annotations

from machines import effects as do
from machines import facts
from machines.conversation.context import Continuation, TurnTimes
from machines.conversation.transcripts import Transcripts
from machines.declarations import causes
from machines.facts import Fact, TurnMode


class Turns(Transcripts):
    """Guards and actions on turns."""

    # --- guards ------------------------------------------------------------------------------------------

    def automatic(self) -> bool:
        """Voice activity, or the speech-to-text provider, decides about turns."""
        return self.context.recording.mode is TurnMode.AUTOMATIC

    def speaking_on(self) -> bool:
        """The caller speaks again while something else is awaited."""
        return self.context.turns.continuation is Continuation.SPEAKING

    def pausing_again(self) -> bool:
        """The caller spoke again meanwhile and paused."""
        return self.context.turns.continuation is Continuation.PAUSED

    def caller_has_word(self) -> bool:
        """The caller speaks, or has not ended a recording yet."""
        by_hand = self.context.recording.mode is TurnMode.MANUAL and self.context.recording.on
        return by_hand or self.speaking_on()

    def turns_wait(self) -> bool:
        """Such a turn's words wait to be answered."""
        return bool(self.context.turns.queue)

    def words_owed(self) -> bool:
        """Such a turn's words are not known yet."""
        return bool(self.context.turns.queued)

    # --- actions -----------------------------------------------------------------------------------------

    @causes(do.BeginTurn)
    def begin_turn(self) -> None:
        self.context.turns.current += 1
        self.context.turns.interim = ""
        self.context.turns.completeness = None
        self.context.speculation.count = 0
        self.context.turns.continuation = Continuation.NONE
        self.context.turns.times = TurnTimes()
        self.context.ask(do.BeginTurn(self.context.turns.current))

    def _begin_next_turn(self) -> None:
        """What follows belongs to the next turn, and still to the same exchange."""
        times = self.context.turns.times
        self.begin_turn()
        self.context.turns.times = times

    @causes(do.FinalizeTurn, do.BeginTurn)
    def end_turn(self, fact: Fact) -> None:
        """The caller's turn is over: ask for its words, and let what follows be the next turn's."""
        interim = self.context.turns.interim
        self.context.turns.awaited = self.context.turns.current
        self.context.turns.greeted = True
        self.context.turns.waits = 0
        self.context.ask(do.FinalizeTurn(self.context.turns.current))
        self._begin_next_turn()
        self.context.turns.interim = interim
        self.context.turns.times.turn_over = fact.at_ms

    @causes(do.NotifyTranscript, do.BeginTurn)
    def take_turn(self, fact: facts.EndOfTurn) -> None:
        """The speech-to-text provider ended the turn and gave its words in one."""
        self.context.turns.times.turn_over = fact.at_ms
        self.context.turns.greeted = True
        self._keep(fact.turn, fact.text, fact.confidence, fact.speech_ms, fact.at_ms)
        self._begin_next_turn()

    @causes(do.FinalizeTurn, do.BeginTurn)
    def queue_turn(self) -> None:
        """A turn is over while another is answered: its words are asked for, and wait."""
        self.context.turns.queued += (self.context.turns.current,)
        self.context.ask(do.FinalizeTurn(self.context.turns.current))
        self._begin_next_turn()

    @causes(do.NotifyTranscript)
    def queue_words(self, fact: facts.TranscriptFinal) -> None:
        """The words of such a turn; when too many wait, the oldest two become one."""
        self.forget_queued_turn(fact)
        self.notify_words(fact)
        queue = (*self.context.turns.queue, fact.text) if fact.text else self.context.turns.queue
        if len(queue) > self.context.policy.max_queue:
            queue = (f"{queue[0]} {queue[1]}", *queue[2:])
        self.context.turns.queue = queue

    @causes()
    def forget_queued_turn(self, fact: facts.TranscriptFinal) -> None:
        left = (turn for turn in self.context.turns.queued if turn != fact.turn)
        self.context.turns.queued = tuple(left)

    @causes()
    def forget_queued_turns(self) -> None:
        self.context.turns.queued = ()

    @causes()
    def next_turn(self) -> None:
        """The turn that has waited longest is answered."""
        first, *others = self.context.turns.queue
        self.context.turns.queue = ()
        self.context.turns.caller_words = self.context.turns.join(first)
        self.context.turns.queue = tuple(others)

    @causes()
    def note_voice(self) -> None:
        self.context.turns.continuation = Continuation.NONE
        self.context.turns.completeness = None
        self.context.turns.times.voice_ended = None

    @causes()
    def note_voice_end(self, fact: facts.SpeechStopped) -> None:
        self.context.turns.continuation = Continuation.NONE
        self.context.turns.times.voice_ended = fact.at_ms

    @causes()
    def note_speaking_on(self) -> None:
        self.context.turns.times.voice_ended = None
        self.context.turns.continuation = Continuation.SPEAKING

    @causes()
    def note_pausing_again(self, fact: facts.SpeechStopped) -> None:
        self.context.turns.times.voice_ended = fact.at_ms
        self.context.turns.continuation = Continuation.PAUSED
