"""Voice over an answer: the answer pauses, and then is interrupted or goes on at the next word."""

from __future__ import annotations

import pytest
from attrs import evolve

from machines import effects as do
from machines import facts
from machines.declarations import Outcome
from machines.effects import ClientError, StopCause
from machines.facts import EndReason, Role
from machines.history import Message, Speaker
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
    reopened,
    user,
)

SAID = "one two three four five six seven eight nine ten"
"""The answer, with a word every 400 ms."""
WORD_MS = 400
VOICE_ALONE = evolve(POLICY, barge_in_min_words=0)
LONG_VOICE_MS = 700


def speaking(policy: ConversationPolicy = POLICY, *, after_ms: float = 0) -> Call:
    """`SAID` has been playing for `after_ms`."""
    call = Call(policy).speaking(SAID, mode=AUTOMATIC)
    call.voiced(0, *SAID.split(), word_ms=WORD_MS)
    call.plays()
    call.now += after_ms
    return call


def paused_on_voice(policy: ConversationPolicy = POLICY, *, after_ms: float = 850) -> Call:
    """The caller's voice has paused `SAID`. The two words of the lead are played nevertheless."""
    call = speaking(policy, after_ms=after_ms)
    call.handle(facts.SpeechStarted())
    call.now += 50
    call.plays(after_ms + 50, playing=False)
    assert call.state == "paused"
    return call


def confirming_interruption(policy: ConversationPolicy = POLICY) -> Call:
    """The voice over `SAID` has ended, and its words are awaited."""
    call = paused_on_voice(policy)
    call.handle(facts.SpeechStopped(LONG_VOICE_MS), after_ms=LONG_VOICE_MS)
    assert call.state == "confirming"
    return call


def weighing_speech(policy: ConversationPolicy = POLICY) -> Call:
    """The voice over `SAID` goes on, and the words of its beginning are awaited."""
    call = paused_on_voice(policy)
    call.deadline_passes()
    assert call.state == "confirming"
    return call


def reluctant() -> Call:
    """There were so many false alarms that voice does not pause the answer any more."""
    call = speaking(after_ms=850)
    for _ in range(POLICY.barge_in_false_alarms):
        call.handle(facts.SpeechStarted())
        call.handle(facts.SpeechStopped(100))
    assert call.state == "speaking"
    return call


def interim(call: Call, words: str, turn: int | None = None) -> list[do.Effect]:
    """Interim words of the turn over the answer."""
    awaited = call.memory.turns.current if call.memory.turns.awaited is None else call.memory.turns.awaited
    return call.happens(facts.TranscriptInterim(awaited if turn is None else turn, words))


def of_kinds(effects: list[do.Effect], *kinds: type[do.Effect]) -> list[do.Effect]:
    return [effect for effect in effects if isinstance(effect, kinds)]


HEARD = [("user", "hello"), ("assistant", "one two")]
"""The history when the answer was interrupted where `paused_on_voice` pauses it."""


# --- voice ------------------------------------------------------------------------------------------------


def test_voice_over_an_answer_pauses_it_at_once() -> None:
    call = speaking()
    assert call.happens(facts.SpeechStarted()) == [do.PauseSpeech(1), do.BeginTurn(3)]
    assert call.state == "paused"


def test_after_a_cough_the_answer_goes_on() -> None:
    call = paused_on_voice()
    assert call.happens(facts.SpeechStopped(POLICY.barge_in_min_ms - 1)) == [
        do.ResumeSpeech(1),
        do.BeginTurn(4),
    ]
    assert call.state == "speaking"
    call.heard_all()
    assert call.history == [("user", "hello"), ("assistant", SAID)]
    assert not call.memory.history[-1].interrupted
    assert effects_of(call, do.StopSpeech) == []


def test_a_longer_voice_is_waited_for_to_be_understood() -> None:
    call = paused_on_voice()
    assert call.happens(facts.SpeechStopped(POLICY.barge_in_min_ms)) == [
        do.FinalizeTurn(3),
        do.BeginTurn(4),
    ]
    assert call.state == "confirming"


def test_a_voice_that_goes_on_without_words_is_asked_about_in_the_end() -> None:
    call = speaking()
    call.handle(facts.SpeechStarted())
    held_at = call.now
    assert call.deadline_passes() == [do.FinalizeTurn(3), do.BeginTurn(4)]
    assert call.now - held_at == POLICY.barge_in_patience_ms
    assert call.state == "confirming"


