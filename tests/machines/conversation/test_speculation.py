"""Speculative answers: asked for before the end of the turn, and used only if the words were the same."""

from __future__ import annotations

import pytest
from attrs import evolve

from machines import effects as do
from machines import facts
from machines.declarations import Outcome
from machines.facts import Role
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
    asked,
    effects_of,
    told_of_answers,
    user,
)

EAGER = evolve(POLICY, speculations=2)
WORDS = "tell me a joke"


def listening(policy: ConversationPolicy = EAGER, mode: facts.TurnMode = AUTOMATIC) -> Call:
    """Speech to text decides about turns, and the caller speaks."""
    call = Call(policy)
    call.handle(facts.RecordingStarted(mode))
    for role in Role:
        call.handle(facts.LinkOpened(role, attempt=1, ends_turns=role is Role.STT))
    call.handle(facts.SpeechStarted())
    call.handle(facts.SpeechStopped(900), after_ms=900)
    return call


def speculating(policy: ConversationPolicy = EAGER) -> Call:
    """The turn is probably over, and the model was asked for a speculative answer."""
    call = listening(policy)
    call.handle(facts.EagerEndOfTurn(1, WORDS), after_ms=200)
    assert call.state == "speculating"
    return call


# --- asking early -----------------------------------------------------------------------------------------


def test_the_model_is_asked_when_the_turn_is_probably_over() -> None:
    call = listening()
    assert call.happens(facts.EagerEndOfTurn(1, WORDS, 0.7)) == [
        do.NotifyTranscript(1, WORDS, 0.7, is_final=False, speech_ms=0.0),
        do.StartGeneration(1, (SYSTEM, user(WORDS))),
    ]
    assert call.state == "speculating"
    assert told_of_answers(call) == []


@pytest.mark.parametrize("policy", [POLICY, evolve(EAGER, speculations=0)])
def test_unless_an_operator_wants_it_it_is_not(policy: ConversationPolicy) -> None:
    call = listening(policy)
    call.handle(facts.EagerEndOfTurn(1, WORDS))
    assert call.state == "endpointing"
    assert asked(call.all_effects) == []


def test_a_turn_that_has_no_words_yet_is_not_answered() -> None:
    call = listening()
    call.handle(facts.EagerEndOfTurn(1, ""))
    assert asked(call.all_effects) == []


def test_by_hand_there_is_no_speculative_answer() -> None:
    call = listening(mode=MANUAL)
    call.handle(facts.EagerEndOfTurn(1, WORDS))
    assert asked(call.all_effects) == []
    assert call.state == "quiet"


def test_without_a_link_to_the_model_there_is_no_speculative_answer() -> None:
    call = listening()
    call.handle(facts.LinkFailed(Role.LLM, 1, PASSING))
    call.handle(facts.EagerEndOfTurn(1, WORDS))
    assert asked(call.all_effects) == []


def test_unanswered_words_and_turns_that_wait_are_part_of_what_is_asked() -> None:
    call = listening()
    call.handle(facts.EndOfTurn(1, "hello"))
    call.handle(facts.InterruptRequested())
    call.handle(facts.EagerEndOfTurn(2, "are you there"))
    assert asked(call.all_effects) == ["hello", "hello are you there"]


def test_what_the_model_says_is_kept_and_not_said() -> None:
    call = speculating()
    assert call.segment(0, "Knock knock.") == []
    assert call.happens(facts.GenerationAlive(1)) == []
    assert call.segment(1, "Who is there?") == []
    assert call.happens(facts.GenerationFinished(1)) == []
    assert call.state == "speculating"
    assert told_of_answers(call) == []


# --- the same words ---------------------------------------------------------------------------------------


