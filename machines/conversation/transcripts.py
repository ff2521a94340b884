"""What the caller was understood to say, and what happens if speech to text does not give the words."""

from __future__ import annotations

from machines import effects as do
from machines import facts
from machines.conversation import callers_words
from machines.conversation.context import Context
from machines.conversation.failure_reports import log_failure, notify_client_error
from machines.declarations import causes
from machines.driver import Chart
from machines.evidence import Evidence, sure_without_voice
from machines.facts import Fact, Role
from machines.phrases import without_echo, words_of

LEAST_SPEECH_MS = 300
"""Less voice than this without words is a cough or a click."""


class Transcripts(Chart[Context]):
    """Guards and actions on transcripts."""

    # --- guards ------------------------------------------------------------------------------------------

    def about_awaited_turn(self, fact: facts.TranscriptionFailed) -> bool:
        """The failure is about the turn whose final transcript is awaited, not about the one after it."""
        return fact.turn == self.context.turns.awaited

    def about_queued_turn(self, fact: facts.TranscriptFinal | facts.TranscriptionFailed) -> bool:
        """The fact is about a turn that ended while another one was being answered."""
        return fact.turn in self.context.turns.queued

    def understood(self, fact: facts.TranscriptFinal | facts.EndOfTurn) -> bool:
        """There are words to answer: in this transcript, or unanswered ones from before."""
        return bool(self.context.turns.join(self.context.own_words(fact.turn, self.context.said(fact))))

    def understood_so_far(self) -> bool:
        """There are words to answer: in the interim transcript, or unanswered ones from before."""
        context = self.context
        turn = context.turns.awaited or context.turns.current
        return bool(context.turns.join(context.own_words(turn, context.turns.interim)))

    def voice_without_words(self, fact: facts.TranscriptFinal | facts.EndOfTurn) -> bool:
        """The caller spoke and was not understood: there are unsure words, or none and a reprompt for it."""
        if fact.text:
            return self.context.evidence(fact) is Evidence.UNSURE and fact.turn != self.context.turns.echoing
        return fact.speech_ms >= LEAST_SPEECH_MS and bool(self.context.policy.reprompt)

    def words_without_voice(self, fact: facts.TranscriptInterim) -> bool:
        """Speech to text is sure of the current turn's words, though voice activity detection noticed no
        voice. They are not the answer's echo."""
        if fact.voice is None or fact.turn != self.context.turns.current:
            return False
        certain = sure_without_voice(fact.text, fact.confidence, fact.voice, self.context.policy.language)
        return certain and bool(without_echo(fact.text, self.context.answer.ledger.text()))

    def first_wait(self) -> bool:
        """Only the first half of the time for the final transcript is over."""
        return self.context.turns.waits == 0

    def stt_silent(self) -> bool:
        """The first half of the time is over without a single word: speech to text may have stalled."""
        return self.context.turns.waits == 0 and not self.context.turns.interim

    def fallback_stt_ready(self) -> bool:
        """Another speech-to-text provider is ready, and the second half of the time is left for it."""
        return self.context.turns.waits == 0 and Role.STT in self.context.links.fallbacks_ready

    # --- actions -----------------------------------------------------------------------------------------

    @causes(do.NotifyTranscript)
    def note_interim(self, fact: facts.TranscriptInterim | facts.EagerEndOfTurn) -> None:
        """Note interim words, and tell the client, if they are words of the turn that matters now."""
        matters = (
            self.context.turns.current if self.context.turns.awaited is None else self.context.turns.awaited
        )
        evidence = self.context.evidence(fact)
        if fact.turn == matters and evidence is not Evidence.NOISE:
            self._note_change(fact)
            self.context.turns.interim = fact.text
            self.context.turns.interim_sure = evidence is Evidence.SURE
            callers_words.notify_words(self.context, fact.turn, fact.text, fact.confidence, is_final=False)

    def _note_change(self, fact: facts.TranscriptInterim | facts.EagerEndOfTurn) -> None:
        """Keep when the words changed, and how long after the voice, if that was in a pause."""
        turns = self.context.turns
        if words_of(fact.text) == words_of(turns.interim):
            return
        turns.interim_at = fact.at_ms
        if turns.awaited is None and turns.times.voice_ended is not None:
            late_ms = fact.at_ms - turns.times.voice_ended
            if late_ms < self.context.policy.endpoint_delay_ms:
                turns.words_late_ms = late_ms

    @causes(do.NotifyTranscript, do.NotifyLowConfidence)
    def notify_words(self, fact: facts.TranscriptFinal) -> None:
        """Tell the client the final words, or that the transcript does not count as words."""
        callers_words.notify_transcript(self.context, fact)

    @causes(do.NotifyTranscript, do.NotifyLowConfidence)
    def discard_words(self, fact: facts.TranscriptFinal) -> None:
        """Tell the client the words, and forget them: they did not interrupt the answer."""
        self.notify_words(fact)
        self.give_up_words()

    @causes()
    def give_up_words(self) -> None:
        """Stop waiting for the final transcript."""
        self.context.turns.awaited = None
        self.context.turns.interim = ""

    @causes(do.NotifyTranscript, do.NotifyLowConfidence)
    def keep_words(self, fact: facts.TranscriptFinal) -> None:
        """Take the final transcript as words of the caller, and tell the client if it is doubtful."""
        callers_words.keep_transcript(self.context, fact)

    @causes(do.NotifyTranscript)
    def keep_interim(self, fact: Fact) -> None:
        """Use the interim transcript as the caller's words: no final one will come."""
        turn = self.context.turns.awaited or self.context.turns.current
        callers_words.keep(self.context, turn, self.context.turns.interim, 0.0, 0.0, fact.at_ms)

    @causes()
    def wait_longer(self) -> None:
        """Wait for the final transcript for the other half of its time."""
        self.context.turns.waits += 1

    @causes(do.ReplaceLink, do.LogFailure)
    def suspect_stt(self, fact: Fact) -> None:
        """Have the link machine replace the speech-to-text link. The new one gets the same audio."""
        if not isinstance(fact, facts.TranscriptionFailed) or fact.turn == self.context.turns.awaited:
            self.context.turns.waits += 1
        late = facts.ProviderFailure(facts.ErrorClass.TIMEOUT, "no transcript came in time")
        failure = fact.failure if isinstance(fact, facts.TranscriptionFailed) else late
        if not isinstance(fact, facts.TranscriptionFailed):
            self._log_stt_failure(failure, fact.at_ms)
        self.context.ask(do.ReplaceLink(Role.STT, failure))

    @causes(do.NotifyClientError)
    def report_no_transcript(self) -> None:
        """Tell the client that the words of a turn did not come in time."""
        message = "speech to text gave no transcript in time"
        self.context.ask(do.NotifyClientError(do.ClientError.TRANSCRIPTION_FAILED, message, retryable=True))

    def _log_stt_failure(self, failure: facts.ProviderFailure, at_ms: float) -> None:
        """Log that the words of a turn that is over did not come."""
        turns = self.context.turns
        since = max(turns.times.turn_over or 0.0, self.context.answer.said_at or 0.0, turns.stt_failed_at)
        turns.stt_failed_at = at_ms
        waited_ms = min(at_ms - since, self.context.policy.final_transcript_timeout_ms)
        log_failure(self.context, Role.STT, failure, waited_ms)

    @causes(do.NotifyClientError, do.LogFailure)
    def report_stt_failed(self, fact: facts.TranscriptionFailed) -> None:
        """Tell the client why speech to text gave no words."""
        if fact.turn == self.context.turns.awaited:
            self._log_stt_failure(fact.failure, fact.at_ms)
        notify_client_error(self.context, do.ClientError.TRANSCRIPTION_FAILED, fact.failure)