def test_where_voice_alone_interrupts_no_words_are_needed() -> None:
    call = speaking(VOICE_ALONE, after_ms=850)
    call.handle(facts.SpeechStarted())
    assert call.deadline_passes() == [
        do.StopSpeech(1, StopCause.INTERRUPTED),
        do.NotifyInterrupted(1, "one two", "three four five six seven eight nine ten", 1050),
    ]
    assert call.state == "hearing"
    assert call.history == HEARD
    assert call.memory.history[-1].interrupted
    assert call.memory.history[-1].unheard == "three four five six seven eight nine ten"


def test_a_cough_does_not_interrupt_where_voice_alone_does() -> None:
    call = paused_on_voice(VOICE_ALONE)
    assert do.ResumeSpeech(1) in call.happens(facts.SpeechStopped(100))
    assert call.state == "speaking"


def test_more_voice_changes_nothing_while_it_is_decided() -> None:
    call = paused_on_voice()
    assert call.happens(facts.SpeechStarted()) == []
    assert call.outcome() is Outcome.IGNORED


def test_by_hand_voice_pauses_nothing() -> None:
    call = Call().speaking(SAID)
    assert call.happens(facts.SpeechStarted()) == []
    assert call.state == "speaking"


# --- words while the caller speaks ------------------------------------------------------------------------


def test_words_interrupt_as_soon_as_they_are_understood() -> None:
    call = paused_on_voice()
    assert interim(call, "please stop") == [
        do.StopSpeech(1, StopCause.INTERRUPTED),
        do.NotifyInterrupted(1, "one two", "three four five six seven eight nine ten", 900),
        do.NotifyTranscript(3, "please stop", 0.0, is_final=False, speech_ms=0.0),
    ]
    assert call.state == "hearing"
    assert call.history == HEARD


@pytest.mark.parametrize("words", ["", "uh-huh", "Yeah, right.", "one two", "two three four", "mm-hmm okay"])
def test_neither_backchannels_nor_the_answers_echo_interrupt(words: str) -> None:
    call = paused_on_voice()
    armed = call.memory.deadline_armed
    [told] = interim(call, words)
    assert isinstance(told, do.NotifyTranscript)
    assert call.state == "paused"
    assert call.memory.deadline_armed == armed, "the patience with them has an end"


def test_so_many_words_interrupt_as_are_asked_for() -> None:
    call = paused_on_voice(evolve(POLICY, barge_in_min_words=3))
    interim(call, "yeah please stop")
    assert call.state == "paused"
    interim(call, "yeah please stop it")
    assert call.state == "hearing"


def test_words_of_a_turn_that_waits_do_not_interrupt_the_next_answer() -> None:
    call = Call(evolve(POLICY, barge_in_thinking=False)).thinking(mode=AUTOMATIC)
    call.handle(facts.SpeechStarted())
    call.handle(facts.SpeechStopped(LONG_VOICE_MS))
    assert call.memory.turns.queued == (2,)
    call.segment(0, SAID)
    call.handle(facts.SpeechStarted())
    assert call.state == "paused"
    interim(call, "and the weather", turn=2)
    assert call.state == "paused"


def test_a_provider_that_expects_the_end_of_the_turn_interrupts_with_its_words() -> None:
    call = paused_on_voice()
    call.handle(facts.EagerEndOfTurn(3, "okay"))
    assert call.state == "paused"
    call.handle(facts.EagerEndOfTurn(3, "okay stop"))
    assert (call.state, call.history) == ("hearing", HEARD)


def test_a_provider_that_ends_the_turn_with_words_has_them_answered() -> None:
    call = paused_on_voice()
    effects = call.happens(facts.EndOfTurn(3, "please stop"))
    assert of_kinds(effects, do.StopSpeech, do.StartGeneration) == [
        do.StopSpeech(1, StopCause.INTERRUPTED),
        do.StartGeneration(2, (SYSTEM, *call.memory.history, user("please stop"))),
    ]
    assert (call.state, call.history) == ("generating", HEARD)


@pytest.mark.parametrize("words", ["", "mm-hmm", "one two three"])
def test_a_provider_that_ends_the_turn_without_words_lets_the_answer_go_on(words: str) -> None:
    call = paused_on_voice()
    assert call.happens(facts.EndOfTurn(3, words)) == [do.ResumeSpeech(1), do.BeginTurn(4)]
    assert call.state == "speaking"


# --- words after the caller has spoken --------------------------------------------------------------------


