"""Retries: another request to the model, or another attempt of the voice, after a failure or a stall."""

from __future__ import annotations

from machines import effects as do
from machines import facts
from machines.conversation.answers import Answers
from machines.declarations import causes
from machines.driver import SLACK_MS
from machines.facts import Fact, Role


class Retries(Answers):
    """Guards and actions on retries."""

    # --- guards ------------------------------------------------------------------------------------------

    def worth_retrying(self, fact: facts.GenerationFailed) -> bool:
        """Another request may succeed, and there is time for it."""
        wait_ms = self.wait_for_model_ms(fact.failure.retry_after_ms or 0)
        return self._may_succeed(fact, Role.LLM) and self._time_for_request(fact, wait_ms)

    def worth_asking_again(self, fact: Fact) -> bool:
        """The model did not answer in time; requests are left, and there is time for one."""
        return self._requests_left() and self._time_for_request(fact, self.wait_for_model_ms(0))

    def worth_continuing(self, fact: Fact) -> bool:
        """The model broke off; another request may bring the rest without a long wait."""
        may_succeed = self._requests_left() and (
            not isinstance(fact, facts.GenerationFailed) or self._may_succeed(fact, Role.LLM)
        )
        asked_to_wait = isinstance(fact, facts.GenerationFailed) and bool(fact.failure.retry_after_ms)
        at_once = Role.LLM in self.context.links.fallbacks_ready or not asked_to_wait
        return may_succeed and at_once and not self._over_budget(fact)

    def answer_too_long(self, fact: Fact) -> bool:
        """The model still generates, and the time for a whole answer is over."""
        return self.still_generating() and self._over_budget(fact)

    def model_stalled(self, fact: Fact) -> bool:
        """The model still generates, and its next sign of life is overdue."""
        return self.still_generating() and fact.at_ms + SLACK_MS >= self.context.model_due_at()

    def voice_worth_retrying(self, fact: Fact) -> bool:
        """Another attempt of the voice may succeed. A failure that looks fatal is retried once."""
        first, left = (
            self.context.answer.speech_attempt == 1,
            self.context.answer.speech_attempt <= self.context.policy.voice_retries,
        )
        should_open = isinstance(fact, facts.SynthesisFailed) and not self._may_succeed(fact, Role.TTS)
        return left and (first or not should_open)

    def wait_for_model_ms(self, asked_ms: float) -> float:
        """How long to wait before the next request: not at all if another provider is ready."""
        schedule = self.context.policy.llm_retry_delays_ms
        if Role.LLM in self.context.links.fallbacks_ready or not schedule or not self._requests_left():
            return 0.0
        return max(schedule[self.context.answer.requests - 1], asked_ms)

    def _requests_left(self) -> bool:
        return self.context.answer.requests <= len(self.context.policy.llm_retry_delays_ms)

    def _may_succeed(self, fact: facts.GenerationFailed | facts.SynthesisFailed, role: Role) -> bool:
        """The failure may pass, or another provider is ready; and for the model, requests are left."""
        left = role is not Role.LLM or self._requests_left()
        return left and (fact.failure.error_class.retryable or role in self.context.links.fallbacks_ready)

    def _time_for_request(self, fact: Fact, wait_ms: float) -> bool:
        over = self.context.answer.thinking_began + self.context.policy.first_segment_timeout_ms
        return fact.at_ms + wait_ms + SLACK_MS < over

    def _over_budget(self, fact: Fact) -> bool:
        over = self.context.answer.thinking_began + self.context.policy.answer_timeout_ms
        return fact.at_ms + SLACK_MS >= over

    # --- actions -----------------------------------------------------------------------------------------

    @causes(do.ReplaceLink)
    def suspect_llm(self, fact: Fact) -> None:
        """Have the link machine ask the next provider of the model from now on."""
        late = facts.ProviderFailure(facts.ErrorClass.TIMEOUT, "the language model did not go on in time")
        if isinstance(fact, facts.GenerationFailed):
            self.context.ask(do.ReplaceLink(Role.LLM, fact.failure, fact.link_attempt))
        else:
            self.context.ask(do.ReplaceLink(Role.LLM, late))

    @causes(do.NotifyAnswerEnded)
    def prepare_retry(self, fact: facts.GenerationFailed) -> None:
        """Give up the request that failed, and keep how long the provider asks to wait."""
        self.context.answer.retry_after_ms = fact.failure.retry_after_ms or 0
        self.context.answer.generation_open = None
        self._notify_never_spoken()

    @causes(do.CancelGeneration, do.NotifyAnswerEnded)
    def give_up_request(self) -> None:
        """Stop the request of a model that fell silent. Another one follows."""
        self.context.answer.retry_after_ms = 0
        self._void_generation()

    @causes(do.CancelGeneration, do.StartGeneration)
    def continue_answer(self, fact: Fact) -> None:
        """Ask for the rest of an answer that the model broke off."""
        if not isinstance(fact, facts.GenerationFailed):
            self._cancel_generation()
        self._request(fact.at_ms, self.context.answer.ledger.text())

    @causes(do.NotifyClientError)
    def report_llm_failed(self, fact: facts.GenerationFailed) -> None:
        """Tell the client why the model failed."""
        self._notify_client_error(do.ClientError.MODEL_FAILED, fact.failure)

    @causes(do.NotifyClientError)
    def report_llm_empty(self) -> None:
        """Tell the client that the model gave an empty answer."""
        message = "the language model gave an empty answer"
        self.context.ask(do.NotifyClientError(do.ClientError.MODEL_FAILED, message, retryable=True))

    @causes(do.NotifyClientError)
    def report_llm_late(self) -> None:
        """Tell the client that the model did not go on in time."""
        message = "the language model did not go on in time"
        self.context.ask(do.NotifyClientError(do.ClientError.MODEL_LATE, message, retryable=True))

    @causes(do.ReplaceLink)
    def suspect_tts(self, fact: Fact) -> None:
        """Have the link machine ask the next provider of text to speech from now on."""
        late = facts.ProviderFailure(facts.ErrorClass.TIMEOUT, "the voice did not go on in time")
        if isinstance(fact, facts.SynthesisFailed):
            self.context.ask(do.ReplaceLink(Role.TTS, fact.failure, fact.link_attempt))
        else:
            self.context.ask(do.ReplaceLink(Role.TTS, late))

    @causes(do.RestartSpeech, do.Speak, do.FinishSpeech)
    def restart_speech(self, fact: Fact) -> None:
        """Ask the voice again for what it has not given yet. What it gave is still played."""
        context, number = self.context, self.context.answer.speech_open
        if number is None:
            return
        context.answer.speech_attempt += 1
        beyond_segments = context.answer.ledger.heard_ms(fact.at_ms) - context.answer.ledger.known_ms()
        voiced_ms = fact.voiced_ms if isinstance(fact, facts.SynthesisFailed) else max(0.0, beyond_segments)
        again = context.answer.ledger.cut(voiced_ms)
        context.ask(do.RestartSpeech(number, context.answer.speech_attempt))
        context.ask(*(do.Speak(number, segment, text) for segment, text in again))
        if context.answer.generation_open is None:
            self._finish_speech()

    @causes(do.CancelGeneration, do.StopSpeech, do.NotifyClientError, do.NotifyAnswerEnded)
    def give_up_voice(self, fact: Fact) -> None:
        """Stop an answer whose voice failed or stalled. What was heard becomes history."""
        self._stop_speech(do.StopCause.FAILED)
        if isinstance(fact, facts.SynthesisFailed):
            self._notify_client_error(do.ClientError.VOICE_FAILED, fact.failure)
        else:
            message = "the voice did not go on in time"
            self.context.ask(do.NotifyClientError(do.ClientError.VOICE_FAILED, message, retryable=True))
        self._end_speech(fact.at_ms)
