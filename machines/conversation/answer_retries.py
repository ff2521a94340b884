"""Retries: another request to the model, or another attempt of text to speech, after a failure or a stall."""

from __future__ import annotations

from machines import effects as do
from machines import facts
from machines.conversation.context import Context
from machines.conversation.due_times import (
    answer_over_at,
    first_words_due_at,
    requests_left,
    wait_for_model_ms,
)
from machines.conversation.failure_reports import log_failure, notify_client_error, silent_ms
from machines.conversation.generation import (
    cancel_generation,
    notify_never_spoken,
    request_answer,
    void_generation,
)
from machines.conversation.speech import end_speech, finish_speech, stop_speech
from machines.declarations import causes
from machines.driver import SLACK_MS, Chart
from machines.facts import Fact, Role

VOICE_LATE = facts.ProviderFailure(facts.ErrorClass.TIMEOUT, "the voice did not go on in time")


def _tts_failure(fact: Fact) -> tuple[facts.ProviderFailure, int | None]:
    """Why text to speech did not go on, and on which attempt of the link, where that is known."""
    if isinstance(fact, facts.SynthesisFailed):
        return fact.failure, fact.link_attempt
    return VOICE_LATE, None


class AnswerRetries(Chart[Context]):
    """Guards and actions on retries."""

    # --- guards ------------------------------------------------------------------------------------------

    def worth_retrying(self, fact: facts.GenerationFailed) -> bool:
        """Another request may succeed, and there is time for it."""
        wait_ms = wait_for_model_ms(self.context, fact.failure.retry_after_ms or 0)
        return self._may_succeed(fact, Role.LLM) and self._time_for_request(fact, wait_ms)

    def worth_asking_again(self, fact: Fact) -> bool:
        """The model did not answer in time; requests are left, and there is time for one."""
        return requests_left(self.context) and self._time_for_request(
            fact, wait_for_model_ms(self.context, 0)
        )

    def worth_continuing(self, fact: Fact) -> bool:
        """The model broke off; another request may bring the rest without a long wait."""
        may_succeed = requests_left(self.context) and (
            not isinstance(fact, facts.GenerationFailed) or self._may_succeed(fact, Role.LLM)
        )
        asked_to_wait = isinstance(fact, facts.GenerationFailed) and bool(fact.failure.retry_after_ms)
        at_once = Role.LLM in self.context.links.fallbacks_ready or not asked_to_wait
        return may_succeed and at_once and not self._over_budget(fact)

    def answer_too_long(self, fact: Fact) -> bool:
        """The model still generates, and the time for a whole answer is over."""
        return self.context.answer.still_generating() and self._over_budget(fact)

    def model_stalled(self, fact: Fact) -> bool:
        """The model still generates, and its next sign of life is overdue."""
        return self.context.answer.still_generating() and self._model_overdue(fact)

    def _model_overdue(self, fact: Fact) -> bool:
        """The model's next sign of life is overdue."""
        return fact.at_ms + SLACK_MS >= self.context.model_due_at()

    def model_in_time(self, fact: Fact) -> bool:
        """The model's next sign of life is not overdue, and there is time left for its first words."""
        return not self._model_overdue(fact) and self._time_for_request(fact, 0.0)

    def tts_worth_retrying(self, fact: Fact) -> bool:
        """Another attempt of text to speech may succeed. A failure that looks fatal is retried once."""
        attempt = self.context.answer.speech_attempt
        hopeless = isinstance(fact, facts.SynthesisFailed) and not self._may_succeed(fact, Role.TTS)
        return attempt <= self.context.policy.voice_retries and (attempt == 1 or not hopeless)

    def _may_succeed(self, fact: facts.GenerationFailed | facts.SynthesisFailed, role: Role) -> bool:
        """The failure may pass, or another provider is ready; and for the model, requests are left."""
        left = role is not Role.LLM or requests_left(self.context)
        return left and (fact.failure.error_class.retryable or role in self.context.links.fallbacks_ready)

    def _time_for_request(self, fact: Fact, wait_ms: float) -> bool:
        return fact.at_ms + wait_ms + SLACK_MS < first_words_due_at(self.context)

    def _over_budget(self, fact: Fact) -> bool:
        return fact.at_ms + SLACK_MS >= answer_over_at(self.context)

    # --- actions -----------------------------------------------------------------------------------------

    @causes(do.ReplaceLink, do.LogFailure)
    def suspect_llm(self, fact: Fact) -> None:
        """Have the link machine ask the next provider of the model from now on."""
        failure, attempt = self._model_late(fact), None
        if isinstance(fact, facts.GenerationFailed):
            failure, attempt = fact.failure, fact.link_attempt
        waited_ms = self._waited_for_model_ms(fact.at_ms)
        heard_meanwhile = (
            self.context.answer.speech_open is not None and not waited_ms and self.worth_continuing(fact)
        )
        refused = failure.error_class is facts.ErrorClass.REFUSED_TEXT
        if not (self.context.speculation.words or heard_meanwhile or refused):
            log_failure(self.context, Role.LLM, failure, waited_ms, attempt)
        self.context.ask(do.ReplaceLink(Role.LLM, failure, attempt))

    def _model_late(self, fact: Fact) -> facts.ProviderFailure:
        """The failure of a model that falls silent, or thinks for too long."""
        answer, policy = self.context.answer, self.context.policy
        if not self._model_overdue(fact):
            message = f"the language model gave no words within {policy.first_segment_timeout_ms:.0f} ms"
            return facts.ProviderFailure(facts.ErrorClass.TIMEOUT, message)
        what, within_ms = (
            ("begin to answer", policy.first_token_timeout_ms)
            if answer.alive_at is None
            else ("go on", policy.token_gap_timeout_ms)
        )
        message = f"the language model did not {what} within {within_ms:.0f} ms"
        return facts.ProviderFailure(facts.ErrorClass.TIMEOUT, message)

    def _waited_for_model_ms(self, at_ms: float) -> float:
        """How long the caller has waited since the request, or the model's last sign of life."""
        answer = self.context.answer
        if answer.speech_open is not None and answer.ledger.remaining_ms(at_ms) > 0:
            return 0.0
        since = answer.generation_began if answer.alive_at is None else answer.alive_at
        return silent_ms(self.context, since, at_ms)

    @causes(do.NotifyAnswerEnded)
    def prepare_retry(self, fact: facts.GenerationFailed) -> None:
        """Give up the request that failed, and keep how long the provider asks to wait."""
        self.context.answer.retry_after_ms = fact.failure.retry_after_ms or 0
        self.context.answer.generation_open = None
        notify_never_spoken(self.context)

    @causes(do.CancelGeneration, do.NotifyAnswerEnded)
    def give_up_request(self) -> None:
        """Stop the request of a model that fell silent. Another one follows."""
        self.context.answer.retry_after_ms = 0
        void_generation(self.context)

    @causes(do.CancelGeneration, do.StartGeneration)
    def continue_answer(self, fact: Fact) -> None:
        """Ask for the rest of an answer that the model broke off."""
        if not isinstance(fact, facts.GenerationFailed):
            cancel_generation(self.context)
        request_answer(self.context, fact.at_ms, self.context.answer.ledger.own_text())

    @causes(do.NotifyClientError)
    def report_llm_failed(self, fact: facts.GenerationFailed) -> None:
        """Tell the client why the model failed."""
        notify_client_error(self.context, do.ClientError.MODEL_FAILED, fact.failure)

    @causes(do.NotifyClientError, do.LogFailure)
    def report_llm_empty(self, fact: Fact) -> None:
        """Tell the client that the model gave an empty answer."""
        message = "the language model gave an empty answer"
        failure = facts.ProviderFailure(facts.ErrorClass.TRANSIENT, message)
        log_failure(self.context, Role.LLM, failure, fact.at_ms - self.context.answer.generation_began)
        self.context.ask(do.NotifyClientError(do.ClientError.MODEL_FAILED, message, retryable=True))

    @causes(do.NotifyClientError)
    def report_llm_late(self) -> None:
        """Tell the client that the model did not go on in time."""
        message = "the language model did not go on in time"
        self.context.ask(do.NotifyClientError(do.ClientError.MODEL_LATE, message, retryable=True))

    @causes(do.NotifyClientError, do.LogFailure)
    def report_answer_too_long(self, fact: Fact) -> None:
        """The caller does not hear the end of this answer."""
        message = f"the answer took longer than {self.context.policy.answer_timeout_ms:.0f} ms and is cut off"
        failure = facts.ProviderFailure(facts.ErrorClass.TIMEOUT, message)
        log_failure(self.context, Role.LLM, failure, self._waited_for_model_ms(fact.at_ms))
        self.context.ask(do.NotifyClientError(do.ClientError.MODEL_LATE, message, retryable=True))

    @causes(do.ReplaceLink)
    def suspect_tts(self, fact: Fact) -> None:
        """Have the link machine ask the next provider of text to speech from now on."""
        self.context.ask(do.ReplaceLink(Role.TTS, *_tts_failure(fact)))

    @causes(do.RestartSpeech, do.Speak, do.FinishSpeech, do.LogFailure)
    def restart_speech(self, fact: Fact) -> None:
        """Ask text to speech again for the audio that it has not given. What it gave is still played."""
        context, number = self.context, self.context.answer.speech_open
        if number is None:
            return
        if self._to_be_played_ms(fact) <= 0:
            self._log_tts_failure(fact)
        context.answer.speech_attempt += 1
        context.answer.speech_attempt_began = fact.at_ms
        beyond_segments = context.answer.ledger.heard_ms(fact.at_ms) - context.answer.ledger.known_ms()
        voiced_ms = fact.voiced_ms if isinstance(fact, facts.SynthesisFailed) else max(0.0, beyond_segments)
        again = context.answer.ledger.cut(voiced_ms)
        context.ask(do.RestartSpeech(number, context.answer.speech_attempt))
        context.ask(*(do.Speak(number, segment, text) for segment, text in again))
        if context.answer.generation_open is None:
            finish_speech(context)

    def _to_be_played_ms(self, fact: Fact) -> float:
        """How much audio text to speech gave before it failed and the caller has not heard yet."""
        voiced_ms = fact.voiced_ms if isinstance(fact, facts.SynthesisFailed) else 0.0
        ledger = self.context.answer.ledger
        return ledger.known_ms() + voiced_ms - ledger.heard_ms(fact.at_ms)

    def _log_tts_failure(self, fact: Fact) -> None:
        waited_ms = silent_ms(self.context, self.context.answer.speech_attempt_began, fact.at_ms)
        failure, attempt = _tts_failure(fact)
        log_failure(self.context, Role.TTS, failure, waited_ms, attempt)

    @causes(do.CancelGeneration, do.StopSpeech, do.NotifyClientError, do.NotifyAnswerEnded, do.LogFailure)
    def give_up_tts(self, fact: Fact) -> None:
        """Stop an answer whose text to speech failed or stalled. What was heard becomes history."""
        self._log_tts_failure(fact)
        stop_speech(self.context, do.StopCause.FAILED)
        failure, _ = _tts_failure(fact)
        notify_client_error(self.context, do.ClientError.VOICE_FAILED, failure)
        end_speech(self.context, fact.at_ms)