def test_words_interrupt_and_are_answered() -> None:
    call = confirming_interruption()
    assert call.final("please stop") == [
        do.StopSpeech(1, StopCause.INTERRUPTED),
        do.NotifyInterrupted(1, "one two", "three four five six seven eight nine ten", 900),
        do.NotifyTranscript(3, "please stop", 0.9, is_final=True, speech_ms=800),
        do.StartGeneration(2, (SYSTEM, *call.memory.history, user("please stop"))),
        do.NotifyAnswerStarted(2),
    ]
    assert (call.state, call.history) == ("generating", HEARD)


def test_words_over_an_answer_of_which_nothing_was_heard_go_on_with_the_question() -> None:
    call = Call().speaking(SAID, mode=AUTOMATIC)
    call.handle(facts.SpeechStarted())
    call.handle(facts.SpeechStopped(LONG_VOICE_MS))
    assert do.StartGeneration(2, (SYSTEM, user("hello and please stop"))) in call.final("and please stop")
    assert call.history == []


@pytest.mark.parametrize("words", ["", "Uh-huh.", "okay, got it", "one two", "Three? Four!"])
def test_without_words_that_count_the_answer_goes_on(words: str) -> None:
    call = confirming_interruption()
    assert call.final(words) == [
        do.NotifyTranscript(3, words, 0.9, is_final=True, speech_ms=800),
        do.ResumeSpeech(1),
    ]
    assert call.state == "speaking"
    call.heard_all()
    assert call.history == [("user", "hello"), ("assistant", SAID)]
    call.handle(facts.SpeechStarted())
    call.handle(facts.SpeechStopped(500))
    call.deadline_passes()
    effects = call.final("thanks")
    [asked] = [effect for effect in effects if isinstance(effect, do.StartGeneration)]
    assert asked.messages[-1] == user("thanks"), "what was said over the answer is forgotten"


def test_interim_words_that_come_late_interrupt_and_the_final_ones_are_answered() -> None:
    call = confirming_interruption()
    effects = interim(call, "please stop")
    assert effects[0] == do.StopSpeech(1, StopCause.INTERRUPTED)
    assert (call.state, call.history) == ("finalizing", HEARD)
    call.final("please stop now")
    assert call.state == "generating"
    assert call.memory.turns.caller_words == "please stop now"


def test_an_eager_end_of_turn_that_comes_late_interrupts_too() -> None:
    call = confirming_interruption()
    call.handle(facts.EagerEndOfTurn(3, "right"))
    assert call.state == "confirming"
    call.handle(facts.EagerEndOfTurn(3, "right stop"))
    assert call.state == "finalizing"


def test_a_caller_who_speaks_on_while_the_words_are_confirmed_is_heard_to_the_end() -> None:
    call = confirming_interruption()
    call.handle(facts.SpeechStarted())
    call.final("please stop")
    assert (call.state, call.history) == ("hearing", HEARD)
    call.handle(facts.SpeechStopped(300))
    call.deadline_passes()
    call.final("it now")
    assert call.memory.turns.caller_words == "please stop it now"


def test_who_spoke_again_meanwhile_and_pauses_is_waited_for() -> None:
    call = confirming_interruption()
    call.handle(facts.SpeechStarted())
    call.handle(facts.SpeechStopped(300), after_ms=300)
    call.final("please stop")
    assert (call.state, call.history) == ("endpointing", HEARD)
    call.deadline_passes()
    call.final("it now")
    assert call.memory.turns.caller_words == "please stop it now"


def test_words_that_follow_a_backchannel_are_confirmed_as_well() -> None:
    call = confirming_interruption()
    call.handle(facts.SpeechStarted())
    call.handle(facts.SpeechStopped(300), after_ms=300)
    effects = call.final("uh-huh")
    assert of_kinds(effects, do.FinalizeTurn, do.ResumeSpeech) == [do.FinalizeTurn(4)]
    assert call.state == "confirming"
    call.final("please stop")
    assert (call.state, call.history) == ("generating", HEARD)


def test_a_voice_that_goes_on_after_a_backchannel_does_not_pause_the_answer_any_longer() -> None:
    call = weighing_speech()
    assert do.ResumeSpeech(1) in call.final("uh-huh")
    assert call.state == "speaking"
    interim(call, "please stop")
    assert call.state == "hearing"


def test_words_of_a_voice_that_goes_on_interrupt_it_and_are_kept() -> None:
    call = weighing_speech()
    call.final("please stop")
    assert (call.state, call.history) == ("hearing", HEARD)
    call.handle(facts.SpeechStopped(3000))
    call.deadline_passes()
    call.final("and listen")
    assert call.memory.turns.caller_words == "please stop and listen"