def test_at_the_end_of_the_turn_what_is_there_is_said_and_the_rest_when_it_comes() -> None:
    call = speculating()
    call.segment(0, "Knock knock.")
    assert call.happens(facts.EndOfTurn(1, WORDS, 0.9, 900)) == [
        do.NotifyTranscript(1, WORDS, 0.9, is_final=True, speech_ms=900),
        do.BeginTurn(2),
        do.NotifyAnswerStarted(1),
        do.NotifySegment(1, 0, "Knock knock."),
        do.Speak(1, 0, "Knock knock."),
    ]
    assert call.state == "speaking"
    assert call.segment(1, "Who is there?") == [
        do.NotifySegment(1, 1, "Who is there?", " "),
        do.Speak(1, 1, "Who is there?"),
    ]
    assert call.happens(facts.GenerationFinished(1)) == [do.FinishSpeech(1)]
    call.heard_all()
    assert call.history == [("user", WORDS), ("assistant", "Knock knock. Who is there?")]
    assert asked(call.all_effects) == [WORDS]


def test_an_answer_that_is_there_as_a_whole_is_said_as_a_whole() -> None:
    call = speculating()
    call.segment(0, "Knock knock.")
    call.handle(facts.GenerationFinished(1))
    effects = call.happens(facts.EndOfTurn(1, WORDS))
    assert effects[-2:] == [do.Speak(1, 0, "Knock knock."), do.FinishSpeech(1)]
    call.heard_all()
    assert call.history == [("user", WORDS), ("assistant", "Knock knock.")]
    assert effects_of(call, do.CancelGeneration) == []


def test_an_answer_of_which_nothing_is_there_is_waited_for() -> None:
    call = speculating()
    effects = call.happens(facts.EndOfTurn(1, WORDS))
    assert effects[-1] == do.NotifyAnswerStarted(1)
    assert call.state == "generating"
    assert do.Speak(1, 0, "Knock knock.") in call.segment(0, "Knock knock.")
    assert asked(call.all_effects) == [WORDS]


def test_speech_markup_is_kept_for_the_voice() -> None:
    call = speculating()
    call.handle(facts.SegmentReady(1, 0, "Hello.", "<emotion>Hello."))
    assert do.Speak(1, 0, "<emotion>Hello.") in call.happens(facts.EndOfTurn(1, WORDS))


@pytest.mark.parametrize("words", ["Tell me a joke.", "tell me, a joke", "TELL ME A JOKE!"])
def test_punctuation_and_capitals_make_no_difference(words: str) -> None:
    call = speculating()
    call.segment(0, "Knock knock.")
    call.handle(facts.EndOfTurn(1, words))
    assert call.state == "speaking"
    call.answers()
    call.heard_all()
    assert call.history[0] == ("user", words), "history has them as they were understood in the end"


def test_the_time_it_saved_shows_in_the_latency() -> None:
    call = speculating()
    call.segment(0, "Knock knock.")
    call.handle(facts.EndOfTurn(1, WORDS), after_ms=300)
    call.handle(facts.PlaybackAt(1, 0, playing=True), after_ms=80)
    call.handle(facts.GenerationFinished(1))
    call.handle(facts.PlaybackFinished(1))
    [ended] = [effect for effect in call.all_effects if isinstance(effect, do.NotifyAnswerEnded)]
    assert ended.latency == do.TurnLatency(
        endpoint_ms=550, transcript_ms=0, first_segment_ms=0, first_audio_ms=80, total_ms=630
    )


def test_the_same_expectation_again_changes_nothing() -> None:
    call = speculating()
    call.segment(0, "Knock knock.")
    call.handle(facts.EagerEndOfTurn(1, "Tell me a joke."))
    assert asked(call.all_effects) == [WORDS]
    call.handle(facts.EndOfTurn(1, WORDS))
    assert call.state == "speaking"


# --- other words ------------------------------------------------------------------------------------------


def test_other_words_at_the_end_of_the_turn_are_answered_instead() -> None:
    call = speculating()
    call.segment(0, "Knock knock.")
    effects = call.happens(facts.EndOfTurn(1, "tell me a joke please"))
    assert effects[0] == do.CancelGeneration(1)
    assert effects[-2:] == [
        do.StartGeneration(2, (SYSTEM, user("tell me a joke please"))),
        do.NotifyAnswerStarted(2),
    ]
    assert call.state == "generating"
    call.segment(0, "No.")
    call.heard_all()
    assert call.history == [("user", "tell me a joke please"), ("assistant", "No.")]


