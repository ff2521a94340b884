"""The conversation as a caller would notice it: links, turns, words and endings, step by step."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from machines import effects as do
from machines import facts
from machines.declarations import Outcome
from machines.effects import ClientError, StopCause
from machines.facts import EndReason, Role
from machines.policy import ConversationPolicy
from tests.machines.calls import (
    AUTOMATIC,
    FATAL,
    HUNG_UP,
    MANUAL,
    PASSING,
    POLICY,
    START,
    STOP,
    SYSTEM,
    Call,
    effects_of,
    user,
)

# --- coming up --------------------------------------------------------------------------------------------


def test_a_call_begins_by_opening_every_link() -> None:
    call = Call()
    assert call.state == "connecting"
    assert effects_of(call, do.OpenLink) == [do.OpenLink(role, 1) for role in Role]
    assert call.beginning.effects[0] == do.ArmDeadline(1, POLICY.connect_timeout_ms)


def test_a_recording_is_acknowledged_when_the_last_link_is_up() -> None:
    call = Call()
    assert call.happens(facts.RecordingStarted(MANUAL, START)) == []
    assert call.happens(facts.LinkOpened(Role.LLM, 1)) == []
    assert call.happens(facts.LinkOpened(Role.STT, 1)) == []
    assert call.happens(facts.LinkOpened(Role.TTS, 1)) == [do.BeginTurn(1), do.Acknowledge(START)]
    assert call.state == "quiet"


def test_the_client_is_told_every_change_of_state() -> None:
    call = Call().listening()
    assert do.NotifyState("INITIALIZING", "LISTENING", "quiet", "link_up") in call.last.effects
    call.handle(facts.SpeechStarted())
    assert do.NotifyState("LISTENING", "LISTENING", "hearing", "speech_started") in call.last.effects


def test_a_recording_that_ends_before_the_links_are_up_is_still_a_turn() -> None:
    call = Call()
    call.handle(facts.RecordingStarted(MANUAL, START))
    call.handle(facts.RecordingStopped(STOP))
    assert call.links_come_up() == [
        do.BeginTurn(1),
        do.Acknowledge(START),
        do.FinalizeTurn(1),
        do.BeginTurn(2),
    ]
    assert call.state == "finalizing"
    assert call.final("hello")[:2] == [
        do.NotifyTranscript(1, "hello", 0.9, is_final=True, speech_ms=800),
        do.Acknowledge(STOP),
    ]
    assert call.state == "generating"


def test_a_recording_that_begins_again_before_the_links_are_up_goes_on() -> None:
    call = Call()
    for fact in (facts.RecordingStarted(MANUAL), facts.RecordingStopped(), facts.RecordingStarted(MANUAL)):
        call.handle(fact)
    call.links_come_up()
    assert call.state == "quiet"


def test_links_that_are_late_end_the_call_with_each_missing_one_named() -> None:
    call = Call()
    call.handle(facts.RecordingStarted(MANUAL, START))
    call.handle(facts.LinkOpened(Role.LLM, 1))
    effects = call.deadline_passes()
    assert effects == [
        do.NotifyClientError(ClientError.STT_UNAVAILABLE, "STT was not ready within 5000 ms", retryable=True),
        do.NotifyClientError(ClientError.TTS_UNAVAILABLE, "TTS was not ready within 5000 ms", retryable=True),
        do.Refuse(START, "the conversation ended: provider_unavailable"),
        do.CloseConversation(EndReason.PROVIDER_UNAVAILABLE),
        *(do.CloseLink(role, 1) for role in Role),
    ]
    assert call.state == "closing"


@pytest.mark.parametrize("role", Role)
def test_a_link_that_fails_for_good_ends_the_call(role: Role) -> None:
    call = Call()
    call.handle(facts.RecordingStarted(MANUAL, START))
    effects = call.happens(facts.LinkFailed(role, 1, FATAL))
    trouble = ClientError(f"{role.value}_unavailable")
    assert effects[:3] == [
        do.NotifyClientError(trouble, "no such model", retryable=False),
        do.Refuse(START, "the conversation ended: provider_unavailable"),
        do.CloseConversation(EndReason.PROVIDER_UNAVAILABLE),
    ]


# --- a manual turn ----------------------------------------------------------------------------------------


def test_a_manual_turn_from_recording_to_quiet() -> None:
    call = Call().listening()
    assert call.happens(facts.RecordingStopped(STOP)) == [do.FinalizeTurn(1), do.BeginTurn(2)]
    assert call.final("hello there") == [
        do.NotifyTranscript(1, "hello there", 0.9, is_final=True, speech_ms=800),
        do.Acknowledge(STOP),
        do.StartGeneration(1, (SYSTEM, user("hello there"))),
        do.NotifyAnswerStarted(1),
    ]
    assert call.segment(0, "Yes indeed.") == [
        do.NotifySegment(1, 0, "Yes indeed."),
        do.Speak(1, 0, "Yes indeed."),
    ]
    assert call.state == "speaking"
    assert call.happens(facts.GenerationFinished(1)) == [do.FinishSpeech(1)]
    call.voiced(0, "Yes", "indeed.")
    call.plays()
    assert call.heard_all() == [do.BeginTurn(3)]
    assert call.state == "quiet"
    assert call.history == [("user", "hello there"), ("assistant", "Yes indeed.")]


def test_the_next_question_is_asked_with_the_history() -> None:
    call = Call().listening()
    call.exchange("one", "First.")
    call.handle(facts.RecordingStopped())
    start = call.final("two")[1]
    assert isinstance(start, do.StartGeneration)
    assert [(message.speaker.value, message.text) for message in start.messages] == [
        ("system", "Be brief."),
        ("user", "one"),
        ("assistant", "First."),
        ("user", "two"),
    ]


def test_voice_alone_never_ends_a_manual_turn() -> None:
    call = Call().listening(MANUAL)
    call.handle(facts.SpeechStarted())
    call.handle(facts.SpeechStopped(speech_ms=300))
    assert call.state == "quiet"
    assert effects_of(call, do.FinalizeTurn) == []


def test_a_turn_without_words_is_acknowledged_and_answered_by_nothing() -> None:
    call = Call().finalizing()
    assert call.final("") == [
        do.NotifyTranscript(1, "", 0.9, is_final=True, speech_ms=800),
        do.Acknowledge(STOP),
    ]
    assert call.state == "quiet"


def test_stop_twice_is_acknowledged_twice() -> None:
    call = Call().finalizing()
    again = facts.Request("audio.input.stop", "again")
    assert call.happens(facts.RecordingStopped(again)) == []
    effects = call.final("hello")
    assert [effect for effect in effects if isinstance(effect, do.Acknowledge)] == [
        do.Acknowledge(STOP),
        do.Acknowledge(again),
    ]
    assert call.happens(facts.RecordingStopped(STOP)) == [do.Acknowledge(STOP)]


def test_start_twice_is_acknowledged_twice_and_begins_nothing_new() -> None:
    call = Call().listening()
    assert call.happens(facts.RecordingStarted(MANUAL, START)) == [do.Acknowledge(START)]
    assert call.state == "quiet"


def test_interim_words_are_told_as_they_come() -> None:
    call = Call().listening()
    assert call.happens(facts.TranscriptInterim(1, "hel", 0.4)) == [
        do.NotifyTranscript(1, "hel", 0.4, is_final=False)
    ]


def test_interim_words_of_the_next_turn_are_not_told_while_this_one_is_awaited() -> None:
    call = Call().finalizing()
    assert call.happens(facts.TranscriptInterim(2, "other")) == []
    assert call.happens(facts.TranscriptInterim(1, "hello")) != []


def test_a_turn_that_lasts_too_long_is_taken_as_it_is() -> None:
    call = Call().listening()
    call.handle(facts.SpeechStarted())
    assert call.deadline_passes() == [do.FinalizeTurn(1), do.BeginTurn(2)]


# --- an automatic turn ------------------------------------------------------------------------------------


def test_silence_after_speech_ends_an_automatic_turn() -> None:
    call = Call().listening(AUTOMATIC)
    call.handle(facts.SpeechStarted())
    call.handle(facts.SpeechStopped(speech_ms=700), after_ms=700)
    assert call.state == "endpointing"
    assert call.last.effects[-1] == do.ArmDeadline(call.memory.deadline_number, POLICY.endpoint_delay_ms)
    assert call.deadline_passes() == [do.FinalizeTurn(1), do.BeginTurn(2)]
    call.final("hello")
    assert call.state == "generating"


def test_a_caller_who_pauses_briefly_goes_on_with_the_same_turn() -> None:
    call = Call().listening(AUTOMATIC)
    for fact in (facts.SpeechStarted(), facts.SpeechStopped(300), facts.SpeechStarted()):
        call.handle(fact, after_ms=100)
    assert call.state == "hearing"
    assert effects_of(call, do.FinalizeTurn) == []


def test_words_said_while_the_transcript_is_awaited_are_joined() -> None:
    call = Call().listening(AUTOMATIC)
    call.handle(facts.SpeechStarted())
    call.handle(facts.SpeechStopped(300))
    call.deadline_passes()
    call.handle(facts.SpeechStarted())
    call.final("I would like")
    assert call.state == "hearing"
    call.handle(facts.SpeechStopped(300))
    call.deadline_passes()
    assert do.StartGeneration(1, (SYSTEM, user("I would like a tea"))) in call.final("a tea")


def test_a_pause_while_the_transcript_is_awaited_is_a_pause() -> None:
    call = Call().finalizing(AUTOMATIC)
    call.handle(facts.SpeechStarted())
    call.handle(facts.SpeechStopped(300))
    call.final("I would like")
    assert call.state == "endpointing"


def test_a_caller_who_goes_on_before_the_answer_gets_one_answer_to_all_words() -> None:
    call = Call().thinking("I would like", AUTOMATIC)
    assert call.happens(facts.SpeechStarted()) == [do.CancelGeneration(1)]
    assert call.state == "hearing"
    call.handle(facts.SpeechStopped(300))
    call.deadline_passes()
    assert do.StartGeneration(2, (SYSTEM, user("I would like a tea"))) in call.final("a tea")


def test_a_cough_before_the_answer_only_costs_time() -> None:
    call = Call().thinking("hello", AUTOMATIC)
    call.handle(facts.SpeechStarted())
    call.handle(facts.SpeechStopped(100))
    call.deadline_passes()
    assert do.StartGeneration(2, (SYSTEM, user("hello"))) in call.final("")


def test_in_manual_mode_voice_does_not_disturb_thinking_and_speaking() -> None:
    call = Call().thinking()
    call.handle(facts.SpeechStarted())
    assert (call.outcome(), call.state) == (Outcome.IGNORED, "generating")
    call.answers("Yes.")
    call.handle(facts.SpeechStarted())
    assert (call.outcome(), call.state) == (Outcome.IGNORED, "speaking")


# --- words that do not come -------------------------------------------------------------------------------


def test_interim_words_are_taken_when_the_final_ones_are_late() -> None:
    call = Call().finalizing()
    call.handle(facts.TranscriptInterim(1, "hello"))
    assert call.deadline_passes() == []
    assert call.deadline_passes()[:4] == [
        do.NotifyTranscript(1, "hello", 0.0, is_final=True),
        do.Acknowledge(STOP),
        do.StartGeneration(1, (SYSTEM, user("hello"))),
        do.NotifyAnswerStarted(1),
    ]
    call.handle(facts.TranscriptFinal(1, "hello there"))
    assert (call.outcome(), call.state) == (Outcome.REFUSED, "generating")


def test_without_any_words_the_wait_ends_in_an_apology() -> None:
    call = Call().finalizing()
    call.deadline_passes()
    assert call.now == 1000 + POLICY.final_transcript_timeout_ms / 2
    assert call.state == "finalizing"
    assert call.deadline_passes() == [
        do.NotifyClientError(
            ClientError.TRANSCRIPTION_FAILED, "speech to text gave no transcript in time", retryable=True
        ),
        do.NotifyTranscript(1, "", 0.0, is_final=True),
        do.Acknowledge(STOP),
        do.NotifySegment(1, 0, POLICY.fallback.unheard),
        do.Speak(1, 0, POLICY.fallback.unheard),
        do.FinishSpeech(1),
    ]
    assert call.now == 1000 + POLICY.final_transcript_timeout_ms
    assert call.state == "speaking"
    call.heard_all()
    assert (call.state, call.history) == ("quiet", [])


def test_a_failed_transcription_takes_what_was_understood_so_far() -> None:
    call = Call().finalizing()
    call.handle(facts.TranscriptInterim(1, "hello"))
    assert call.happens(facts.TranscriptionFailed(1, PASSING))[0] == do.NotifyClientError(
        ClientError.TRANSCRIPTION_FAILED, "connection lost", retryable=True
    )
    assert call.state == "generating"


def test_a_failed_transcription_without_words_refuses_the_stop() -> None:
    call = Call().finalizing()
    effects = call.happens(facts.TranscriptionFailed(1, PASSING))
    assert do.Refuse(STOP, "connection lost", ClientError.TRANSCRIPTION_FAILED) in effects
    assert do.Acknowledge(STOP) not in effects
    assert do.Speak(1, 0, POLICY.fallback.unheard) in effects
    assert call.state == "speaking"


def test_a_recording_begun_while_words_are_awaited_is_joined_to_them() -> None:
    call = Call().finalizing()
    assert call.happens(facts.RecordingStarted(MANUAL, START)) == [do.Acknowledge(START)]
    call.final("I would like")
    assert call.state == "quiet"
    call.handle(facts.RecordingStopped())
    assert do.StartGeneration(1, (SYSTEM, user("I would like a tea"))) in call.final("a tea")


def test_a_recording_made_while_words_are_awaited_is_a_turn_of_its_own() -> None:
    call = Call().finalizing()
    call.handle(facts.RecordingStarted(MANUAL))
    call.handle(facts.RecordingStopped())
    call.final("I would like")
    assert call.state == "endpointing"
    assert call.deadline_passes() == [do.FinalizeTurn(2), do.BeginTurn(3)]


# --- the end ----------------------------------------------------------------------------------------------

SITUATIONS: dict[str, Callable[[], Call]] = {
    "connecting": Call,
    "quiet": lambda: Call().listening(),
    "hearing": lambda: after(Call().listening(), facts.SpeechStarted()),
    "endpointing": lambda: after(
        Call().listening(AUTOMATIC), facts.SpeechStarted(), facts.SpeechStopped(300)
    ),
    "finalizing": lambda: Call().finalizing(),
    "generating": lambda: Call().thinking(),
    "retrying": lambda: after(Call().thinking(), facts.GenerationFailed(1, PASSING)),
    "speaking": lambda: Call().speaking("Yes indeed."),
    "paused": lambda: after(Call().speaking("Yes indeed.", mode=AUTOMATIC), facts.SpeechStarted()),
}


def after(call: Call, *happened: facts.Fact) -> Call:
    """A call in some state, after some facts."""
    for fact in happened:
        call.handle(fact)
    return call


@pytest.mark.parametrize("state", SITUATIONS)
def test_hanging_up_ends_the_call_from_every_state(state: str) -> None:
    call = SITUATIONS[state]()
    assert call.state == state
    effects = call.happens(HUNG_UP)
    assert do.CloseConversation(EndReason.CALLER_HUNG_UP) in effects
    assert [effect for effect in effects if isinstance(effect, do.CloseLink)] == [
        do.CloseLink(role, 1) for role in Role
    ]
    stopped = [effect for effect in effects if isinstance(effect, do.StopSpeech | do.CancelGeneration)]
    expected: dict[str, list[do.Effect]] = {
        "generating": [do.CancelGeneration(1)],
        "speaking": [do.StopSpeech(1, StopCause.ENDED)],
        "paused": [do.StopSpeech(1, StopCause.ENDED)],
    }
    assert stopped == expected.get(state, [])
    assert call.state == "closing"
    call.handle(facts.EverythingClosed())
    assert call.system.ended


def test_hanging_up_in_the_middle_of_an_answer_keeps_what_was_heard() -> None:
    call = Call().speaking("one two.")
    call.voiced(0, "one", "two.")
    call.plays()
    call.handle(HUNG_UP, after_ms=100)
    assert call.history == [("user", "hello"), ("assistant", "one")]


def test_waiting_requests_are_refused_when_the_call_ends() -> None:
    call = Call().finalizing()
    assert do.Refuse(STOP, "the conversation ended: caller_hung_up") in call.happens(HUNG_UP)


def test_what_does_not_close_is_abandoned() -> None:
    call = Call().listening()
    call.handle(HUNG_UP)
    assert call.deadline_passes() == [do.AbandonConversation()]
    assert call.system.ended


def test_after_the_end_nothing_is_asked_for() -> None:
    call = Call().listening()
    call.handle(HUNG_UP)
    call.handle(facts.EverythingClosed())
    for fact in (HUNG_UP, facts.SpeechStarted(), facts.InterruptRequested(), facts.EverythingClosed()):
        assert call.happens(fact) == []
        assert call.outcome() is Outcome.IGNORED


# --- what the machine once got wrong ----------------------------------------------------------------------


@pytest.mark.parametrize("fact", [facts.RecordingStarted(MANUAL, START), facts.RecordingStopped(START)])
def test_a_request_that_comes_while_the_call_closes_is_refused(fact: facts.Fact) -> None:
    call = Call().listening()
    call.handle(HUNG_UP)
    assert [type(effect) for effect in call.happens(fact)] == [do.Refuse]


@pytest.mark.parametrize("how", ["late", "failed"])
def test_a_caller_who_goes_on_is_not_answered_when_the_words_before_are_lost(how: str) -> None:
    call = Call().finalizing(AUTOMATIC)
    call.handle(facts.TranscriptInterim(1, "I would like"))
    call.handle(facts.SpeechStarted())
    if how == "late":
        call.deadline_passes()
        call.deadline_passes()
    else:
        call.handle(facts.TranscriptionFailed(1, PASSING))
    assert call.state == "hearing"


def test_a_recording_begun_meanwhile_is_not_lost_when_the_words_before_are_late() -> None:
    call = Call().finalizing()
    call.handle(facts.TranscriptInterim(1, "I would like"))
    call.handle(facts.RecordingStarted(MANUAL))
    call.deadline_passes()
    call.deadline_passes()
    assert call.state == "quiet"


@pytest.mark.parametrize("fact", [facts.SynthesisFailed(1, FATAL, attempt=2), facts.InterruptRequested()])
def test_a_caller_who_speaks_while_the_answer_breaks_off_is_heard(fact: facts.Fact) -> None:
    call = Call().speaking("Yes indeed.", mode=AUTOMATIC)
    call.voice_fails(FATAL)
    call.handle(facts.SpeechStarted())
    call.handle(fact)
    assert call.state == "hearing"


def test_a_failure_of_the_next_turn_does_not_end_the_wait_for_this_one() -> None:
    call = Call().finalizing()
    call.handle(facts.TranscriptionFailed(2, PASSING))
    assert call.state == "finalizing"


def test_every_answer_that_the_client_was_told_of_is_told_to_be_over() -> None:
    call = Call().thinking("hello", AUTOMATIC)
    call.handle(facts.SpeechStarted())
    assert len(effects_of(call, do.NotifyAnswerStarted)) == len(effects_of(call, do.NotifyAnswerEnded))


def test_latency_counts_from_the_last_end_of_voice() -> None:
    call = Call().listening(AUTOMATIC)
    call.handle(facts.SpeechStarted())
    call.handle(facts.SpeechStopped(300), after_ms=300)
    call.deadline_passes()
    call.handle(facts.SpeechStarted())
    call.handle(facts.SpeechStopped(300), after_ms=1000)
    ended_at = call.now
    call.final("hello")
    assert call.memory.turns.times.voice_ended == ended_at


def test_history_of_odd_length_still_begins_with_the_caller() -> None:
    call = Call(ConversationPolicy(max_history=3)).listening()
    call.exchange("one", "First.")
    call.exchange("two", "Second.")
    assert call.history[0][0] == "user"


def test_a_manual_recording_longer_than_a_turn_may_last_is_heard_to_its_end() -> None:
    call = Call().listening(MANUAL)
    call.handle(facts.SpeechStarted())
    call.deadline_passes()
    call.final("a very long story")
    assert do.FinalizeTurn(2) in call.happens(facts.RecordingStopped(STOP))


def test_a_pause_does_not_end_a_turn_that_became_manual() -> None:
    call = Call().listening(AUTOMATIC)
    call.handle(facts.SpeechStarted())
    call.handle(facts.SpeechStopped(300))
    call.handle(facts.RecordingStarted(MANUAL))
    assert call.memory.deadline_armed is None or call.deadline_passes() == []


def test_a_model_that_goes_on_and_on_is_cut_at_the_whole_answers_time() -> None:
    call = Call(ConversationPolicy(answer_timeout_ms=12_000)).thinking("hello")
    for number in range(4):
        call.handle(facts.SegmentReady(1, number, "And so on."), after_ms=2_500)
    assert do.ArmDeadline(call.memory.deadline_number, 2_000) in call.last.effects
    assert {type(effect) for effect in call.deadline_passes()} >= {do.CancelGeneration, do.FinishSpeech}
    assert call.state == "speaking"


def test_all_attempts_share_the_time_until_the_first_words() -> None:
    call = Call(ConversationPolicy(first_segment_timeout_ms=10_000, llm_retry_delays_ms=(100,)))
    call.thinking("hello")
    call.handle(facts.GenerationFailed(1, PASSING), after_ms=9_000)
    call.deadline_passes()
    assert call.last.effects[-1] == do.ArmDeadline(call.memory.deadline_number, 900)
    assert do.Speak(3, 0, POLICY.fallback.first) in call.deadline_passes()
