"""What the caller was understood to say, and speech to text that owes words."""

from __future__ import annotations

from machines import effects as do
from machines import facts
from machines.conversation.context import Context
from machines.declarations import causes
from machines.driver import Chart
from machines.facts import Fact, Role

LEAST_SPEECH_MS = 300
"""Less voice than this is a cough or a click (as for the embedded speech to text)."""


class Transcripts(Chart[Context]):
    """Guards and actions on transcripts."""

    # --- guards ------------------------------------------------------------------------------------------

    def about_awaited_turn(self, fact: facts.TranscriptionFailed) -> bool:
        """It is the turn whose final transcript is awaited, not the one after it."""
        return fact.turn == self.context.turns.awaited

    def about_queued_turn(self, fact: facts.TranscriptFinal | facts.TranscriptionFailed) -> bool:
        """It is a turn that ended while another was being answered."""
        return fact.turn in self.context.turns.queued

    def understood(self, fact: facts.TranscriptFinal | facts.EndOfTurn) -> bool:
        """There are words to answer: in this transcript, or unanswered ones from before."""
        return bool(self.context.turns.join(self.context.own_words(fact.turn, fact.text)))

    def understood_so_far(self) -> bool:
        """The same, by the interim transcript."""
        context = self.context
        turn = context.turns.awaited or context.turns.current
        return bool(context.turns.join(context.own_words(turn, context.turns.interim)))

    def voice_without_words(self, fact: facts.TranscriptFinal) -> bool:
        """The caller spoke and was not understood, and is to be asked again."""
        echo = bool(fact.text)
        return fact.speech_ms >= LEAST_SPEECH_MS and bool(self.context.policy.reprompt) and not echo

    def first_wait(self) -> bool:
        """Half the time for the final transcript is left."""
        return self.context.turns.waits == 0

    def stt_silent(self) -> bool:
        """Half the time is over without a single word: speech to text may be open and silent."""
        return self.context.turns.waits == 0 and not self.context.turns.interim

    def fallback_stt_ready(self) -> bool:
        """Another provider of speech to text stands ready, and there is time for it."""
        return self.context.turns.waits == 0 and Role.STT in self.context.links.fallbacks_ready

    # --- actions -----------------------------------------------------------------------------------------

    @causes(do.NotifyTranscript)
    def note_interim(self, fact: facts.TranscriptInterim | facts.EagerEndOfTurn) -> None:
        """Interim words of the turn in question; those of the turn after it are told in their time."""
        if fact.turn == (
            self.context.turns.current if self.context.turns.awaited is None else self.context.turns.awaited
        ):
            self.context.turns.interim = fact.text
            self._notify_words(fact.turn, fact.text, fact.confidence, is_final=False)

    @causes(do.NotifyTranscript)
    def notify_words(self, fact: facts.TranscriptFinal) -> None:
        """What becomes of them is for others to say."""
        self._notify_words(fact.turn, fact.text, fact.confidence, is_final=True, speech_ms=fact.speech_ms)

    @causes(do.NotifyTranscript)
    def discard_words(self, fact: facts.TranscriptFinal) -> None:
        """What was said over an answer needs none, and is forgotten."""
        self.notify_words(fact)
        self.give_up_words()

    @causes()
    def give_up_words(self) -> None:
        """The words of the turn in question are not waited for any more."""
        self.context.turns.awaited = None
        self.context.turns.interim = ""

    @causes(do.NotifyTranscript)
    def keep_words(self, fact: facts.TranscriptFinal) -> None:
        self._keep(fact.turn, fact.text, fact.confidence, fact.speech_ms, fact.at_ms)

    @causes(do.NotifyTranscript)
    def keep_interim(self, fact: Fact) -> None:
        """No final transcript will come: the interim one is what the caller said."""
        turn = self.context.turns.awaited or self.context.turns.current
        self._keep(turn, self.context.turns.interim, 0.0, 0.0, fact.at_ms)

    def _keep(self, turn: int, text: str, confidence: float, speech_ms: float, at_ms: float) -> None:
        self._notify_words(turn, text, confidence, is_final=True, speech_ms=speech_ms)
        text = self.context.own_words(turn, text)
        if text:
            self.context.turns.nudges = 0
        self.context.turns.caller_words = self.context.turns.join(text)
        self.context.turns.queue = ()
        self.context.turns.awaited = None
        self.context.turns.interim = ""
        self.context.turns.times.words_known = at_ms

    def _notify_words(
        self, turn: int, text: str, confidence: float, *, is_final: bool, speech_ms: float = 0.0
    ) -> None:
        self.context.ask(do.NotifyTranscript(turn, text, confidence, is_final, speech_ms))

    @causes()
    def wait_longer(self) -> None:
        self.context.turns.waits += 1

    @causes(do.ReplaceLink)
    def suspect_stt(self, fact: Fact) -> None:
        """Speech to text owes words and does not give them: another link may, with the same audio."""
        if not isinstance(fact, facts.TranscriptionFailed) or fact.turn == self.context.turns.awaited:
            self.context.turns.waits += 1
        late = facts.ProviderFailure(facts.ErrorClass.TIMEOUT, "no transcript came in time")
        failure = fact.failure if isinstance(fact, facts.TranscriptionFailed) else late
        self.context.ask(do.ReplaceLink(Role.STT, failure))

    @causes(do.NotifyClientError)
    def report_no_transcript(self) -> None:
        message = "speech to text gave no transcript in time"
        self.context.ask(do.NotifyClientError(do.ClientError.TRANSCRIPTION_FAILED, message, retryable=True))

    @causes(do.NotifyClientError)
    def report_stt_failed(self, fact: facts.TranscriptionFailed) -> None:
        self._notify_client_error(do.ClientError.TRANSCRIPTION_FAILED, fact.failure)

    def _notify_client_error(self, error: do.ClientError, failure: facts.ProviderFailure) -> None:
        self.context.ask(do.NotifyClientError(error, failure.message, failure.error_class.retryable))
