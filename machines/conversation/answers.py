"""The conversation machine's actions on answers: asking the model, speaking, playback, and the end."""

from __future__ import annotations

from machines import effects as do
from machines import facts
from machines.conversation.tool_calls import CallActions
from machines.declarations import causes
from machines.facts import EndReason, Fact, Role
from machines.playback import PlaybackLedger


class AnswerActions(CallActions):
    """What is done about answers."""

    # --- actions: answers ---------------------------------------------------------------------------------

    @causes(do.StartGeneration, do.NotifyAnswerStarted, do.CancelTool)
    def generate(self, fact: Fact) -> None:
        """Ask the model; each request is a generation of its own."""
        self._go_on_from_calls(fact.at_ms)
        if self.context.attempts == 0:
            self.context.thinking_began = fact.at_ms
            # What is said from now on is no echo of the last answer.
            self.context.ledger = PlaybackLedger()
        self._request(fact.at_ms, said="")
        self.context.ask(do.NotifyAnswerStarted(self.context.generation))

    def _request(self, at_ms: float, said: str, words: str | None = None) -> None:
        self.context.generation_began = at_ms
        self.context.alive_at = None
        self.context.generation += 1
        self.context.generation_open = self.context.generation
        self.context.attempts += 1
        messages, tools = self.context.messages(said, words), self.tools_offered()
        self.context.ask(do.StartGeneration(self.context.generation, messages, tools))

    def _go_on_from_calls(self, at_ms: float) -> None:
        """The caller has said more than what earlier calls were for, if any."""
        if self.context.caller_words:
            self.context.asked_at = at_ms
            self.context.tool_steps = self.context.fillers = 0
            self.context.results_owed = False
            self._overtake_calls()

    # --- actions: an answer before the turn is over -------------------------------------------------------

    @causes(do.StartGeneration)
    def speculate(self, fact: facts.EagerEndOfTurn) -> None:
        """The turn is probably over with these words: ask the model now, and keep what it says."""
        self.context.speculated_words = self.context.join(fact.text)
        self.context.speculations += 1
        self._request(fact.at_ms, said="", words=self.context.speculated_words)

    @causes()
    def keep_speculative_segment(self, fact: facts.SegmentReady) -> None:
        self.context.alive_at = fact.at_ms
        self.context.speculative_segments += (fact,)

    @causes()
    def note_speculation_complete(self) -> None:
        self.context.generation_open = None

    @causes(do.CancelGeneration)
    def drop_speculation(self) -> None:
        """The caller goes on, or said something else in the end: nobody was told of an answer."""
        self._cancel_generation()
        self.forget_speculation()

    @causes()
    def forget_speculation(self) -> None:
        self.context.generation_open = None
        self.context.attempts = 0
        self._close_speculation()

    @causes(do.NotifyAnswerStarted, do.CancelTool)
    def adopt_speculation(self, fact: Fact) -> None:
        """The words were the right ones: from now on it is an answer like any other."""
        self._go_on_from_calls(fact.at_ms)
        self.context.thinking_began = fact.at_ms
        self.context.ask(do.NotifyAnswerStarted(self.context.generation))
        self._close_speculation()

    @causes(do.NotifyAnswerStarted, do.CancelTool, do.Speak, do.NotifySegment, do.FinishSpeech)
    def say_speculation(self, fact: Fact) -> None:
        """And what is there of it is said at once."""
        speculative_segments = self.context.speculative_segments
        self.adopt_speculation(fact)
        self._begin_reply(fact.at_ms)
        for segment in speculative_segments:
            self._say(segment.text, segment.markup)
        if not self.still_generating():
            self._finish_speech()

    def _close_speculation(self) -> None:
        self.context.speculated_words, self.context.speculative_segments = "", ()

    # --- actions: what is said ----------------------------------------------------------------------------

    @causes()
    def note_alive(self, fact: facts.GenerationAlive) -> None:
        self.context.alive_at = fact.at_ms

    @causes(do.ReplaceLink)
    def suspect_llm(self, fact: Fact) -> None:
        """Whoever comes next in order of preference shall be asked from now on."""
        late = facts.ProviderFailure(facts.ErrorClass.TIMEOUT, "the language model did not go on in time")
        if isinstance(fact, facts.GenerationFailed):
            self.context.ask(do.ReplaceLink(Role.LLM, fact.failure, fact.link_attempt))
        else:
            self.context.ask(do.ReplaceLink(Role.LLM, late))

    @causes(do.NotifyAnswerEnded)
    def prepare_retry(self, fact: facts.GenerationFailed) -> None:
        self.context.retry_after_ms = fact.failure.retry_after_ms or 0
        self.context.generation_open = None
        self._notify_never_spoken()

    @causes(do.CancelGeneration, do.NotifyAnswerEnded)
    def give_up_request(self) -> None:
        """The model is silent: another request follows."""
        self.context.retry_after_ms = 0
        self._void_generation()

    @causes(do.CancelGeneration, do.StartGeneration)
    def continue_answer(self, fact: Fact) -> None:
        """The model broke off in mid-answer: it, or another, goes on from what it said."""
        if not isinstance(fact, facts.GenerationFailed):
            self._cancel_generation()
        self._request(fact.at_ms, self.context.ledger.text())

    @causes(do.CancelGeneration, do.NotifyAnswerEnded)
    def void_answer(self) -> None:
        """The caller goes on before anything was said: the words so far stay, to be joined with the next."""
        self._void_generation()
        self.context.attempts = 0

    @causes()
    def begin_answer(self, fact: facts.SegmentReady) -> None:
        self._begin_reply(fact.at_ms)

    def _begin_reply(self, at_ms: float) -> None:
        """The model has answered the caller."""
        self._open_speech(at_ms, replying=True)
        self.context.failures = 0

    @causes(do.Speak, do.NotifySegment)
    def speak(self, fact: facts.SegmentReady) -> None:
        self.context.alive_at = fact.at_ms
        self._say(fact.text, fact.markup)

    @causes(do.FinishSpeech)
    def finish_answer(self) -> None:
        self.context.generation_open = None
        self._finish_speech()

    def _finish_speech(self) -> None:
        if self.context.speech_open is not None:
            self.context.ask(do.FinishSpeech(self.context.speech_open))

    @causes(do.CancelGeneration, do.FinishSpeech)
    def finish_early(self) -> None:
        """The model broke off: what it said before is all there is."""
        self._cancel_generation()
        self.context.failures += 1
        self._finish_speech()

    @causes(do.CancelGeneration, do.NotifyAnswerEnded, do.Speak, do.NotifySegment, do.FinishSpeech)
    def fall_back(self, fact: Fact) -> None:
        """The model gave no answer: say one of our own, by how often that has happened in a row."""
        self._void_generation()
        self.context.failures += 1
        texts = self.context.policy.fallback
        text = {1: texts.first, 2: texts.second}.get(self.context.failures, texts.third)
        if self.context.failures >= 3:
            self.context.end_after_answer = (
                EndReason.HANDED_OVER if self.context.policy.hand_over else EndReason.MODEL_KEPT_FAILING
            )
        self._say_instead(text, fact.at_ms, replying=True)

    @causes(do.Speak, do.NotifySegment, do.FinishSpeech)
    def apologise(self, fact: Fact) -> None:
        """Nothing was understood, for technical reasons: the caller must not be left in silence."""
        self._say_instead(self.context.policy.fallback.unheard, fact.at_ms)

    @causes(do.Speak, do.NotifySegment, do.FinishSpeech)
    def greet(self, fact: Fact) -> None:
        """It is no part of the history, which begins with the caller."""
        self.context.greeted = True
        self._say_instead(
            self.context.policy.greeting, fact.at_ms, protected=not self.context.policy.barge_in_greeting
        )

    @causes(do.Speak, do.NotifySegment, do.FinishSpeech)
    def ask_again(self, fact: Fact) -> None:
        """The caller spoke, and speech to text found no words in it."""
        self._say_instead(self.context.policy.reprompt, fact.at_ms)

    @causes(do.Speak, do.NotifySegment, do.FinishSpeech)
    def nudge(self, fact: Fact) -> None:
        text = self.context.policy.nudges[self.context.nudges]
        self.context.nudges += 1
        self._say_instead(text, fact.at_ms)

    @causes(do.Speak, do.NotifySegment, do.FinishSpeech)
    def take_leave(self, fact: Fact) -> None:
        """The caller has been quiet for too long: these are the last words, unless there is an objection."""
        self.context.end_after_answer = EndReason.IDLE
        self._say_instead(self.context.policy.idle_goodbye, fact.at_ms)

    @causes(do.Speak, do.NotifySegment, do.FinishSpeech)
    def fill(self, fact: Fact) -> None:
        """Calls take long: the caller is told that somebody is still there."""
        text = self.context.filler()
        self.context.fillers += 1
        self._say_instead(text, fact.at_ms)

    @causes(do.Speak, do.NotifySegment, do.FinishSpeech, do.CancelTool)
    def part(self, fact: Fact) -> None:
        """What the call cannot do without is lost: say so, then close."""
        self._overtake_calls()
        self._say_instead(self.context.policy.fallback.third, fact.at_ms)

    # --- actions: what the host wants said ----------------------------------------------------------------

    @causes(do.Speak, do.NotifySegment, do.FinishSpeech)
    def say(self, fact: facts.SayRequested) -> None:
        self._say_for_host(fact, fact.at_ms)

    @causes()
    def queue_host_utterance(self, fact: facts.SayRequested) -> None:
        """It waits; what is urgent goes before what is not, and what has time after everything else."""
        order = (facts.SayMode.INTERRUPT, facts.SayMode.QUEUE, facts.SayMode.WHEN_IDLE)
        waiting = (*self.context.host_utterances, fact)
        self.context.host_utterances = tuple(sorted(waiting, key=lambda each: order.index(each.mode)))

    @causes(do.Speak, do.NotifySegment, do.FinishSpeech)
    def say_next_host_utterance(self, fact: Fact) -> None:
        """What waits first is said."""
        first, *others = self.context.host_utterances
        self.context.host_utterances = tuple(others)
        self._say_for_host(first, fact.at_ms)

    def _say_for_host(self, wanted: facts.SayRequested, at_ms: float) -> None:
        self.context.end_after_answer = wanted.then
        self._say_instead(wanted.text, at_ms, protected=not wanted.interruptible, tones=wanted.tones)

    @causes()
    def answer_later(self) -> None:
        """The caller's words, whose answer was given up for something else, wait to be answered."""
        if self.context.caller_words:
            self.context.queue = (self.context.caller_words, *self.context.queue)
            self.context.caller_words = ""

    def _say_instead(
        self,
        text: str,
        at_ms: float,
        *,
        replying: bool = False,
        protected: bool = False,
        tones: bool = False,
    ) -> None:
        """A whole answer of our own."""
        self.context.generation += 1
        self._open_speech(at_ms, replying=replying)
        self.context.protected = protected
        self._say(text, tones=tones)
        self._finish_speech()

    def _cancel_generation(self) -> None:
        if self.context.generation_open is not None:
            self.context.ask(do.CancelGeneration(self.context.generation_open))
            self.context.generation_open = None

    def _void_generation(self) -> None:
        """Give up an answer of which nothing was said."""
        if self.context.generation_open is not None:
            self._cancel_generation()
            self._notify_never_spoken()

    def _open_speech(self, at_ms: float, *, replying: bool) -> None:
        self.context.ledger = PlaybackLedger()
        self.context.speech_attempt = 1
        self.context.replying = replying
        self.context.answer_entered = False
        if replying:
            self.context.results_owed = False
        self.context.protected = False
        self.context.speech_open = self.context.generation
        self.context.times.first_segment = at_ms
        self.context.answer_times = self.context.times

    def _say(self, text: str, markup: str = "", *, tones: bool = False) -> None:
        number = self.context.speech_open
        if number is not None:
            segment = self.context.ledger.add(text)
            speak = do.Speak(number, segment, markup or text, tones)
            self.context.ask(do.NotifySegment(number, segment, text), speak)

    @causes(do.NotifyClientError)
    def report_llm_failed(self, fact: facts.GenerationFailed) -> None:
        self._notify_client_error(do.ClientError.MODEL_FAILED, fact.failure)

    @causes(do.NotifyClientError)
    def report_llm_empty(self) -> None:
        message = "the language model gave an empty answer"
        self.context.ask(do.NotifyClientError(do.ClientError.MODEL_FAILED, message, retryable=True))

    @causes(do.NotifyClientError)
    def report_llm_late(self) -> None:
        message = "the language model did not go on in time"
        self.context.ask(do.NotifyClientError(do.ClientError.MODEL_LATE, message, retryable=True))

    # --- actions: the voice -------------------------------------------------------------------------------

    @causes(do.ReplaceLink)
    def suspect_tts(self, fact: Fact) -> None:
        """Whoever comes next in order of preference shall speak from now on."""
        late = facts.ProviderFailure(facts.ErrorClass.TIMEOUT, "the voice did not go on in time")
        if isinstance(fact, facts.SynthesisFailed):
            self.context.ask(do.ReplaceLink(Role.TTS, fact.failure, fact.link_attempt))
        else:
            self.context.ask(do.ReplaceLink(Role.TTS, late))

    @causes(do.RestartSpeech, do.Speak, do.FinishSpeech)
    def restart_speech(self, fact: Fact) -> None:
        """What the voice gave is heard; what it owes is asked for once more, in a stream of its own."""
        context, number = self.context, self.context.speech_open
        if number is None:
            return
        context.speech_attempt += 1
        beyond_segments = context.ledger.heard_ms(fact.at_ms) - context.ledger.known_ms()
        voiced_ms = fact.voiced_ms if isinstance(fact, facts.SynthesisFailed) else max(0.0, beyond_segments)
        again = context.ledger.cut(voiced_ms)
        context.ask(do.RestartSpeech(number, context.speech_attempt))
        context.ask(*(do.Speak(number, segment, text) for segment, text in again))
        if context.generation_open is None:
            self._finish_speech()

    # --- actions: interruptions ---------------------------------------------------------------------------

    @causes(do.PauseSpeech)
    def pause_speech(self) -> None:
        """Somebody seems to cut in: silence, until it is known whether they do."""
        number = self.context.speech_open
        assert number is not None, "only what is being said is held"
        self.context.ask(do.PauseSpeech(number))

    @causes(do.ResumeSpeech, do.RunTool)
    def resume_speech(self, fact: Fact) -> None:
        """It was a false alarm."""
        number = self.context.speech_open
        assert number is not None, "only what is held is resumed"
        self.context.false_alarms += 1
        self.context.ask(do.ResumeSpeech(number))
        self.run_calls(fact)

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

    @causes(do.CancelGeneration, do.NotifyAnswerEnded)
    def complete_answer(self, fact: Fact) -> None:
        """Everything was heard: it becomes history."""
        self._end_speech(fact.at_ms)

    @causes(do.CancelGeneration, do.StopSpeech, do.NotifyInterrupted, do.NotifyAnswerEnded)
    def interrupt_answer(self, fact: Fact) -> None:
        """The caller cuts in: silence, and history keeps what was heard."""
        number = self._stop_speech(do.StopCause.INTERRUPTED)
        heard_ms = self.context.ledger.heard_ms(fact.at_ms)
        heard, unheard = self.context.ledger.split(fact.at_ms)
        self.context.ask(do.NotifyInterrupted(number, heard, unheard, heard_ms))
        self.context.end_after_answer = None
        self.context.false_alarms = 0
        self._end_speech(fact.at_ms)

    @causes(do.CancelGeneration, do.StopSpeech, do.NotifyClientError, do.NotifyAnswerEnded)
    def give_up_voice(self, fact: Fact) -> None:
        """The voice failed or stalled: the client has the text, and history what was heard."""
        self._stop_speech(do.StopCause.FAILED)
        if isinstance(fact, facts.SynthesisFailed):
            self._notify_client_error(do.ClientError.VOICE_FAILED, fact.failure)
        else:
            message = "the voice did not go on in time"
            self.context.ask(do.NotifyClientError(do.ClientError.VOICE_FAILED, message, retryable=True))
        self._end_speech(fact.at_ms)

    @causes(do.CancelGeneration, do.StopSpeech, do.NotifyAnswerEnded)
    def end_answer(self, fact: Fact) -> None:
        """The conversation ends during an answer."""
        if self.context.speech_open is None:
            self._void_generation()
        else:
            self._stop_speech(do.StopCause.ENDED)
            self._end_speech(fact.at_ms)

    def _stop_speech(self, cause: do.StopCause) -> int:
        number = self.context.speech_open
        assert number is not None, "only what is being said is stopped"
        self.context.ask(do.StopSpeech(number, cause))
        return number

    def _end_speech(self, at_ms: float) -> None:
        """Commit, and close the answer's books."""
        self._cancel_generation()
        ledger, number = self.context.ledger, self.context.speech_open
        assert number is not None, "only what is being said can end"
        self.context.commit(at_ms)
        latency = self.context.answer_times.latency(ledger.started_at)
        self.context.ask(
            do.NotifyAnswerEnded(number, ledger.text(), len(ledger.segments), ledger.heard_ms(at_ms), latency)
        )
        self.context.speech_open = None
        self.context.said_at = at_ms
        self.context.attempts = 0

    # --- actions: the end ---------------------------------------------------------------------------------

    @causes(do.CancelTool, do.Refuse, do.ReleaseLink, do.CloseConversation)
    def leave(self, fact: Fact) -> None:
        """The conversation is over, for the reason the caller's side gave or one found here."""
        self._overtake_calls()
        if isinstance(fact, facts.HungUp):
            self.context.end_reason = fact.reason
        reason = self.context.end_reason or self.context.end_after_answer or EndReason.INTERNAL_ERROR
        self.context.end_reason = reason
        self._refuse_all(f"the conversation ended: {reason.value}")
        self.context.ask(*(do.ReleaseLink(role) for role in Role), do.CloseConversation(reason))

    @causes(do.AbandonConversation)
    def abandon(self) -> None:
        self.context.ask(do.AbandonConversation())
