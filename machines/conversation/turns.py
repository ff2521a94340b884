"""The conversation machine's actions on links, requests and the caller's turns."""

from __future__ import annotations

from machines import effects as do
from machines import facts
from machines.conversation.context import Continuation, TurnTimes
from machines.conversation.guards import Guards
from machines.declarations import causes
from machines.facts import EndReason, Fact, Role, TurnMode


class TurnActions(Guards):
    """What is done about links, requests, turns and words."""

    # --- actions: links -----------------------------------------------------------------------------------

    @causes()
    def note_link(self, fact: facts.LinkUp) -> None:
        context, role = self.context, frozenset({fact.role})
        context.links_up |= role
        context.fallbacks_ready = (
            context.fallbacks_ready | role if fact.fallback_ready else context.fallbacks_ready - role
        )
        if fact.role is Role.STT:
            context.ends_turns = fact.ends_turns

    @causes()
    def note_link_lost(self, fact: facts.LinkLost) -> None:
        """It is being replaced, by another provider if one stands ready."""
        self.context.links_up -= {fact.role}
        self.context.recovered -= {each for each in self.context.recovered if each[0] is fact.role}

    @causes()
    def note_recovered(self, fact: facts.PreferredProviderRecovered) -> None:
        """Going back must wait until nobody speaks."""
        self.context.recovered |= {(fact.role, fact.provider)}

    @causes(do.ReturnLink)
    def return_to(self, fact: facts.PreferredProviderRecovered) -> None:
        self.context.ask(do.ReturnLink(fact.role, fact.provider))

    @causes(do.NotifyClientError)
    def report_link_lost(self, fact: facts.LinkDown) -> None:
        self.context.ask(do.NotifyClientError(UNAVAILABLE[fact.role], fact.failure.message, retryable=False))
        self.context.end_reason = EndReason.PROVIDER_UNAVAILABLE

    @causes(do.NotifyClientError)
    def report_links_late(self) -> None:
        for role in Role:
            if role not in self.context.links_up:
                message = f"{role.name} was not ready within {self.context.policy.connect_timeout_ms:.0f} ms"
                self.context.ask(do.NotifyClientError(UNAVAILABLE[role], message, retryable=True))
        self.context.end_reason = EndReason.PROVIDER_UNAVAILABLE

    # --- actions: requests --------------------------------------------------------------------------------

    @causes()
    def note_recording(self, fact: facts.RecordingStarted) -> None:
        """A recording begins; its acknowledgement waits until somebody listens."""
        self.context.turn_mode = fact.turn_mode
        self.context.recording = True
        if fact.turn_mode is TurnMode.MANUAL:
            # From now on the caller's voice decides nothing.
            self.context.continuation = Continuation.NONE
        self.context.stop_pending = False
        self._await_answer(fact.request)

    @causes()
    def note_recording_meanwhile(self, fact: facts.RecordingStarted) -> None:
        """A recording begins while an answer is given that cannot be interrupted."""
        self.context.turn_mode = fact.turn_mode
        self.context.recording = True

    @causes()
    def note_recording_again(self, fact: facts.RecordingStarted) -> None:
        """A recording begins before the words of the last one are known: they will be joined."""
        self.context.turn_mode = fact.turn_mode
        self.context.recording = True
        self.note_recording_on()

    @causes()
    def note_recording_on(self) -> None:
        """The recording goes on: what was said so far is not all."""
        self.context.continuation = Continuation.RECORDING

    @causes()
    def note_early_stop(self, fact: facts.RecordingStopped) -> None:
        self.context.stop_pending = True
        self.context.recording = False
        if fact.request is not None:
            self.context.early_stops += (fact.request,)

    @causes()
    def await_early_words(self) -> None:
        """Stops that came before the links were up wait for the words, like any other."""
        self.context.unanswered += self.context.early_stops
        self.context.early_stops = ()

    @causes()
    def await_words(self, fact: facts.RecordingStopped) -> None:
        """The acknowledgement waits for the final transcript."""
        self.context.recording = False
        self._await_answer(fact.request)
        if self.context.continuation is Continuation.RECORDING:
            # Recorded and stopped again while finalizing: those words are decoded like any pause's.
            self.context.continuation = Continuation.PAUSED

    @causes(do.Acknowledge)
    def acknowledge_start(self, fact: facts.RecordingStarted) -> None:
        self._acknowledge_now(fact.request)

    @causes(do.Acknowledge)
    def acknowledge_stop(self, fact: facts.RecordingStopped) -> None:
        self.context.recording = False
        self._acknowledge_now(fact.request)

    @causes(do.Acknowledge)
    def acknowledge(self) -> None:
        """Answer every request that waited."""
        self.context.ask(*(do.Acknowledge(request) for request in self.context.unanswered))
        self.context.unanswered = ()

    @causes(do.Refuse)
    def refuse_start(self, fact: facts.RecordingStarted) -> None:
        self._refuse_now(fact.request)

    @causes(do.Refuse)
    def refuse_stop(self, fact: facts.RecordingStopped) -> None:
        self._refuse_now(fact.request)

    @causes(do.Refuse)
    def refuse(self, fact: facts.TranscriptionFailed) -> None:
        """Answer every request that waited with the error: never an acknowledgement and an error both."""
        self._refuse_all(fact.failure.message)

    def _await_answer(self, request: facts.Request | None) -> None:
        if request is not None:
            self.context.unanswered += (request,)

    def _acknowledge_now(self, request: facts.Request | None) -> None:
        if request is not None:
            self.context.ask(do.Acknowledge(request))

    def _refuse_now(self, request: facts.Request | None) -> None:
        """The conversation is being closed: nothing will be recorded."""
        if request is not None:
            self.context.ask(do.Refuse(request, "the conversation is ending"))

    def _refuse_all(self, message: str) -> None:
        self.await_early_words()
        self.context.ask(*(do.Refuse(request, message) for request in self.context.unanswered))
        self.context.unanswered = ()

    # --- actions: turns -----------------------------------------------------------------------------------

    @causes(do.BeginTurn)
    def begin_turn(self) -> None:
        self.context.turn += 1
        self.context.interim = ""
        self.context.completeness = None
        self.context.speculations = 0
        self.context.continuation = Continuation.NONE
        self.context.times = TurnTimes()
        self.context.ask(do.BeginTurn(self.context.turn))

    @causes(do.BeginTurn)
    def listen_anew(self) -> None:
        """A new turn begins after an answer, unless what was said during the answer counts too."""
        if self.speaking_on():
            self.note_echoing_turn()
        elif self.interruptible():
            self.begin_turn()

    @causes()
    def note_echoing_turn(self) -> None:
        """The voice that is heard began while we spoke."""
        self.context.echoing_turn = self.context.turn

    def _begin_next_turn(self) -> None:
        """What follows belongs to the next turn, and still to the same exchange."""
        times = self.context.times
        self.begin_turn()
        self.context.times = times

    @causes(do.FinalizeTurn, do.BeginTurn)
    def end_turn(self, fact: Fact) -> None:
        """The caller's turn is over: ask for its words, and let what follows be the next turn's."""
        interim = self.context.interim
        self.context.turn_awaited = self.context.turn
        self.context.greeted = True
        self.context.waits = 0
        self.context.ask(do.FinalizeTurn(self.context.turn))
        self._begin_next_turn()
        self.context.interim = interim
        self.context.times.turn_over = fact.at_ms

    @causes(do.NotifyTranscript, do.BeginTurn)
    def take_turn(self, fact: facts.EndOfTurn) -> None:
        """The speech-to-text provider ended the turn and gave its words in one."""
        self.context.times.turn_over = fact.at_ms
        self.context.greeted = True
        self._keep(fact.turn, fact.text, fact.confidence, fact.speech_ms, fact.at_ms)
        self._begin_next_turn()

    @causes(do.FinalizeTurn, do.BeginTurn)
    def queue_turn(self) -> None:
        """A turn is over while another is answered: its words are asked for, and wait."""
        self.context.turns_queued += (self.context.turn,)
        self.context.ask(do.FinalizeTurn(self.context.turn))
        self._begin_next_turn()

    @causes(do.NotifyTranscript)
    def queue_words(self, fact: facts.TranscriptFinal) -> None:
        """The words of such a turn; when too many wait, the oldest two become one."""
        self.forget_queued_turn(fact)
        self.notify_words(fact)
        queue = (*self.context.queue, fact.text) if fact.text else self.context.queue
        if len(queue) > self.context.policy.max_queue:
            queue = (f"{queue[0]} {queue[1]}", *queue[2:])
        self.context.queue = queue

    @causes()
    def forget_queued_turn(self, fact: facts.TranscriptFinal) -> None:
        left = (turn for turn in self.context.turns_queued if turn != fact.turn)
        self.context.turns_queued = tuple(left)

    @causes()
    def forget_queued_turns(self) -> None:
        self.context.turns_queued = ()

    @causes()
    def next_turn(self) -> None:
        """The turn that has waited longest is answered."""
        first, *others = self.context.queue
        self.context.queue = ()
        self.context.caller_words = self.context.join(first)
        self.context.queue = tuple(others)

    @causes()
    def note_echoing_words(self) -> None:
        """The words that are awaited were said while we spoke."""
        self.context.echoing_turn = self.context.turn_awaited

    @causes()
    def note_noise(self) -> None:
        """Voice that goes on without words will go on: it is not waited for again."""
        self.context.false_alarms = max(
            self.context.false_alarms, self.context.policy.barge_in_false_alarms - 1
        )

    @causes()
    def note_voice_after_answer(self, fact: facts.SpeechStarted) -> None:
        """Where there is an echo, its end comes a little later than what it is of."""
        said_at = self.context.said_at
        if not self.pauses_on_voice() and said_at is not None and fact.at_ms - said_at <= LATE_ECHO_MS:
            self.note_echoing_turn()

    @causes()
    def note_voice(self) -> None:
        self.context.continuation = Continuation.NONE
        self.context.completeness = None
        self.context.times.voice_ended = None

    @causes()
    def note_score(self, fact: facts.TurnScored) -> None:
        self.context.completeness = fact.completeness

    @causes()
    def note_voice_end(self, fact: facts.SpeechStopped) -> None:
        self.context.continuation = Continuation.NONE
        self.context.times.voice_ended = fact.at_ms

    @causes()
    def note_speaking_on(self) -> None:
        self.context.times.voice_ended = None
        self.context.continuation = Continuation.SPEAKING

    @causes()
    def note_pausing_again(self, fact: facts.SpeechStopped) -> None:
        self.context.times.voice_ended = fact.at_ms
        self.context.continuation = Continuation.PAUSED

    @causes(do.NotifyTranscript)
    def note_interim(self, fact: facts.TranscriptInterim | facts.EagerEndOfTurn) -> None:
        """Interim words of the turn in question; those of the turn after it are told in their time."""
        if fact.turn == (
            self.context.turn if self.context.turn_awaited is None else self.context.turn_awaited
        ):
            self.context.interim = fact.text
            self._notify_words(fact.turn, fact.text, fact.confidence, is_final=False)

    @causes(do.NotifyTranscript)
    def notify_words(self, fact: facts.TranscriptFinal) -> None:
        """What becomes of them is for others to say."""
        self._notify_words(fact.turn, fact.text, fact.confidence, is_final=True, speech_ms=fact.speech_ms)

    @causes(do.NotifyTranscript)
    def overhear(self, fact: facts.TranscriptFinal) -> None:
        """What was said over an answer needs none, and is forgotten."""
        self.notify_words(fact)
        self.give_up_words()

    @causes()
    def give_up_words(self) -> None:
        """The words of the turn in question are not waited for any more."""
        self.context.turn_awaited = None
        self.context.interim = ""

    @causes(do.NotifyTranscript)
    def keep_words(self, fact: facts.TranscriptFinal) -> None:
        self._keep(fact.turn, fact.text, fact.confidence, fact.speech_ms, fact.at_ms)

    @causes(do.NotifyTranscript)
    def keep_interim(self, fact: Fact) -> None:
        """No final transcript will come: the interim one is what the caller said."""
        turn = self.context.turn_awaited or self.context.turn
        self._keep(turn, self.context.interim, 0.0, 0.0, fact.at_ms)

    def _keep(self, turn: int, text: str, confidence: float, speech_ms: float, at_ms: float) -> None:
        self._notify_words(turn, text, confidence, is_final=True, speech_ms=speech_ms)
        text = self.context.own_words(turn, text)
        if text:
            self.context.nudges = 0
        self.context.caller_words = self.context.join(text)
        self.context.queue = ()
        self.context.turn_awaited = None
        self.context.interim = ""
        self.context.times.words_known = at_ms

    def _notify_words(
        self, turn: int, text: str, confidence: float, *, is_final: bool, speech_ms: float = 0.0
    ) -> None:
        self.context.ask(do.NotifyTranscript(turn, text, confidence, is_final, speech_ms))

    # --- actions: the telephone's keys --------------------------------------------------------------------

    @causes()
    def note_digit(self, fact: facts.DigitPressed) -> None:
        self.context.greeted = True
        self.context.digits += fact.digit

    @causes(do.NotifyTranscript, do.BeginTurn)
    def take_digits(self, fact: Fact) -> None:
        """The string is complete, and is what the caller has said; nothing that was heard meanwhile is."""
        policy, digits = self.context.policy, self.context.digits
        if isinstance(fact, facts.DigitPressed) and fact.digit != policy.digits_terminator:
            digits += fact.digit
        self.context.digits = ""
        self.context.times.turn_over = fact.at_ms
        self._keep(self.context.turn, policy.digits_words.format(" ".join(digits)), 1.0, 0.0, fact.at_ms)
        self._begin_next_turn()

    # --- actions: the ears --------------------------------------------------------------------------------

    @causes()
    def wait_on(self) -> None:
        self.context.waits += 1

    @causes(do.ReplaceLink)
    def suspect_stt(self, fact: Fact) -> None:
        """Speech to text owes words and does not give them: another link may, with the same audio."""
        if not isinstance(fact, facts.TranscriptionFailed) or fact.turn == self.context.turn_awaited:
            self.context.waits += 1
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


LATE_ECHO_MS = 600
"""Voice that begins so long after an answer may be its echo: 400 ms of delay, and that of the voice gate."""
UNAVAILABLE = {
    Role.STT: do.ClientError.STT_UNAVAILABLE,
    Role.LLM: do.ClientError.LLM_UNAVAILABLE,
    Role.TTS: do.ClientError.TTS_UNAVAILABLE,
}
