"""Answers as a caller would notice them: models and voices that fail, and how long it took."""

from __future__ import annotations

import pytest
from attrs import evolve

from machines import effects as do
from machines import facts
from machines.declarations import Outcome
from machines.effects import ClientError, Effect, StopCause
from machines.facts import EndReason, ErrorClass, ProviderFailure, Role
from machines.tools import ToolCall, ToolPolicy
from tests.machines.calls import (
    AUTOMATIC,
    FATAL,
    PASSING,
    POLICY,
    SYSTEM,
    Call,
    reopened,
    user,
)

HUNDRED_TIMES = 100


# --- the model fails --------------------------------------------------------------------------------------


def test_a_model_that_fails_is_asked_again_within_its_budget() -> None:
    call = Call().thinking()
    for attempt, delay in enumerate(POLICY.llm_retry_delays_ms, start=1):
        assert call.happens(facts.GenerationFailed(attempt, PASSING)) == []
        assert call.state == "retrying"
        assert do.ArmDeadline(call.memory.deadline_number, delay) in call.last.effects
        assert call.deadline_passes() == [
            do.StartGeneration(attempt + 1, (SYSTEM, user("hello"))),
            do.NotifyAnswerStarted(attempt + 1),
        ]
    last = len(POLICY.llm_retry_delays_ms) + 1
    effects = call.happens(facts.GenerationFailed(last, PASSING))
    assert do.Speak(last + 1, 0, POLICY.fallback.first) in effects
    assert do.NotifyClientError(ClientError.MODEL_FAILED, "connection lost", retryable=True) in effects
    assert call.state == "speaking"


def test_a_model_that_cannot_succeed_is_not_asked_again() -> None:
    call = Call().thinking()
    call.handle(facts.GenerationFailed(1, FATAL))
    assert call.state == "speaking"


REFUSED = ProviderFailure(ErrorClass.REFUSED_TEXT, "content_filter")


def test_words_that_a_filter_refused_are_answered_and_never_sent_again() -> None:
    call = Call().thinking("something dreadful")
    for _ in range(4):
        effects = call.happens(facts.GenerationFailed(call.memory.answer.generation, REFUSED))
        assert do.Speak(call.memory.answer.generation, 0, POLICY.fallback.refused) in effects
        assert call.memory.answer.failures == 0, "nobody has failed"
        call.heard_all()
        call.handle(facts.RecordingStopped())
        effects = call.final("what time is it?")
        (asked,) = (effect for effect in effects if isinstance(effect, do.StartGeneration))
        assert asked.messages == (SYSTEM, user("what time is it?"))
    assert call.history[0] == ("user", "something dreadful")


def test_refused_words_are_not_joined_with_the_next_ones_when_the_reply_to_them_is_interrupted() -> None:
    call = Call().thinking("something dreadful")
    call.handle(facts.GenerationFailed(1, REFUSED))
    call.handle(facts.InterruptRequested())
    call.handle(facts.RecordingStopped())
    effects = call.final("hello again")
    (asked,) = (effect for effect in effects if isinstance(effect, do.StartGeneration))
    assert asked.messages == (SYSTEM, user("hello again"))


def test_a_refusal_after_a_tools_result_withholds_the_whole_exchange() -> None:
    call = Call(evolve(POLICY, tools=(ToolPolicy("read"),))).thinking("read me the page")
    call.handle(facts.GenerationFinished(1, (ToolCall("a", "read", "{}"),)))
    call.handle(facts.ToolFinished(1, "a dreadful page"))
    call.handle(facts.GenerationFailed(call.memory.answer.generation, REFUSED))
    call.heard_all()
    call.handle(facts.RecordingStopped())
    effects = call.final("what time is it?")
    (asked,) = (effect for effect in effects if isinstance(effect, do.StartGeneration))
    assert asked.messages == (SYSTEM, user("what time is it?"))


SPENT = ProviderFailure(ErrorClass.LIMIT_SPENT, "all tokens went into thinking")


def fails_repeatedly(call: Call, failure: ProviderFailure, times: int) -> list[Effect]:
    effects: list[Effect] = []
    for number in range(times):
        if number:
            call.handle(facts.RecordingStopped())
            call.final("again")
        effects += call.happens(facts.GenerationFailed(call.memory.answer.generation, failure))
        effects += call.heard_all()
    return effects


def test_a_model_that_thinks_for_too_long_and_has_answered_before_does_not_end_the_call() -> None:
    """A6."""
    call = Call().listening()
    call.exchange("hello", "Yes.")
    call.handle(facts.RecordingStopped())
    call.final("a riddle")
    effects = fails_repeatedly(call, SPENT, 4)
    said = [effect.text for effect in effects if isinstance(effect, do.Speak)]
    assert said == [POLICY.fallback.unanswered] * 4
    assert call.state == "quiet"