def test_interim_words_of_what_follows_interrupt_though_those_before_are_still_awaited() -> None:
    call = weighing_speech()
    interim(call, "please stop", turn=call.memory.turns.current)
    assert (call.state, call.history) == ("finalizing", HEARD)


def test_words_that_never_come_are_not_waited_for_for_long() -> None:
    call = confirming_interruption()
    began = call.now
    effects = call.deadline_passes()
    assert call.now - began == POLICY.final_transcript_timeout_ms / 2
    assert of_kinds(effects, do.ResumeSpeech) == [do.ResumeSpeech(1)]
    assert effects_of(call, do.OpenLink)[-1] == do.OpenLink(Role.STT, 2), "another link may hear more"
    assert call.state == "speaking"
    call.handle(facts.TranscriptFinal(3, "please stop"))
    assert call.outcome() is Outcome.REFUSED


def test_words_that_cannot_be_understood_let_the_answer_go_on() -> None:
    call = confirming_interruption()
    effects = call.happens(facts.TranscriptionFailed(3, PASSING))
    assert effects[0] == do.NotifyClientError(
        ClientError.TRANSCRIPTION_FAILED, "connection lost", retryable=True
    )
    assert do.ResumeSpeech(1) in effects
    assert call.state == "speaking"


def test_a_failure_of_the_turn_that_follows_is_reported_and_decides_nothing() -> None:
    call = weighing_speech()
    call.happens(facts.TranscriptionFailed(call.memory.turns.current, PASSING))
    assert call.state == "confirming"


# --- what goes on meanwhile -------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["paused", "confirming"])
def test_the_model_goes_on_while_the_answer_is_paused(state: str) -> None:
    call = Call().thinking(mode=AUTOMATIC)
    call.segment(0, "Yes.")
    call.handle(facts.SpeechStarted())
    if state == "confirming":
        call.handle(facts.SpeechStopped(LONG_VOICE_MS))
    assert call.segment(1, "Indeed.") == [do.NotifySegment(1, 1, "Indeed.", " "), do.Speak(1, 1, "Indeed.")]
    call.handle(facts.GenerationAlive(1))
    assert call.happens(facts.GenerationFinished(1)) == [do.FinishSpeech(1)]
    assert call.state == state


def test_an_interruption_stops_a_model_that_is_still_generating() -> None:
    call = Call().thinking(mode=AUTOMATIC)
    call.segment(0, "Yes indeed.")
    call.handle(facts.SpeechStarted())
    assert do.CancelGeneration(1) in interim(call, "please stop")


@pytest.mark.parametrize("failure", [PASSING, FATAL])
def test_a_model_that_breaks_off_while_the_answer_is_paused_is_dealt_with(
    failure: facts.ProviderFailure,
) -> None:
    call = Call().thinking(mode=AUTOMATIC)
    call.segment(0, "Yes indeed.")
    call.handle(facts.SpeechStarted())
    effects = call.happens(facts.GenerationFailed(1, failure))
    begun = Message(Speaker.ASSISTANT, "Yes indeed.")
    assert of_kinds(effects, do.StartGeneration, do.FinishSpeech) == [
        do.StartGeneration(2, (SYSTEM, user("hello"), begun)) if failure is PASSING else do.FinishSpeech(1)
    ]
    assert call.state == "paused"


def test_a_model_that_stalls_while_the_answer_is_paused_is_given_up_when_it_goes_on() -> None:
    call = Call(evolve(POLICY, barge_in_patience_ms=10_000)).thinking(mode=AUTOMATIC)
    call.segment(0, "Yes indeed.")
    call.voiced(0, "Yes", "indeed.")
    call.plays()
    call.handle(facts.SpeechStarted())
    call.deadline_passes()
    assert call.state == "confirming"
    call.handle(facts.SpeechStopped(10_000))
    call.final("")
    call.final("")
    assert call.state == "speaking"
    began = call.now
    effects = call.deadline_passes()
    assert call.now == began, "it was overdue"
    assert of_kinds(effects, do.CancelGeneration) == [do.CancelGeneration(1)]
    assert any(isinstance(effect, do.StartGeneration) for effect in effects)


@pytest.mark.parametrize("state", ["paused", "confirming"])
def test_the_callers_button_interrupts_an_answer_that_is_paused(state: str) -> None:
    call = paused_on_voice() if state == "paused" else confirming_interruption()
    effects = call.happens(facts.InterruptRequested())
    assert of_kinds(effects, do.StopSpeech, do.BeginTurn) == [do.StopSpeech(1, StopCause.INTERRUPTED)]
    assert call.state == ("hearing" if state == "paused" else "finalizing")
    assert call.history == HEARD