def test_an_end_with_the_same_words_that_are_not_sure_is_answered_by_nothing() -> None:
    call = speculating()
    call.segment(0, "Knock knock.")
    doubtful = facts.EndOfTurn(1, WORDS, 0.1, voice=facts.VoiceHeard(900, 0.9, 900))
    assert do.CancelGeneration(1) in call.happens(doubtful)
    assert told_of_answers(call) == []


def test_an_end_without_any_words_is_answered_by_nothing() -> None:
    call = speculating()
    assert call.happens(facts.EndOfTurn(1, "")) == [do.CancelGeneration(1), do.BeginTurn(2)]
    assert call.state == "quiet"
    assert told_of_answers(call) == []


@pytest.mark.parametrize("fact", [facts.TurnResumed(1), facts.SpeechStarted()])
def test_who_goes_on_is_listened_to_and_nobody_knows_of_the_answer(fact: facts.Fact) -> None:
    call = speculating()
    call.segment(0, "Knock knock.")
    assert call.happens(fact) == [do.CancelGeneration(1)]
    assert call.state == "hearing"
    assert told_of_answers(call) == []
    call.handle(facts.SegmentReady(1, 1, "Who is there?"))
    assert call.outcome() is Outcome.REFUSED


def test_an_answer_that_is_there_as_a_whole_need_not_be_cancelled() -> None:
    call = speculating()
    call.segment(0, "Knock knock.")
    call.handle(facts.GenerationFinished(1))
    assert call.happens(facts.TurnResumed(1)) == []
    assert call.memory.answer.generation_open is None


def test_another_expected_end_has_another_speculative_answer_as_often_as_the_operator_wants() -> None:
    call = speculating()
    effects = call.happens(facts.EagerEndOfTurn(1, "tell me a joke please"))
    assert effects[0] == do.CancelGeneration(1)
    assert asked(call.all_effects) == [WORDS, "tell me a joke please"]
    assert call.state == "speculating"
    assert do.CancelGeneration(2) in call.happens(facts.EagerEndOfTurn(1, "tell me a joke please now"))
    assert call.state == "endpointing"
    call.handle(facts.TurnResumed(1))
    call.handle(facts.EagerEndOfTurn(1, "tell me a joke please now or"))
    assert asked(call.all_effects) == [WORDS, "tell me a joke please"]
    call.handle(facts.EndOfTurn(1, "tell me a joke please now or never"))
    call.answers("No.")
    call.heard_all()
    call.handle(facts.EagerEndOfTurn(call.memory.turns.current, "thanks"))
    assert asked(call.all_effects)[-1] == "thanks", "the next turn has all its own"


def test_interim_words_do_not_drop_it() -> None:
    call = speculating()
    call.handle(facts.TranscriptInterim(1, "tell me a joke please"))
    assert call.state == "speculating"


# --- what else may happen ---------------------------------------------------------------------------------


def test_a_turn_whose_end_is_never_reported_is_ended_by_us() -> None:
    call = speculating()
    began = call.now
    effects = call.deadline_passes()
    assert [type(effect) for effect in effects] == [do.FinalizeTurn, do.BeginTurn]
    assert call.now - began == POLICY.provider_endpoint_delay_ms - 200
    assert call.state == "finalizing"
    call.final(WORDS)
    assert asked(call.all_effects) == [WORDS], "the words are those that it was asked with"


@pytest.mark.parametrize("failure", [PASSING, FATAL])
def test_a_model_that_fails_is_asked_once_more_at_the_end(failure: facts.ProviderFailure) -> None:
    call = speculating()
    call.segment(0, "Knock knock.")
    call.handle(facts.GenerationFailed(1, failure))
    assert call.state == "endpointing"
    assert told_of_answers(call) == []
    call.handle(facts.EndOfTurn(1, WORDS))
    assert call.state == "generating"
    call.segment(0, "Knock knock.")
    assert call.state == "speaking"
    assert asked(call.all_effects) == [WORDS, WORDS]