def test_a_model_that_does_nothing_but_think_ends_the_call_at_last() -> None:
    """A6."""
    call = Call().thinking()
    effects = fails_repeatedly(call, SPENT, 3)
    texts = POLICY.fallback
    said = [effect.text for effect in effects if isinstance(effect, do.Speak)]
    assert said == [texts.unanswered, texts.unanswered, texts.third]
    assert do.CloseConversation(EndReason.MODEL_KEPT_FAILING, after_goodbye=True) in effects


def test_a_late_model_is_cancelled_and_answered_for() -> None:
    call = Call().thinking()
    began = call.now
    assert call.deadline_passes() == [do.CancelGeneration(1)]
    assert call.state == "retrying"
    call.deadline_passes()
    effects = call.deadline_passes()
    assert effects[:2] == [
        do.NotifyClientError(
            ClientError.MODEL_LATE, "the language model did not go on in time", retryable=True
        ),
        do.CancelGeneration(2),
    ]
    assert effects[-2:] == [do.Speak(3, 0, POLICY.fallback.first), do.FinishSpeech(3)]
    assert call.now == began + POLICY.first_segment_timeout_ms
    call.handle(facts.SegmentReady(1, 0, "Too late."))
    assert call.outcome() is Outcome.REFUSED


def test_an_empty_answer_is_answered_for() -> None:
    call = Call().thinking()
    effects = call.happens(facts.GenerationFinished(1))
    assert do.Speak(2, 0, POLICY.fallback.first) in effects


def test_the_third_failure_in_a_row_says_goodbye_and_ends() -> None:
    call = Call().thinking()
    texts = [POLICY.fallback.first, POLICY.fallback.second, POLICY.fallback.third]
    for number, text in enumerate(texts):
        if number:
            call.handle(facts.RecordingStopped())
            call.final("again")
        effects = call.happens(facts.GenerationFailed(call.memory.answer.generation, FATAL))
        assert do.Speak(call.memory.answer.generation, 0, text) in effects
        effects = call.heard_all()
    assert do.CloseConversation(EndReason.MODEL_KEPT_FAILING, after_goodbye=True) in effects
    assert call.state == "closing"
    assert call.history[-1] == ("assistant", POLICY.fallback.third)


def test_a_good_answer_in_between_starts_the_count_anew() -> None:
    call = Call().listening()
    for _ in range(HUNDRED_TIMES):
        call.exchange("hello", "Yes.")
        call.handle(facts.RecordingStopped())
        call.final("again")
        effects = call.happens(facts.GenerationFailed(call.memory.answer.generation, FATAL))
        assert do.Speak(call.memory.answer.generation, 0, POLICY.fallback.first) in effects
        call.heard_all()


def test_a_goodbye_that_is_interrupted_is_no_goodbye() -> None:
    call = Call().saying_goodbye()
    call.handle(facts.InterruptRequested())
    assert call.state == "quiet"
    call.exchange("hello", "Yes.")
    assert call.state == "quiet"


@pytest.mark.parametrize("ending", ["the voice fails", "the voice stalls"])
def test_a_goodbye_that_cannot_be_spoken_still_ends_the_call(ending: str) -> None:
    call = Call().saying_goodbye()
    for _ in range(POLICY.voice_retries):
        effects = call.voice_fails() if ending == "the voice fails" else call.deadline_passes()
        assert call.state == "speaking"
        reopened(call, Role.TTS)
    effects = call.voice_fails() if ending == "the voice fails" else call.deadline_passes()
    assert do.CloseConversation(EndReason.MODEL_KEPT_FAILING) in effects
    assert call.state == "closing"


def test_a_model_that_breaks_off_for_good_is_heard_as_far_as_it_came() -> None:
    call = Call().thinking()
    call.segment(0, "Yes indeed.")
    assert call.happens(facts.GenerationFailed(1, FATAL)) == [
        do.NotifyClientError(ClientError.MODEL_FAILED, "no such model", retryable=False),
        do.CancelGeneration(1),
        do.FinishSpeech(1),
    ]
    call.heard_all()
    assert call.history == [("user", "hello"), ("assistant", "Yes indeed.")]


def test_a_model_that_stops_in_the_middle_is_given_up_after_a_while() -> None:
    call = Call(evolve(POLICY, llm_retry_delays_ms=())).thinking()
    call.segment(0, "Yes indeed.")
    call.voiced(0, "Yes", "indeed.")
    call.plays()
    effects = call.deadline_passes()
    assert effects[1:] == [do.CancelGeneration(1), do.FinishSpeech(1)]
    assert call.state == "speaking"


# --- the voice fails --------------------------------------------------------------------------------------


def test_when_the_voice_fails_for_good_the_text_was_told_and_the_call_goes_on() -> None:
    call = Call().speaking("Yes indeed.")
    call.voice_fails(FATAL)
    reopened(call, Role.TTS)
    assert call.voice_fails(FATAL)[:3] == [
        do.StopSpeech(1, StopCause.FAILED),
        do.NotifyClientError(ClientError.VOICE_FAILED, "no such model", retryable=False),
        do.BeginTurn(3),
    ]
    assert call.state == "quiet"
    assert call.history == []