def test_a_client_that_starts_its_audio_again_interrupts_nothing_by_that() -> None:
    call = paused_on_voice()
    assert call.happens(facts.RecordingStarted(AUTOMATIC, START)) == [do.Acknowledge(START)]
    assert call.state == "paused"


def test_a_recording_that_begins_while_it_is_decided_interrupts() -> None:
    call = paused_on_voice()
    effects = call.happens(facts.RecordingStarted(MANUAL, START))
    assert do.Acknowledge(START) in effects
    assert of_kinds(effects, do.StopSpeech) == [do.StopSpeech(1, StopCause.INTERRUPTED)]
    assert (call.state, call.history) == ("hearing", HEARD)


def test_a_recording_that_begins_while_words_are_confirmed_is_joined_with_them() -> None:
    call = confirming_interruption()
    effects = call.happens(facts.RecordingStarted(MANUAL, START))
    assert do.Acknowledge(START) in effects
    assert (call.state, call.history) == ("finalizing", HEARD)
    call.final("please")
    assert call.state == "quiet"
    call.handle(facts.RecordingStopped(STOP))
    effects = call.final("stop")
    assert do.Acknowledge(STOP) in effects
    assert call.memory.turns.caller_words == "please stop"


@pytest.mark.parametrize("words", ["please stop", ""])
def test_a_recording_that_ends_ends_what_is_being_said(words: str) -> None:
    call = paused_on_voice()
    assert call.happens(facts.RecordingStopped(STOP)) == [
        do.FinalizeTurn(3),
        do.BeginTurn(4),
        do.Acknowledge(STOP),
    ]
    assert call.state == "confirming"
    call.final(words)
    assert call.state == ("generating" if words else "speaking")


def test_a_recording_that_ends_while_words_are_confirmed_is_acknowledged() -> None:
    call = confirming_interruption()
    assert call.happens(facts.RecordingStopped(STOP)) == [do.Acknowledge(STOP)]
    assert call.state == "confirming"


@pytest.mark.parametrize("state", ["paused", "confirming"])
def test_an_answer_that_ends_while_it_is_paused_was_heard_whole(state: str) -> None:
    call = paused_on_voice() if state == "paused" else confirming_interruption()
    assert call.heard_all() == []
    assert call.history == [("user", "hello"), ("assistant", SAID)]
    assert call.state == ("hearing" if state == "paused" else "finalizing")
    if state == "confirming":
        call.final("yes")
        assert call.state == "generating", "after the answer it is a reply"


@pytest.mark.parametrize("state", ["paused", "confirming"])
def test_a_voice_that_fails_while_the_answer_is_paused_is_restarted(state: str) -> None:
    call = Call().speaking(SAID, mode=AUTOMATIC)
    call.handle(facts.SpeechStarted())
    if state == "confirming":
        call.handle(facts.SpeechStopped(LONG_VOICE_MS))
    effects = call.voice_fails()
    assert of_kinds(effects, do.RestartSpeech, do.Speak, do.ResumeSpeech) == [
        do.RestartSpeech(1, 2),
        do.Speak(1, 0, SAID),
    ]
    assert call.state == state
    reopened(call, Role.TTS)
    call.voice_fails(FATAL)
    assert call.state == ("hearing" if state == "paused" else "finalizing")
    assert call.history == []
    assert call.memory.turns.caller_words == "hello"


@pytest.mark.parametrize("state", ["paused", "confirming"])
def test_the_end_of_the_call_ends_an_answer_that_is_paused(state: str) -> None:
    call = paused_on_voice() if state == "paused" else confirming_interruption()
    effects = call.happens(HUNG_UP)
    assert do.StopSpeech(1, StopCause.ENDED) in effects
    assert (call.state, call.history) == ("closing", HEARD)


@pytest.mark.parametrize("role", [Role.STT, Role.LLM, Role.TTS])
@pytest.mark.parametrize("state", ["paused", "confirming"])
def test_a_provider_lost_for_good_ends_an_answer_that_is_paused(state: str, role: Role) -> None:
    call = paused_on_voice() if state == "paused" else confirming_interruption()
    call.system.conversation.handle(facts.LinkDown(role, FATAL, at_ms=call.now))
    assert call.state == ("closing" if role is Role.TTS else "saying_goodbye")
    assert call.history == HEARD


