"""The conversation machine: five states, and everything that moves a conversation between them.

Every decision that changes what a caller hears or what is remembered is in this file. It does no I/O, reads
no clock and draws no ids: the same facts give the same effects. `diagrams/` is drawn from it.
"""

from __future__ import annotations

from typing import ClassVar

from statemachine import State

from machines import effects as do
from machines import facts
from machines.context import Context, Continuation, TurnTimes
from machines.declarations import Ignored, causes, ignored, stay
from machines.driver import Chart
from machines.facts import EndReason, Fact, Role, TurnMode
from machines.playback import PlaybackLedger


class Conversation(Chart[Context]):
    """Five states with their substates; then, event by event, what happens in them."""

    class INITIALIZING(State.Compound):
        connecting = State(initial=True)

    class LISTENING(State.Compound):
        quiet = State(initial=True)
        hearing = State()
        pausing = State()
        finalizing = State()

    class THINKING(State.Compound):
        generating = State(initial=True)
        retrying = State()

    class RESPONDING(State.Compound):
        speaking = State(initial=True)
        deciding = State()

    class ENDING(State.Compound):
        closing = State(initial=True)
        ended = State(final=True)

    connecting = INITIALIZING.connecting
    quiet, hearing, pausing, finalizing = (
        LISTENING.quiet,
        LISTENING.hearing,
        LISTENING.pausing,
        LISTENING.finalizing,
    )
    generating, retrying = THINKING.generating, THINKING.retrying
    speaking, deciding = RESPONDING.speaking, RESPONDING.deciding
    closing, ended = ENDING.closing, ENDING.ended

    turn_is_open = (quiet, hearing, pausing)
    listening = (*turn_is_open, finalizing)
    thinking = (generating, retrying)
    responding = (speaking, deciding)
    answering = (*thinking, *responding)
    in_conversation = (*listening, *answering)
    ending = (closing, ended)

    # --- links --------------------------------------------------------------------------------------------
    link_up = (
        connecting.to(
            finalizing,
            cond="last_link and stop_pending",
            on=["note_link", "begin_turn", "acknowledge", "await_early_words", "end_turn"],
        )
        | connecting.to(
            quiet, cond="last_link", on=["note_link", "begin_turn", "await_early_words", "acknowledge"]
        )
        | stay(connecting, unless="last_link", on=["note_link"])
        | stay(*in_conversation, on=["note_link"])
    )
    link_down = closing.from_(connecting, *listening, on=["tell_link_lost", "leave"]) | closing.from_(
        *answering, on=["tell_link_lost", "end_answer", "leave"]
    )

    # --- the caller's hands -------------------------------------------------------------------------------
    recording_started = (
        stay(connecting, on=["note_recording"])
        | pausing.to(quiet, cond="by_hand", on=["note_recording", "acknowledge"])
        | stay(pausing, unless="by_hand", on=["note_recording", "acknowledge"])
        | stay(quiet, hearing, on=["note_recording", "acknowledge"])
        | stay(finalizing, on=["note_recording_again", "acknowledge_start"])
        | quiet.from_(*thinking, on=["void_answer", "note_recording", "acknowledge"])
        | speaking.to(quiet, on=["interrupt_answer", "begin_turn", "note_recording", "acknowledge"])
        | deciding.to(hearing, on=["interrupt_answer", "note_recording", "acknowledge"])
        | stay(closing, on=["refuse_start"])
    )
    recording_stopped = (
        stay(connecting, on=["note_early_stop"])
        | finalizing.from_(*turn_is_open, on=["await_words", "end_turn"])
        | stay(finalizing, on=["await_words"])
        | stay(*answering, on=["acknowledge_stop"])
        | stay(closing, on=["refuse_stop"])
    )
    interrupt_requested = (
        quiet.from_(*thinking, on=["void_answer"])
        | speaking.to(quiet, on=["interrupt_answer", "begin_turn"])
        | deciding.to(hearing, on=["interrupt_answer"])
    )
    hung_up = closing.from_(connecting, *listening, on=["leave"]) | closing.from_(
        *answering, on=["end_answer", "leave"]
    )

    # --- the caller's voice -------------------------------------------------------------------------------
    speech_started = (
        hearing.from_(quiet, pausing, on=["note_voice"])
        | stay(finalizing, cond="automatic", on=["note_speaking_on"])
        | hearing.from_(*thinking, cond="automatic", on=["void_answer", "note_voice"])
        | speaking.to(deciding, cond="automatic", on=["begin_turn"])
    )
    speech_stopped = (
        hearing.to(pausing, cond="automatic", on=["note_voice_end"])
        | hearing.to(quiet, unless="automatic", on=["note_voice_end"])
        | stay(finalizing, cond="speaking_on", on=["note_pausing_again"])
        | deciding.to(speaking, on=["begin_turn"])
    )

    # --- the caller's words -------------------------------------------------------------------------------
    transcript_interim = stay(*listening, on=["note_interim"])
    transcript_final = (
        finalizing.to(hearing, cond="speaking_on", on=["keep_words", "acknowledge"])
        | finalizing.to(pausing, cond="pausing_again", on=["keep_words", "acknowledge"])
        | finalizing.to(quiet, cond="recording_on", on=["keep_words", "acknowledge"])
        | finalizing.to(generating, cond="understood", on=["keep_words", "acknowledge", "generate"])
        | finalizing.to(quiet, unless="understood", on=["keep_words", "acknowledge"])
    )
    transcription_failed = (
        stay(finalizing, unless="about_awaited_turn", on=["tell_deaf"])
        | finalizing.to(hearing, cond="speaking_on", on=["tell_deaf", "keep_interim", "acknowledge"])
        | finalizing.to(pausing, cond="pausing_again", on=["tell_deaf", "keep_interim", "acknowledge"])
        | finalizing.to(quiet, cond="recording_on", on=["tell_deaf", "keep_interim", "acknowledge"])
        | finalizing.to(
            generating, cond="understood_so_far", on=["tell_deaf", "keep_interim", "acknowledge", "generate"]
        )
        | finalizing.to(quiet, unless="understood_so_far", on=["tell_deaf", "keep_interim", "refuse"])
        | stay(*turn_is_open, *answering, on=["tell_deaf"])
    )

    # --- the model's words --------------------------------------------------------------------------------
    segment_ready = generating.to(speaking, on=["begin_answer", "speak"]) | stay(*responding, on=["speak"])
    generation_finished = generating.to(speaking, on=["tell_model_empty", "fall_back"]) | stay(
        *responding, on=["finish_answer"]
    )
    generation_failed = (
        generating.to(retrying, cond="worth_retrying", on=["prepare_retry"])
        | generating.to(speaking, unless="worth_retrying", on=["tell_model_failed", "fall_back"])
        | stay(*responding, on=["tell_model_failed", "finish_early"])
    )

    # --- our voice ----------------------------------------------------------------------------------------
    segment_voiced = stay(*responding, on=["note_voiced"])
    playback_at = stay(*responding, on=["note_position"])
    playback_finished = (
        closing.from_(*responding, cond="goodbye", on=["note_all_heard", "complete_answer", "leave"])
        | speaking.to(quiet, unless="goodbye", on=["note_all_heard", "complete_answer", "begin_turn"])
        | deciding.to(hearing, unless="goodbye", on=["note_all_heard", "complete_answer"])
    )
    synthesis_failed = (
        closing.from_(*responding, cond="goodbye", on=["lose_voice", "leave"])
        | speaking.to(quiet, unless="goodbye", on=["lose_voice", "begin_turn"])
        | deciding.to(hearing, unless="goodbye", on=["lose_voice"])
    )

    # --- time ---------------------------------------------------------------------------------------------
    deadline_passed = (
        connecting.to(closing, on=["tell_links_late", "leave"])
        | finalizing.from_(hearing, cond="automatic", on=["end_turn"])
        | finalizing.from_(hearing, unless="automatic", on=["end_turn", "note_recording_on"])
        | finalizing.from_(pausing, on=["end_turn"])
        | finalizing.to(hearing, cond="speaking_on", on=["keep_interim", "acknowledge"])
        | finalizing.to(pausing, cond="pausing_again", on=["keep_interim", "acknowledge"])
        | finalizing.to(quiet, cond="recording_on", on=["keep_interim", "acknowledge"])
        | finalizing.to(generating, cond="understood_so_far", on=["keep_interim", "acknowledge", "generate"])
        | finalizing.to(quiet, unless="understood_so_far", on=["keep_interim", "acknowledge"])
        | generating.to(speaking, on=["tell_model_late", "fall_back"])
        | retrying.to(generating, on=["generate"])
        | stay(speaking, cond="still_generating", on=["tell_model_late", "finish_early"])
        | speaking.to(closing, cond="goodbye and not still_generating", on=["lose_voice", "leave"])
        | speaking.to(quiet, unless="goodbye or still_generating", on=["lose_voice", "begin_turn"])
        | deciding.to(hearing, on=["interrupt_answer"])
        | closing.to(ended, on=["abandon"])
    )
    everything_closed = closing.to(ended)

    IGNORED: ClassVar[tuple[Ignored, ...]] = (
        *ignored(
            "link_up link_down interrupt_requested hung_up speech_started"
            " speech_stopped transcript_interim transcript_final transcription_failed segment_ready"
            " generation_finished generation_failed segment_voiced playback_at playback_finished"
            " synthesis_failed",
            ending,
            because="the conversation is over",
        ),
        *ignored(
            "recording_started recording_stopped deadline_passed everything_closed",
            (ended,),
            because="the conversation is over",
        ),
        *ignored("everything_closed", (connecting, *in_conversation), because="nobody asked to close"),
        *ignored("interrupt_requested", (connecting, *listening), because="nothing is being said"),
        *ignored(
            "speech_started speech_stopped", (connecting,), because="nobody listens before a turn begins"
        ),
        *ignored("speech_started", (hearing, deciding), because="the caller is known to be speaking"),
        *ignored(
            "speech_started",
            (finalizing, *thinking, speaking),
            because="in manual mode the caller's hand decides",
        ),
        *ignored("speech_stopped", (quiet, pausing, finalizing), because="the caller is known to be silent"),
        *ignored(
            "speech_stopped", (*thinking, speaking), because="the voice that ends here was taken already"
        ),
        *ignored("transcript_interim", (connecting,), because="no turn has begun"),
        *ignored("transcript_interim", answering, because="the next turn is not listened to yet"),
        *ignored(
            "transcript_final",
            (connecting, *turn_is_open, *answering),
            because="no final transcript is awaited",
        ),
        *ignored("transcription_failed", (connecting,), because="no turn has begun"),
        *ignored(
            "segment_ready generation_finished generation_failed",
            (connecting, *listening, retrying),
            because="nothing is being generated",
        ),
        *ignored(
            "segment_voiced playback_at playback_finished synthesis_failed",
            (connecting, *listening, *thinking),
            because="nothing is being said",
        ),
        *ignored("deadline_passed", (quiet,), because="a quiet caller is waited for as long as it takes"),
    )

    # --- guards: questions, no changes --------------------------------------------------------------------

    def last_link(self, fact: facts.LinkUp) -> bool:
        """Every other role can be used already."""
        return self.context.links_up | {fact.role} == frozenset(Role)

    def stop_pending(self) -> bool:
        """The caller ended the recording before anybody listened."""
        return self.context.stop_pending

    def automatic(self) -> bool:
        """Voice activity decides about turns."""
        return self.context.turn_mode is TurnMode.AUTOMATIC

    def by_hand(self, fact: facts.RecordingStarted) -> bool:
        """From now on the caller ends the turn."""
        return fact.turn_mode is TurnMode.MANUAL

    def speaking_on(self) -> bool:
        """The caller speaks again while the final transcript is awaited."""
        return self.context.continuation is Continuation.SPEAKING

    def pausing_again(self) -> bool:
        """The caller spoke again meanwhile and paused."""
        return self.context.continuation is Continuation.PAUSED

    def recording_on(self) -> bool:
        """The caller began another recording meanwhile."""
        return self.context.continuation is Continuation.RECORDING

    def about_awaited_turn(self, fact: facts.TranscriptionFailed) -> bool:
        """It is the turn whose final transcript is awaited, not the one after it."""
        return fact.turn == self.context.turn_awaited

    def understood(self, fact: facts.TranscriptFinal) -> bool:
        """There are words to answer: in this transcript, or unanswered ones from before."""
        return bool(self.context.join(fact.text))

    def understood_so_far(self) -> bool:
        """The same, by the interim transcript."""
        return bool(self.context.join(self.context.interim))

    def worth_retrying(self, fact: facts.GenerationFailed) -> bool:
        """Another request may succeed, and the budget has one left."""
        left = self.context.attempts <= len(self.context.policy.llm_retry_delays_ms)
        return left and fact.failure.error_class.retryable

    def still_generating(self) -> bool:
        """The model has not ended this answer."""
        return self.context.generation_open is not None

    def goodbye(self) -> bool:
        """The answer being spoken is the last one."""
        return self.context.end_after_answer is not None

    # --- actions: links -----------------------------------------------------------------------------------

    @causes()
    def note_link(self, fact: facts.LinkUp) -> None:
        self.context.links_up |= {fact.role}

    @causes(do.TellTrouble)
    def tell_link_lost(self, fact: facts.LinkDown) -> None:
        self.context.ask(do.TellTrouble(UNAVAILABLE[fact.role], fact.failure.message, retryable=False))
        self.context.end_reason = EndReason.PROVIDER_UNAVAILABLE

    @causes(do.TellTrouble)
    def tell_links_late(self) -> None:
        for role in Role:
            if role not in self.context.links_up:
                message = f"{role.name} was not ready within {self.context.policy.connect_timeout_ms:.0f} ms"
                self.context.ask(do.TellTrouble(UNAVAILABLE[role], message, retryable=True))
        self.context.end_reason = EndReason.PROVIDER_UNAVAILABLE

    # --- actions: requests --------------------------------------------------------------------------------

    @causes()
    def note_recording(self, fact: facts.RecordingStarted) -> None:
        """A recording begins; its acknowledgement waits until somebody listens."""
        self.context.turn_mode = fact.turn_mode
        self.context.stop_pending = False
        self._await_answer(fact.request)

    @causes()
    def note_recording_again(self, fact: facts.RecordingStarted) -> None:
        """A recording begins before the words of the last one are known: they will be joined."""
        self.context.turn_mode = fact.turn_mode
        self.note_recording_on()

    @causes()
    def note_recording_on(self) -> None:
        """The recording goes on: what was said so far is not all."""
        self.context.continuation = Continuation.RECORDING

    @causes()
    def note_early_stop(self, fact: facts.RecordingStopped) -> None:
        self.context.stop_pending = True
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
        self._await_answer(fact.request)
        if self.context.continuation is Continuation.RECORDING:
            # Recorded and stopped again while finalizing: those words are decoded like any pause's.
            self.context.continuation = Continuation.PAUSED

    @causes(do.Acknowledge)
    def acknowledge_start(self, fact: facts.RecordingStarted) -> None:
        self._acknowledge_now(fact.request)

    @causes(do.Acknowledge)
    def acknowledge_stop(self, fact: facts.RecordingStopped) -> None:
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
        self.context.times = TurnTimes()
        self.context.ask(do.BeginTurn(self.context.turn))

    @causes(do.FinalizeTurn, do.BeginTurn)
    def end_turn(self, fact: Fact) -> None:
        """The caller's turn is over: ask for its words, and let what follows be the next turn's."""
        times, interim = self.context.times, self.context.interim
        self.context.turn_awaited = self.context.turn
        self.context.continuation = Continuation.NONE
        self.context.ask(do.FinalizeTurn(self.context.turn))
        self.begin_turn()
        self.context.times, self.context.interim = times, interim
        self.context.times.turn_over = fact.at_ms

    @causes()
    def note_voice(self) -> None:
        self.context.times.voice_ended = None

    @causes()
    def note_voice_end(self, fact: facts.SpeechStopped) -> None:
        self.context.times.voice_ended = fact.at_ms

    @causes()
    def note_speaking_on(self) -> None:
        self.context.times.voice_ended = None
        self.context.continuation = Continuation.SPEAKING

    @causes()
    def note_pausing_again(self, fact: facts.SpeechStopped) -> None:
        self.context.times.voice_ended = fact.at_ms
        self.context.continuation = Continuation.PAUSED

    @causes(do.TellTranscript)
    def note_interim(self, fact: facts.TranscriptInterim) -> None:
        """Interim words of the turn in question; those of the turn after it are told in their time."""
        if fact.turn == (
            self.context.turn if self.context.turn_awaited is None else self.context.turn_awaited
        ):
            self.context.interim = fact.text
            self._tell_words(fact.turn, fact.text, fact.confidence, is_final=False)

    @causes(do.TellTranscript)
    def keep_words(self, fact: facts.TranscriptFinal) -> None:
        self._keep(fact.turn, fact.text, fact.confidence, fact.speech_ms, fact.at_ms)

    @causes(do.TellTranscript)
    def keep_interim(self, fact: Fact) -> None:
        """No final transcript will come: the interim one is what the caller said."""
        turn = self.context.turn_awaited or self.context.turn
        self._keep(turn, self.context.interim, 0.0, 0.0, fact.at_ms)

    def _keep(self, turn: int, text: str, confidence: float, speech_ms: float, at_ms: float) -> None:
        self._tell_words(turn, text, confidence, is_final=True, speech_ms=speech_ms)
        self.context.caller_words = self.context.join(text)
        self.context.turn_awaited = None
        self.context.interim = ""
        self.context.times.words_known = at_ms

    def _tell_words(
        self, turn: int, text: str, confidence: float, *, is_final: bool, speech_ms: float = 0.0
    ) -> None:
        self.context.ask(do.TellTranscript(turn, text, confidence, is_final, speech_ms))

    @causes(do.TellTrouble)
    def tell_deaf(self, fact: facts.TranscriptionFailed) -> None:
        trouble = do.Trouble.TRANSCRIPTION_FAILED
        self._tell_trouble(trouble, fact.failure)

    def _tell_trouble(self, trouble: do.Trouble, failure: facts.ProviderFailure) -> None:
        self.context.ask(do.TellTrouble(trouble, failure.message, failure.error_class.retryable))

    # --- actions: answers ---------------------------------------------------------------------------------

    @causes(do.StartGeneration, do.TellAnswerStarted)
    def generate(self, fact: Fact) -> None:
        """Ask the model; each request is a generation of its own."""
        self.context.generation_began = fact.at_ms
        if self.context.attempts == 0:
            self.context.thinking_began = fact.at_ms
        self.context.generation += 1
        self.context.generation_open = self.context.generation
        self.context.attempts += 1
        self.context.ask(
            do.StartGeneration(self.context.generation, self.context.messages()),
            do.TellAnswerStarted(self.context.generation),
        )

    @causes(do.TellAnswerEnded)
    def prepare_retry(self) -> None:
        self.context.generation_open = None
        self._tell_never_spoken()

    @causes(do.CancelGeneration, do.TellAnswerEnded)
    def void_answer(self) -> None:
        """The caller goes on before anything was said: the words so far stay, to be joined with the next."""
        self._void_generation()
        self.context.attempts = 0

    @causes()
    def begin_answer(self, fact: facts.SegmentReady) -> None:
        self._open_speech(fact.at_ms)
        self.context.failures = 0

    @causes(do.Speak, do.TellSegment)
    def speak(self, fact: facts.SegmentReady) -> None:
        self._say(fact.text)

    @causes(do.FinishSpeech)
    def finish_answer(self) -> None:
        self.context.generation_open = None
        self.context.ask(do.FinishSpeech(self.context.generation))

    @causes(do.CancelGeneration, do.FinishSpeech)
    def finish_early(self) -> None:
        """The model broke off: what it said before is all there is."""
        self._cancel_generation()
        self.context.failures += 1
        self.context.ask(do.FinishSpeech(self.context.generation))

    @causes(do.CancelGeneration, do.TellAnswerEnded, do.Speak, do.TellSegment, do.FinishSpeech)
    def fall_back(self, fact: Fact) -> None:
        """The model gave no answer: say one of our own, by how often that has happened in a row."""
        self._void_generation()
        self.context.failures += 1
        texts = self.context.policy.fallback
        text = {1: texts.first, 2: texts.second}.get(self.context.failures, texts.third)
        if self.context.failures >= 3:
            self.context.end_after_answer = EndReason.MODEL_KEPT_FAILING
        self.context.generation += 1
        self._open_speech(fact.at_ms)
        self._say(text)
        self.context.ask(do.FinishSpeech(self.context.generation))

    def _cancel_generation(self) -> None:
        if self.context.generation_open is not None:
            self.context.ask(do.CancelGeneration(self.context.generation_open))
            self.context.generation_open = None

    def _void_generation(self) -> None:
        """Give up an answer of which nothing was said."""
        if self.context.generation_open is not None:
            self._cancel_generation()
            self._tell_never_spoken()

    def _tell_never_spoken(self) -> None:
        """A client that was told of the answer's start is told of its end too."""
        self.context.ask(do.TellAnswerEnded(self.context.generation, "", 0, 0.0, TurnTimes().latency(None)))

    def _open_speech(self, at_ms: float) -> None:
        self.context.ledger = PlaybackLedger()
        self.context.speech_open = self.context.generation
        self.context.times.first_segment = at_ms
        self.context.answer_times = self.context.times

    def _say(self, text: str) -> None:
        segment = self.context.ledger.add(text)
        self.context.ask(
            do.TellSegment(self.context.generation, segment, text),
            do.Speak(self.context.generation, segment, text),
        )

    @causes(do.TellTrouble)
    def tell_model_failed(self, fact: facts.GenerationFailed) -> None:
        self._tell_trouble(do.Trouble.MODEL_FAILED, fact.failure)

    @causes(do.TellTrouble)
    def tell_model_empty(self) -> None:
        message = "the language model gave an empty answer"
        self.context.ask(do.TellTrouble(do.Trouble.MODEL_FAILED, message, retryable=True))

    @causes(do.TellTrouble)
    def tell_model_late(self) -> None:
        message = "the language model did not go on in time"
        self.context.ask(do.TellTrouble(do.Trouble.MODEL_LATE, message, retryable=True))

    # --- actions: playback --------------------------------------------------------------------------------

    @causes()
    def note_voiced(self, fact: facts.SegmentVoiced) -> None:
        self.context.ledger.voiced(fact)

    @causes()
    def note_position(self, fact: facts.PlaybackAt) -> None:
        self.context.ledger.moved(fact)

    @causes()
    def note_all_heard(self) -> None:
        self.context.ledger.all_heard = True

    @causes(do.CancelGeneration, do.TellAnswerEnded)
    def complete_answer(self, fact: Fact) -> None:
        """Everything was heard: it becomes history."""
        self._end_speech(fact.at_ms)

    @causes(do.CancelGeneration, do.StopSpeech, do.TellInterrupted, do.TellAnswerEnded)
    def interrupt_answer(self, fact: Fact) -> None:
        """The caller cuts in: silence, and history keeps what was heard."""
        number = self.context.generation
        self.context.ask(do.StopSpeech(number, do.StopCause.INTERRUPTED))
        heard_ms = self.context.ledger.heard_ms(fact.at_ms)
        heard, unheard = self.context.ledger.split(fact.at_ms)
        self.context.ask(do.TellInterrupted(number, heard, unheard, heard_ms))
        self.context.end_after_answer = None
        self._end_speech(fact.at_ms)

    @causes(do.CancelGeneration, do.StopSpeech, do.TellTrouble, do.TellAnswerEnded)
    def lose_voice(self, fact: Fact) -> None:
        """The voice failed or stalled: the client has the text, and history what was heard."""
        self.context.ask(do.StopSpeech(self.context.generation, do.StopCause.FAILED))
        if isinstance(fact, facts.SynthesisFailed):
            self._tell_trouble(do.Trouble.VOICE_FAILED, fact.failure)
        else:
            message = "the voice did not go on in time"
            self.context.ask(do.TellTrouble(do.Trouble.VOICE_FAILED, message, retryable=True))
        self._end_speech(fact.at_ms)

    @causes(do.CancelGeneration, do.StopSpeech, do.TellAnswerEnded)
    def end_answer(self, fact: Fact) -> None:
        """The conversation ends during an answer."""
        if self.context.speech_open is None:
            self._void_generation()
        else:
            self.context.ask(do.StopSpeech(self.context.speech_open, do.StopCause.ENDED))
            self._end_speech(fact.at_ms)

    def _end_speech(self, at_ms: float) -> None:
        """Commit, and close the answer's books."""
        self._cancel_generation()
        ledger = self.context.ledger
        self.context.commit(at_ms)
        latency = self.context.answer_times.latency(ledger.started_at)
        self.context.ask(
            do.TellAnswerEnded(
                self.context.generation, ledger.text(), len(ledger.segments), ledger.heard_ms(at_ms), latency
            )
        )
        self.context.speech_open = None
        self.context.attempts = 0

    # --- actions: the end ---------------------------------------------------------------------------------

    @causes(do.Refuse, do.ReleaseLink, do.CloseConversation)
    def leave(self, fact: Fact) -> None:
        """The conversation is over, for the reason the caller's side gave or one found here."""
        if isinstance(fact, facts.HungUp):
            self.context.end_reason = fact.reason
        reason = self.context.end_reason or self.context.end_after_answer or EndReason.INTERNAL_ERROR
        self.context.end_reason = reason
        self._refuse_all(f"the conversation ended: {reason.value}")
        self.context.ask(*(do.ReleaseLink(role) for role in Role), do.CloseConversation(reason))

    @causes(do.AbandonConversation)
    def abandon(self) -> None:
        self.context.ask(do.AbandonConversation())

    # --- what the driver asks -----------------------------------------------------------------------------

    def stale(self, fact: Fact) -> str | None:
        """Why `fact` speaks of something no longer current; None if it does not."""
        model = self.context
        match fact:
            case facts.TranscriptFinal(turn=turn) if turn != model.turn_awaited:
                return f"turn {turn} is not awaited"
            case facts.TranscriptInterim(turn=turn) | facts.TranscriptionFailed(turn=turn) if turn not in (
                model.turn,
                model.turn_awaited,
            ):
                return f"turn {turn} is over"
            case (
                facts.SegmentReady(generation=generation)
                | facts.GenerationFinished(generation=generation)
                | facts.GenerationFailed(generation=generation)
            ) if generation != model.generation_open:
                return f"generation {generation} is not being generated"
            case (
                facts.SegmentVoiced(utterance=utterance)
                | facts.PlaybackAt(utterance=utterance)
                | facts.PlaybackFinished(utterance=utterance)
                | facts.SynthesisFailed(utterance=utterance)
            ) if utterance != model.speech_open:
                return f"utterance {utterance} is not being spoken"
            case facts.DeadlinePassed(number=number) if number != model.deadline_armed:
                return f"deadline {number} is not armed"
        return None

    def is_progress(self, fact: Fact) -> bool:
        """While speaking, every sign of life of model, voice or playback puts the deadline off."""
        return fact.name in SIGNS_OF_LIFE and "speaking" in self.context.state

    def entered(self, source_room: str, room: str, state: str, fact: Fact) -> None:
        """Tell the client about every change, also of the substate alone."""
        self.context.ask(do.TellState(source_room, room, state, fact.name))

    def deadline_ms(self, state: str, at_ms: float) -> float | None:
        """How long `state` may last from now on; None where only the caller is waited for."""
        policy = self.context.policy
        match state:
            case "connecting":
                return policy.connect_timeout_ms
            case "hearing":
                return policy.max_turn_ms
            case "pausing":
                return policy.endpoint_delay_ms
            case "finalizing":
                return policy.final_transcript_timeout_ms
            case "generating":
                # All attempts share one budget: the caller must not wait for it several times.
                return max(0.0, self.context.thinking_began + policy.first_segment_timeout_ms - at_ms)
            case "retrying":
                return policy.llm_retry_delays_ms[self.context.attempts - 1]
            case "speaking":
                quiet_after = self.context.ledger.remaining_ms(at_ms) + policy.speech_stall_timeout_ms
                if self.context.generation_open is None:
                    return quiet_after
                answer_over = self.context.generation_began + policy.answer_timeout_ms
                return max(0.0, min(quiet_after, answer_over - at_ms))
            case "deciding":
                return policy.barge_in_min_ms
            case "closing":
                return policy.close_timeout_ms
        return None


UNAVAILABLE = {
    Role.STT: do.Trouble.STT_UNAVAILABLE,
    Role.LLM: do.Trouble.LLM_UNAVAILABLE,
    Role.TTS: do.Trouble.TTS_UNAVAILABLE,
}

SIGNS_OF_LIFE = frozenset(
    {
        "segment_ready",
        "generation_finished",
        "generation_failed",
        "segment_voiced",
        "playback_at",
        "deadline_passed",
    }
)