def test_words_whose_answer_was_never_heard_are_asked_again_with_the_next() -> None:
    call = Call().speaking("Yes indeed.")
    call.voice_fails(FATAL)
    call.voice_fails(FATAL)
    call.handle(facts.RecordingStopped())
    assert do.StartGeneration(2, (SYSTEM, user("hello are you there"))) in call.final("are you there")


def test_a_voice_that_stalls_again_and_again_is_given_up() -> None:
    call = Call().speaking("Yes indeed.")
    for retry in range(POLICY.voice_retries):
        assert do.RestartSpeech(1, retry + 2) in call.deadline_passes()
        reopened(call, Role.TTS)
    effects = call.deadline_passes()
    assert effects[:2] == [
        do.StopSpeech(1, StopCause.FAILED),
        do.NotifyClientError(ClientError.VOICE_FAILED, "the voice did not go on in time", retryable=True),
    ]


def test_every_sign_of_life_puts_the_stall_off() -> None:
    call = Call().speaking("Yes indeed.")
    before = call.memory.deadline_armed
    call.handle(facts.SegmentVoiced(1, 0, duration_ms=2000))
    assert call.last.effects == (
        do.ArmDeadline(call.memory.deadline_number, 2000 + POLICY.speech_stall_timeout_ms),
    )
    assert call.memory.deadline_armed != before
    assert before is not None
    call.handle(facts.DeadlinePassed(before))
    assert call.outcome() is Outcome.REFUSED


# --- latency ----------------------------------------------------------------------------------------------


def test_the_time_between_speech_and_answer_is_split_by_stage() -> None:
    call = Call().listening(AUTOMATIC)
    call.handle(facts.SpeechStarted())
    call.handle(facts.SpeechStopped(speech_ms=700), after_ms=700)
    call.deadline_passes()
    call.final("hello")
    call.segment(0, "Yes.")
    call.handle(facts.PlaybackAt(1, 0, playing=True), after_ms=200)
    call.handle(facts.GenerationFinished(1))
    call.handle(facts.PlaybackFinished(1), after_ms=400)
    ended = [effect for effect in call.last.effects if isinstance(effect, do.NotifyAnswerEnded)]
    latency = do.TurnLatency(
        endpoint_ms=500, transcript_ms=100, first_segment_ms=50, first_audio_ms=200, total_ms=850
    )
    assert [each.latency for each in ended] == [latency]


# --- the voice cannot say it ------------------------------------------------------------------------------


def unsayable(call: Call, segment: int = 0) -> list[do.Effect]:
    """The voice has no audio for a segment, and that is the text's fault."""
    attempt = call.memory.answer.speech_attempt
    return call.happens(facts.SegmentVoiced(call.utterance, segment, 0.0, attempt=attempt, unsayable=True))


def test_an_answer_that_the_voice_cannot_say_is_told_once_and_nobody_is_blamed() -> None:
    call = Call().speaking("您好。", "再见。")
    [told] = unsayable(call)
    assert isinstance(told, do.NotifyClientError)
    assert (told.error, told.retryable) == (ClientError.UNSAYABLE, False)
    assert unsayable(call, 1) == []
    effects = call.heard_all()
    assert do.Speak(2, 0, POLICY.fallback.unsayable) in effects
    assert call.state == "speaking"
    assert not any(isinstance(each, do.ReplaceLink | do.RestartSpeech) for each in call.all_effects)
    call.voiced(0, "I'm", "sorry")
    call.heard_all()
    assert call.state == "quiet"
    assert [message.text for message in call.memory.history] == ["hello", POLICY.fallback.unsayable]


def test_if_not_even_that_can_be_said_the_call_goes_on() -> None:
    call = Call().speaking("您好。")
    unsayable(call)
    call.heard_all()
    unsayable(call)
    call.heard_all()
    assert call.state == "quiet"
    assert call.memory.history == ()


def test_an_answer_of_which_something_was_said_is_heard() -> None:
    call = Call().speaking("Hello.", "您好。")
    call.voiced(0, "Hello.")
    assert len(unsayable(call, 1)) == 1
    call.heard_all()
    assert call.state == "quiet"


def test_an_answer_with_nothing_to_say_is_an_answer() -> None:
    """One that is a single emoji: the segmenter gives it as a segment without sound."""
    call = Call().speaking("👍")
    call.voiced(0)
    assert not any(isinstance(each, do.NotifyClientError) for each in call.heard_all())
    assert call.state == "quiet"
    assert [message.text for message in call.memory.history] == ["hello", "👍"]


def test_the_tokens_of_an_answer_make_its_text() -> None:
    call = Call().speaking("It is noon.", "您好。", "再见。")
    effects = [each for each in call.all_effects if isinstance(each, do.NotifySegment)]
    call.heard_all()
    [ended] = [each for each in call.all_effects if isinstance(each, do.NotifyAnswerEnded)]
    assert "".join(each.gap + each.text for each in effects) == ended.text == "It is noon.您好。再见。"