def leaving() -> Call:
    """The model has failed for the third time in a row, and goodbye is being said."""
    call = Call().saying_goodbye(AUTOMATIC)
    call.voiced(0, *POLICY.fallback.third.split())
    call.plays()
    call.handle(facts.SpeechStarted())
    assert call.state == "paused"
    return call


def test_a_cough_over_the_goodbye_does_not_keep_the_call() -> None:
    call = leaving()
    call.handle(facts.SpeechStopped(100))
    assert do.CloseConversation(EndReason.MODEL_KEPT_FAILING, after_goodbye=True) in call.heard_all()


@pytest.mark.parametrize("confirming", [True, False])
@pytest.mark.parametrize("ending", ["heard", "voice fails"])
def test_a_goodbye_that_ends_while_it_is_paused_ends_the_call(confirming: bool, ending: str) -> None:
    call = leaving()
    if confirming:
        call.handle(facts.SpeechStopped(LONG_VOICE_MS))
    if ending == "heard":
        call.heard_all()
    else:
        call.voice_fails(FATAL)
        reopened(call, Role.TTS)
        call.voice_fails(FATAL)
    assert call.state == "closing"


def test_words_over_the_goodbye_keep_the_call() -> None:
    call = leaving()
    interim(call, "wait please")
    assert call.state == "hearing"
    assert call.memory.answer.end_after is None


# --- many false alarms ------------------------------------------------------------------------------------


def test_voice_that_was_a_false_alarm_too_often_does_not_pause_the_answer() -> None:
    call = reluctant()
    turn = call.memory.turns.current
    assert call.happens(facts.SpeechStarted()) == [do.BeginTurn(turn + 1)]
    assert call.state == "speaking"


def test_words_still_interrupt_then() -> None:
    call = reluctant()
    call.handle(facts.SpeechStarted())
    interim(call, "uh-huh")
    interim(call, "one two")
    assert call.state == "speaking"
    effects = interim(call, "please stop")
    assert effects[0] == do.StopSpeech(1, StopCause.INTERRUPTED)
    assert (call.state, call.history) == ("hearing", HEARD)


def test_words_that_nobody_is_saying_now_do_not_interrupt() -> None:
    call = reluctant()
    interim(call, "please stop")
    assert call.state == "speaking"


def test_after_an_interruption_voice_pauses_answers_again() -> None:
    call = reluctant()
    call.handle(facts.SpeechStarted())
    interim(call, "please stop")
    call.handle(facts.SpeechStopped(LONG_VOICE_MS))
    call.deadline_passes()
    call.final("please stop")
    call.answers("Yes indeed.")
    assert do.PauseSpeech(call.utterance) in call.happens(facts.SpeechStarted())


def test_a_voice_that_ends_then_is_understood_while_the_answer_goes_on() -> None:
    call = reluctant()
    call.handle(facts.SpeechStarted())
    turn = call.memory.turns.current
    assert call.happens(facts.SpeechStopped(LONG_VOICE_MS)) == [do.FinalizeTurn(turn), do.BeginTurn(turn + 1)]
    assert call.happens(facts.TranscriptFinal(turn, "two three")) == [
        do.NotifyTranscript(turn, "two three", 0.0, is_final=True, speech_ms=0.0)
    ]
    call.heard_all()
    assert (call.state, call.memory.deadline_armed) == ("quiet", None), "nothing waits to be answered"


def test_words_understood_only_at_the_end_interrupt_it() -> None:
    call = reluctant()
    call.handle(facts.SpeechStarted())
    turn = call.memory.turns.current
    call.handle(facts.SpeechStopped(LONG_VOICE_MS))
    effects = call.happens(facts.TranscriptFinal(turn, "please stop"))
    assert isinstance(effects[0], do.StopSpeech)
    [asked] = [effect for effect in effects if isinstance(effect, do.StartGeneration)]
    assert asked.messages[-1] == user("please stop")


def test_noise_that_outlasts_the_answer_does_not_keep_the_callers_words_for_ever() -> None:
    call = reluctant()
    call.handle(facts.SpeechStarted())
    call.heard_all()
    assert call.state == "quiet"
    interim(call, "how is the weather")
    began, turn = call.now, call.memory.turns.current
    assert call.deadline_passes() == [do.FinalizeTurn(turn), do.BeginTurn(turn + 1)]
    assert call.now - began == POLICY.max_turn_ms
    assert call.state == "finalizing"
    call.final("how is the weather")
    assert call.state == "generating"