def test_a_model_that_fails_then_has_all_its_retries() -> None:
    call = speculating()
    call.handle(facts.GenerationFailed(1, PASSING))
    call.handle(facts.EndOfTurn(1, WORDS))
    for _ in POLICY.llm_retry_delays_ms:
        call.handle(facts.GenerationFailed(call.memory.answer.generation, PASSING))
        assert call.state == "retrying"
        call.deadline_passes()
    call.handle(facts.GenerationFailed(call.memory.answer.generation, PASSING))
    assert call.state == "speaking"


def test_an_empty_answer_is_none() -> None:
    call = speculating()
    call.handle(facts.GenerationFinished(1))
    assert call.state == "endpointing"
    call.handle(facts.EndOfTurn(1, WORDS))
    assert call.state == "generating"


def test_a_model_that_breaks_off_after_it_was_adopted_goes_on_from_there() -> None:
    call = speculating()
    call.segment(0, "Knock knock.")
    call.handle(facts.EndOfTurn(1, WORDS))
    call.handle(facts.GenerationFailed(1, PASSING))
    [_, again] = effects_of(call, do.StartGeneration)
    assert isinstance(again, do.StartGeneration)
    assert [message.text for message in again.messages] == [SYSTEM.text, WORDS, "Knock knock."]


def test_an_answer_that_was_adopted_can_be_interrupted() -> None:
    call = speculating()
    call.segment(0, "Knock knock.")
    call.handle(facts.EndOfTurn(1, WORDS))
    call.voiced(0, "Knock", "knock.")
    call.plays()
    call.handle(facts.SpeechStarted(), after_ms=150)
    effects = call.happens(facts.TranscriptInterim(call.memory.turns.current, "please stop"))
    assert do.NotifyInterrupted(1, "Knock", "knock.", 150) in effects
    assert do.CancelGeneration(1) in effects


@pytest.mark.parametrize("mode", [MANUAL, AUTOMATIC])
def test_a_recording_by_hand_drops_it_and_another_does_not(mode: facts.TurnMode) -> None:
    call = speculating()
    effects = call.happens(facts.RecordingStarted(mode, START))
    assert do.Acknowledge(START) in effects
    assert (do.CancelGeneration(1) in effects) is (mode is MANUAL)
    assert call.state == ("quiet" if mode is MANUAL else "speculating")


def test_a_recording_that_ends_ends_the_turn() -> None:
    call = speculating()
    assert call.happens(facts.RecordingStopped(STOP)) == [
        do.CancelGeneration(1),
        do.FinalizeTurn(1),
        do.BeginTurn(2),
    ]
    assert do.Acknowledge(STOP) in call.final(WORDS)


def test_the_button_has_nothing_to_interrupt() -> None:
    call = speculating()
    call.handle(facts.InterruptRequested())
    assert call.outcome() is Outcome.IGNORED


def test_the_end_of_the_call_drops_it() -> None:
    call = speculating()
    assert do.CancelGeneration(1) in call.happens(HUNG_UP)
    assert call.state == "closing"
    assert told_of_answers(call) == []


@pytest.mark.parametrize("role", [Role.STT, Role.LLM, Role.TTS])
def test_so_does_a_provider_that_is_lost_for_good(role: Role) -> None:
    call = speculating()
    effects = call.system.conversation.handle(facts.LinkDown(role, FATAL, at_ms=call.now)).effects
    assert do.CancelGeneration(1) in effects
    assert call.state == ("closing" if role is Role.TTS else "saying_goodbye")


def test_what_the_host_wants_said_waits() -> None:
    call = speculating()
    call.handle(facts.SayRequested("By the way.", facts.SayMode.INTERRUPT))
    assert call.state == "speculating"
    call.segment(0, "Knock knock.")
    call.handle(facts.EndOfTurn(1, WORDS))
    call.answers()
    call.heard_all()
    assert do.Speak(2, 0, "By the way.") in call.deadline_passes()


def test_trouble_with_speech_to_text_does_not_disturb_it() -> None:
    call = speculating()
    call.happens(facts.TranscriptionFailed(1, PASSING))
    assert call.state == "speculating"