def test_a_caller_who_speaks_on_after_the_answer_is_not_hurried() -> None:
    call = reluctant()
    call.handle(facts.SpeechStarted())
    call.heard_all()
    call.handle(facts.SpeechStopped(LONG_VOICE_MS))
    assert call.state == "endpointing"
    call.deadline_passes()
    call.final("how is the weather")
    assert call.state == "generating"


# --- where nothing interrupts -----------------------------------------------------------------------------


def test_what_is_said_while_an_answer_is_prepared_may_have_to_wait() -> None:
    call = Call(evolve(POLICY, barge_in_thinking=False)).thinking(mode=AUTOMATIC)
    call.handle(facts.SpeechStarted())
    assert call.state == "generating"
    call.handle(facts.SpeechStopped(LONG_VOICE_MS))
    call.handle(facts.TranscriptFinal(2, "and the weather"))
    call.answers("Yes.")
    call.heard_all()
    effects = call.deadline_passes()
    [asked] = [effect for effect in effects if isinstance(effect, do.StartGeneration)]
    assert asked.messages[-1] == user("and the weather")


@pytest.mark.parametrize("words", ["yes", "the blue one", "two"])
def test_what_is_said_while_nothing_is_being_said_is_neither_echo_nor_backchannel(words: str) -> None:
    question = "The red one or the blue one or two?"
    call = Call(evolve(POLICY, barge_in_thinking=False)).speaking(question, mode=AUTOMATIC)
    call.heard_all()
    call.handle(facts.SpeechStarted())
    call.handle(facts.SpeechStopped(LONG_VOICE_MS))
    call.deadline_passes()
    call.final("well let me think")
    assert call.state == "generating"
    call.handle(facts.SpeechStarted())
    turn = call.memory.turns.current
    call.handle(facts.SpeechStopped(LONG_VOICE_MS))
    call.handle(facts.TranscriptFinal(turn, words))
    assert call.memory.turns.queue == (words,)


def test_an_answer_that_begins_while_the_caller_speaks_is_paused_before_its_first_word() -> None:
    call = Call(evolve(POLICY, barge_in_thinking=False)).thinking(mode=AUTOMATIC)
    call.handle(facts.SpeechStarted())
    assert of_kinds(call.segment(0, "Yes."), do.Speak, do.PauseSpeech) == [
        do.Speak(1, 0, "Yes."),
        do.PauseSpeech(1),
    ]
    assert call.state == "paused"
    call.handle(facts.SpeechStopped(100))
    assert call.state == "speaking"


def test_by_hand_an_answer_may_be_prepared_in_peace_as_well() -> None:
    call = Call(evolve(POLICY, barge_in_thinking=False)).thinking()
    assert call.happens(facts.RecordingStarted(MANUAL, START)) == [do.Acknowledge(START)]
    assert call.state == "generating"
    assert do.Acknowledge(STOP) in call.happens(facts.RecordingStopped(STOP))
    call.handle(facts.TranscriptFinal(2, "and the weather"))
    call.answers("Yes.")
    call.heard_all()
    assert do.StartGeneration in map(type, call.deadline_passes())


def test_a_greeting_that_may_not_be_interrupted_is_heard_whole() -> None:
    call = Call(evolve(POLICY, greeting="Good day to you.", barge_in_greeting=False))
    call.handle(facts.RecordingStarted(AUTOMATIC))
    call.links_come_up()
    call.deadline_passes()
    assert of_kinds(call.happens(facts.SpeechStarted()), do.PauseSpeech, do.StopSpeech) == []
    call.handle(facts.SpeechStopped(LONG_VOICE_MS))
    call.handle(facts.TranscriptFinal(1, "I need help"))
    assert call.state == "speaking"
    call.heard_all()
    assert do.StartGeneration in map(type, call.deadline_passes())


def test_the_answers_after_a_protected_greeting_can_be_interrupted() -> None:
    call = Call(evolve(POLICY, greeting="Good day to you.", barge_in_greeting=False))
    call.handle(facts.RecordingStarted(AUTOMATIC))
    call.links_come_up()
    call.deadline_passes()
    call.heard_all()
    call.handle(facts.SpeechStarted())
    call.handle(facts.SpeechStopped(500))
    call.deadline_passes()
    call.final("hello")
    call.answers("Yes indeed.")
    assert do.PauseSpeech in map(type, call.happens(facts.SpeechStarted()))


# --- history ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("heard", range(len(SAID.split()) + 1))
@pytest.mark.parametrize("way", ["interim", "final", "button"])
def test_history_holds_what_was_heard_however_long_it_was_decided(heard: int, way: str) -> None:
    call = paused_on_voice(after_ms=heard * WORD_MS + 10)
    if way == "interim":
        call.now += 1500
        interim(call, "please stop")
    else:
        call.handle(facts.SpeechStopped(1200), after_ms=1200)
        if way == "final":
            call.final("please stop")
        else:
            call.handle(facts.InterruptRequested(), after_ms=500)
    answer = " ".join(SAID.split()[:heard])
    assert call.history == ([("user", "hello"), ("assistant", answer)] if heard else [])


@pytest.mark.parametrize("heard", range(len(SAID.split()) + 1))
@pytest.mark.parametrize("fact", [facts.InterruptRequested(), facts.RecordingStarted(MANUAL, START)])
def test_the_callers_hand_interrupts_at_once(heard: int, fact: facts.Fact) -> None:
    call = Call().speaking("one two three four five", "six seven eight nine ten")
    call.voiced(0, "one", "two", "three", "four", "five")
    call.voiced(1, "six", "seven", "eight", "nine", "ten")
    call.plays()
    effects = call.happens(fact, after_ms=100 * heard + 50)
    said, words = min(1000, 100 * heard + 50), SAID.split()
    assert effects[:3] == [
        do.StopSpeech(1, StopCause.INTERRUPTED),
        do.NotifyInterrupted(1, " ".join(words[:heard]), " ".join(words[heard:]), said),
        do.BeginTurn(3),
    ]
    assert call.state == "quiet"
    answer = " ".join(words[:heard])
    assert call.history == ([("user", "hello"), ("assistant", answer)] if heard else [])


def test_the_callers_hand_stops_the_model_before_the_answer() -> None:
    call = Call().thinking()
    assert call.happens(facts.InterruptRequested()) == [do.CancelGeneration(1)]
    assert call.state == "quiet"


def test_an_interruption_with_nothing_to_interrupt_is_ignored() -> None:
    call = Call().listening()
    assert call.happens(facts.InterruptRequested()) == []
    assert call.outcome() is Outcome.IGNORED


def test_late_facts_about_an_interrupted_answer_are_refused() -> None:
    call = Call().speaking("Yes indeed.")
    call.handle(facts.InterruptRequested())
    late = (
        facts.SegmentReady(1, 1, "Late."),
        facts.GenerationFinished(1),
        facts.SegmentVoiced(1, 0, 100),
        facts.PlaybackAt(1, 100, playing=True),
        facts.PlaybackFinished(1),
        facts.SynthesisFailed(1, PASSING),
    )
    for fact in late:
        assert call.happens(fact) == []
        assert call.outcome() is Outcome.REFUSED
    assert call.history == []


# --- the end of the answer --------------------------------------------------------------------------------


LENGTH_MS = len(SAID.split()) * WORD_MS


@pytest.mark.parametrize("words", ["yes", "Okay.", "right, right"])
@pytest.mark.parametrize("way", ["interim", "final", "end of turn"])
def test_near_the_end_of_the_answer_a_backchannel_is_a_reply(words: str, way: str) -> None:
    call = paused_on_voice(after_ms=LENGTH_MS - POLICY.backchannel_end_ms)
    if way == "interim":
        interim(call, words)
        assert call.state == "hearing"
    elif way == "end of turn":
        call.handle(facts.EndOfTurn(3, words))
        assert call.state == "generating"
    else:
        call.handle(facts.SpeechStopped(LONG_VOICE_MS))
        call.final(words)
        assert call.state == "generating"


def test_before_that_it_is_none() -> None:
    call = paused_on_voice(after_ms=LENGTH_MS - POLICY.backchannel_end_ms - 100)
    interim(call, "yes")
    assert call.state == "paused"


def test_where_more_of_the_answer_may_come_it_is_none() -> None:
    call = Call().thinking(mode=AUTOMATIC)
    call.segment(0, "one two")
    call.voiced(0, "one", "two")
    call.plays()
    call.now += 150
    call.handle(facts.SpeechStarted())
    interim(call, "yes")
    assert call.state == "paused"


def test_an_echo_is_no_reply_at_the_end_either() -> None:
    call = paused_on_voice(after_ms=LENGTH_MS - 800)
    call.handle(facts.SpeechStopped(100))
    call.handle(facts.SpeechStarted(), after_ms=300)
    interim(call, "seven eight")
    assert call.state == "paused", "where there was a false alarm there may be an echo"


def test_a_reply_may_take_up_the_last_words() -> None:
    call = paused_on_voice(after_ms=LENGTH_MS - 500)
    interim(call, "seven eight")
    assert call.state == "hearing"
