"""Speculative answers with speech to text that does not end turns: asked for in the pause of the caller."""

from __future__ import annotations

import pytest
from attrs import evolve

from machines import effects as do
from machines import facts
from machines.declarations import Outcome
from machines.facts import Role
from machines.policy import ConversationPolicy
from machines.tools import ToolCall, ToolPolicy
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

EARLY = evolve(POLICY, speculations=2)
SPOKEN_EARLY = evolve(EARLY, speculative_speech=True)
WORDS = "Tell me a joke."
HALF = "Tell them"
"""Not all of the words yet, though the caller has said them all."""


def hearing(policy: ConversationPolicy = EARLY, words: str = WORDS) -> Call:
    """The caller speaks, and the words so far are there."""
    call = Call(policy).listening(AUTOMATIC)
    speaks(call, words)
    return call


def speaks(call: Call, words: str) -> None:
    """The caller speaks; `words` are those of the turn so far."""
    call.handle(facts.SpeechStarted(), after_ms=500)
    call.handle(facts.TranscriptInterim(call.memory.turns.current, words, 0.8), after_ms=800)


def pauses(call: Call) -> list[do.Effect]:
    """The caller pauses, and the words so far stay the same. Returns what is done then."""
    call.handle(facts.SpeechStopped(900), after_ms=100)
    assert call.state == "endpointing"
    return call.deadline_passes()


def speculating(policy: ConversationPolicy = EARLY) -> Call:
    """The caller pauses, and the model was asked for a speculative answer."""
    call = hearing(policy)
    pauses(call)
    assert call.state == "speculating"
    return call


def awaiting(policy: ConversationPolicy = EARLY, *segments: str) -> Call:
    """The turn is over, the model has answered `segments` in advance, and the final words are awaited."""
    call = speculating(policy)
    for number, text in enumerate(segments):
        call.segment(number, text)
    call.deadline_passes()
    assert call.state == "finalizing"
    return call


def answered_after_late_words() -> Call:
    """The last words of the first turn came late in its pause, and it was answered."""
    call = hearing(words=HALF)
    pauses(call)
    call.handle(facts.TranscriptInterim(1, WORDS, 0.8), after_ms=230)
    call.deadline_passes()
    call.deadline_passes()
    call.final(WORDS)
    call.answers("Knock knock.")
    call.heard_all()
    return call


# --- asking in the pause ----------------------------------------------------------------------------------


def test_the_model_is_asked_at_once_when_the_caller_pauses_and_the_words_are_there() -> None:
    call = hearing()
    began = call.now
    assert pauses(call) == [do.StartGeneration(1, (SYSTEM, user(WORDS)))]
    assert call.now - began == 100, "no time was waited for"
    assert call.state == "speculating"
    assert told_of_answers(call) == []


def test_the_endpoint_delay_is_what_it_would_be_without_it() -> None:
    call = speculating()
    paused_at = call.now
    assert call.deadline_passes() == [do.FinalizeTurn(1), do.BeginTurn(2)]
    assert call.now - paused_at == POLICY.endpoint_delay_ms


@pytest.mark.parametrize("policy", [POLICY, evolve(EARLY, speculations=0)])
def test_unless_an_operator_wants_it_it_is_not(policy: ConversationPolicy) -> None:
    call = hearing(policy)
    assert pauses(call) == [do.FinalizeTurn(1), do.BeginTurn(2)]
    assert asked(call.all_effects) == []


def test_words_that_sound_unfinished_are_not_worth_a_request() -> None:
    call = hearing(words="I would like to")
    pauses(call)
    assert call.state == "finalizing"
    assert asked(call.all_effects) == []


def test_neither_is_a_turn_that_the_turn_model_takes_for_unfinished() -> None:
    call = hearing(EARLY)
    call.handle(facts.TranscriptInterim(1, ""))
    call.handle(facts.SpeechStopped(900), after_ms=100)
    call.handle(facts.TurnScored(1, 0.1), after_ms=50)
    call.handle(facts.TranscriptInterim(1, WORDS), after_ms=50)
    call.deadline_passes()
    assert asked(call.all_effects) == []


def test_words_that_are_not_sure_are_not_worth_a_request() -> None:
    call = Call(EARLY).listening(AUTOMATIC)
    call.handle(facts.SpeechStarted())
    call.handle(facts.TranscriptInterim(1, WORDS, 0.1, voice=facts.VoiceHeard(900, 0.9, 900)))
    pauses(call)
    assert asked(call.all_effects) == []


def test_by_hand_there_is_no_speculative_answer() -> None:
    call = Call(EARLY).listening(MANUAL)
    call.handle(facts.SpeechStarted())
    call.handle(facts.TranscriptInterim(1, WORDS, 0.8))
    call.handle(facts.SpeechStopped(900))
    assert call.state == "quiet"
    call.handle(facts.RecordingStopped(STOP), after_ms=1000)
    assert asked(call.all_effects) == []
    call.final(WORDS)
    assert asked(call.all_effects) == [WORDS]


def test_where_speech_to_text_decides_about_turns_a_pause_says_nothing() -> None:
    call = Call(EARLY)
    call.handle(facts.RecordingStarted(AUTOMATIC))
    for role in Role:
        call.handle(facts.LinkOpened(role, attempt=1, ends_turns=role is Role.STT))
    speaks(call, WORDS)
    pauses(call)
    assert call.state == "finalizing"
    assert asked(call.all_effects) == []


def test_without_a_link_to_the_model_there_is_none() -> None:
    call = hearing()
    call.handle(facts.LinkFailed(Role.LLM, 1, PASSING))
    pauses(call)
    assert asked(call.all_effects) == []


def test_words_that_voice_activity_did_not_notice_are_waited_for() -> None:
    call = Call(EARLY).listening(AUTOMATIC)
    call.handle(facts.TranscriptInterim(1, "hello there", 0.95, voice=facts.VoiceHeard(0, 0, 900)))
    assert call.state == "endpointing"
    call.deadline_passes()
    assert call.state == "finalizing", "nothing would say that such a caller goes on"
    assert asked(call.all_effects) == []


# --- words that come late ---------------------------------------------------------------------------------


def test_the_last_words_often_come_in_the_pause_and_are_asked_with_at_once() -> None:
    call = Call(EARLY).listening(AUTOMATIC)
    call.handle(facts.SpeechStarted())
    call.handle(facts.SpeechStopped(900), after_ms=900)
    assert call.state == "endpointing"
    call.handle(facts.TranscriptInterim(1, WORDS, 0.8), after_ms=230)
    began = call.now
    call.deadline_passes()
    assert asked(call.all_effects) == [WORDS]
    assert call.now == began


def test_other_words_in_the_pause_are_asked_with_instead() -> None:
    call = hearing(words=HALF)
    pauses(call)
    call.segment(0, "A what?")
    effects = call.happens(facts.TranscriptInterim(1, WORDS, 0.8), after_ms=50)
    assert do.CancelGeneration(1) in effects
    call.deadline_passes()
    assert asked(call.all_effects) == [HALF, WORDS]
    assert call.state == "speculating"
    call.segment(0, "Knock knock.")
    call.deadline_passes()
    call.final(WORDS)
    call.answers()
    call.heard_all()
    assert call.history == [("user", WORDS), ("assistant", "Knock knock.")]


def test_a_call_learns_how_late_words_come_so_that_no_request_is_made_with_half_of_them() -> None:
    call = answered_after_late_words()
    speaks(call, "Who is")
    call.handle(facts.SpeechStopped(900), after_ms=100)
    call.handle(facts.TranscriptInterim(call.memory.turns.current, "Who is there?", 0.8), after_ms=220)
    call.deadline_passes()
    assert asked(call.all_effects) == [HALF, WORDS, "Who is there?"]


def test_if_no_words_come_late_this_time_they_are_waited_for_as_long_as_the_last_time() -> None:
    call = answered_after_late_words()
    speaks(call, "Who is there?")
    paused_at = call.now + 100
    pauses(call)
    assert call.now - paused_at == 230
    assert asked(call.all_effects)[-1] == "Who is there?"


def test_the_same_words_again_change_nothing() -> None:
    call = speculating()
    call.handle(facts.TranscriptInterim(1, "tell me a joke", 0.9))
    assert call.state == "speculating"
    assert asked(call.all_effects) == [WORDS]


# --- the same words ---------------------------------------------------------------------------------------


def test_when_the_final_words_are_the_same_the_answer_is_said_at_once() -> None:
    call = awaiting(EARLY, "Knock knock.")
    assert told_of_answers(call) == []
    assert call.final("tell me a joke")[-3:] == [
        do.NotifyAnswerStarted(1),
        do.NotifySegment(1, 0, "Knock knock."),
        do.Speak(1, 0, "Knock knock."),
    ]
    assert call.state == "speaking"
    call.answers()
    call.heard_all()
    assert call.history == [("user", "tell me a joke"), ("assistant", "Knock knock.")]
    assert asked(call.all_effects) == [WORDS]


def test_an_endpoint_while_the_model_still_thinks_is_an_ordinary_wait_for_its_first_words() -> None:
    call = awaiting()
    call.final(WORDS)
    assert call.state == "generating"
    assert asked(call.all_effects) == [WORDS]
    call.segment(0, "Knock knock.")
    assert call.state == "speaking"
    call.answers()
    call.heard_all()
    assert call.history == [("user", WORDS), ("assistant", "Knock knock.")]


def test_the_model_goes_on_while_the_final_words_are_awaited() -> None:
    call = awaiting()
    assert call.segment(0, "Knock knock.") == []
    assert call.happens(facts.GenerationAlive(1)) == []
    assert call.happens(facts.GenerationFinished(1)) == []
    assert call.final(WORDS)[-2:] == [do.Speak(1, 0, "Knock knock."), do.FinishSpeech(1)]


def test_the_time_it_saved_shows_in_the_latency() -> None:
    call = awaiting()
    call.handle(facts.SegmentReady(1, 0, "Knock knock."))
    call.final(WORDS)
    call.handle(facts.PlaybackAt(1, 0, playing=True), after_ms=80)
    call.handle(facts.GenerationFinished(1))
    call.heard_all()
    [ended] = effects_of(call, do.NotifyAnswerEnded)
    assert isinstance(ended, do.NotifyAnswerEnded)
    assert ended.latency == do.TurnLatency(
        endpoint_ms=500, transcript_ms=100, first_segment_ms=0, first_audio_ms=80, total_ms=680
    )


def test_unanswered_words_are_part_of_what_is_asked_and_must_be_the_same() -> None:
    call = speculating()
    call.deadline_passes()
    call.final(WORDS)
    call.handle(facts.SpeechStarted(), after_ms=100)
    call.handle(facts.TranscriptInterim(2, "please", 0.8), after_ms=100)
    pauses(call)
    assert asked(call.all_effects) == [WORDS, f"{WORDS} please"]
    call.segment(0, "Knock knock.")
    call.deadline_passes()
    call.final("please")
    call.answers()
    call.heard_all()
    assert call.history == [("user", f"{WORDS} please"), ("assistant", "Knock knock.")]


# --- a caller who goes on ---------------------------------------------------------------------------------


def test_who_speaks_on_in_the_delay_is_listened_to_and_nobody_knows_of_the_answer() -> None:
    call = speculating()
    call.segment(0, "Knock knock.")
    assert call.happens(facts.SpeechStarted()) == [do.CancelGeneration(1)]
    assert call.state == "hearing"
    call.handle(facts.SegmentReady(1, 1, "Who is there?"))
    assert call.outcome() is Outcome.REFUSED
    assert told_of_answers(call) == []


def test_who_speaks_on_while_the_final_words_are_awaited_voids_it_too() -> None:
    call = awaiting(EARLY, "Knock knock.")
    assert call.happens(facts.SpeechStarted()) == [do.CancelGeneration(1)]
    call.final(WORDS)
    assert call.state == "hearing"
    call.handle(facts.TranscriptInterim(2, "about dogs", 0.8))
    pauses(call)
    assert asked(call.all_effects) == [WORDS, f"{WORDS} about dogs"]
    call.deadline_passes()
    call.final("about dogs")
    call.answers("A dog walks into a bar.")
    call.heard_all()
    assert call.history == [("user", f"{WORDS} about dogs"), ("assistant", "A dog walks into a bar.")]


def test_repeated_pauses_cost_no_more_requests_than_allowed() -> None:
    call = hearing(words="One.")
    pauses(call)
    speaks(call, "One. Two.")
    pauses(call)
    for words in ("One. Two. Three.", "One. Two. Three. Four."):
        speaks(call, words)
        call.handle(facts.SpeechStopped(900), after_ms=100)
    call.deadline_passes()
    assert asked(call.all_effects) == ["One.", "One. Two."]
    assert call.state == "finalizing"
    call.final("One. Two. Three. Four.")
    assert asked(call.all_effects)[-1] == "One. Two. Three. Four."
    call.answers("Five.")
    call.heard_all()
    assert call.history == [("user", "One. Two. Three. Four."), ("assistant", "Five.")]
    speaks(call, "Thanks.")
    pauses(call)
    assert asked(call.all_effects)[-1] == "Thanks.", "the next turn has all its own"


# --- other words in the end -------------------------------------------------------------------------------


def test_other_final_words_are_answered_instead_and_the_answer_is_forgotten() -> None:
    call = awaiting(EARLY, "Knock knock.")
    effects = call.final("tell me a yolk")
    assert do.CancelGeneration(1) in effects
    assert asked(call.all_effects) == [WORDS, "tell me a yolk"]
    assert [each.generation for each in effects if isinstance(each, do.NotifyAnswerStarted)] == [2]
    call.answers("No.")
    call.heard_all()
    assert call.history == [("user", "tell me a yolk"), ("assistant", "No.")]


def test_no_final_words_are_answered_by_nothing() -> None:
    call = awaiting(EARLY, "Knock knock.")
    call.final("")
    assert call.state == "quiet"
    assert told_of_answers(call) == []


def test_final_words_that_are_not_sure_are_not_answered_by_it() -> None:
    call = awaiting(EARLY, "Knock knock.")
    call.handle(facts.TranscriptFinal(1, WORDS, 0.1, 900, voice=facts.VoiceHeard(900, 0.9, 900)))
    assert "Knock knock." not in [each.text for each in effects_of(call, do.Speak)]  # type: ignore[attr-defined]


def test_where_speech_to_text_fails_the_interim_words_are_answered_once() -> None:
    call = awaiting(EARLY, "Knock knock.")
    call.handle(facts.TranscriptionFailed(1, PASSING))
    assert call.state == "generating"
    call.answers("Knock knock.")
    call.heard_all()
    assert call.history == [("user", WORDS), ("assistant", "Knock knock.")]


# --- the model fails --------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [PASSING, FATAL])
@pytest.mark.parametrize("turn_over", [False, True])
def test_a_model_that_fails_meanwhile_is_asked_once_more_at_the_end(
    failure: facts.ProviderFailure, turn_over: bool
) -> None:
    call = awaiting(EARLY, "Knock knock.") if turn_over else speculating()
    call.handle(facts.GenerationFailed(1, failure))
    assert told_of_answers(call) == []
    if not turn_over:
        assert call.state == "endpointing"
        call.deadline_passes()
    assert asked(call.all_effects) == [WORDS], "not again in the same pause"
    call.final(WORDS)
    call.answers("Knock knock.")
    call.heard_all()
    assert asked(call.all_effects) == [WORDS, WORDS]
    assert call.history == [("user", WORDS), ("assistant", "Knock knock.")]


@pytest.mark.parametrize("turn_over", [False, True])
def test_an_empty_answer_is_none(turn_over: bool) -> None:
    call = awaiting() if turn_over else speculating()
    call.handle(facts.GenerationFinished(1))
    if not turn_over:
        call.deadline_passes()
    call.final(WORDS)
    assert call.state == "generating"
    assert asked(call.all_effects) == [WORDS, WORDS]


@pytest.mark.parametrize("turn_over", [False, True])
@pytest.mark.parametrize("text", ["", "Let me see."])
def test_tools_are_not_begun_by_a_speculative_answer(turn_over: bool, text: str) -> None:
    policy = evolve(SPOKEN_EARLY, tools=(ToolPolicy("look"),))
    call = awaiting(policy) if turn_over else speculating(policy)
    if text:
        call.segment(0, text)
    call.handle(facts.GenerationFinished(1, (ToolCall("a", "look", "{}"),)))
    if not turn_over:
        call.deadline_passes()
    assert effects_of(call, do.RunTool) == []
    call.final(WORDS)
    assert asked(call.all_effects) == [WORDS, WORDS]
    call.handle(facts.GenerationFinished(2, (ToolCall("a", "look", "{}"),)))
    [run] = effects_of(call, do.RunTool)
    assert isinstance(run, do.RunTool)
    assert run.asked.name == "look"


# --- after it was adopted ---------------------------------------------------------------------------------


def test_it_can_be_interrupted_right_away() -> None:
    call = awaiting(EARLY, "Knock knock.")
    call.final(WORDS)
    call.voiced(0, "Knock", "knock.")
    call.plays()
    call.handle(facts.SpeechStarted(), after_ms=150)
    effects = call.happens(facts.TranscriptInterim(call.memory.turns.current, "please stop"))
    assert do.NotifyInterrupted(1, "Knock", "knock.", 150) in effects
    assert do.CancelGeneration(1) in effects
    assert call.history == [("user", WORDS), ("assistant", "Knock")]


def test_voice_before_its_first_sound_voids_it_and_the_words_are_joined() -> None:
    call = awaiting()
    call.final(WORDS)
    call.handle(facts.SpeechStarted(), after_ms=10)
    assert call.state == "hearing"
    assert do.CancelGeneration(1) in call.all_effects
    call.handle(facts.SpeechStopped(900), after_ms=900)
    call.deadline_passes()
    call.final("About dogs.")
    assert asked(call.all_effects)[-1] == f"{WORDS} About dogs."


# --- what else may happen ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fact",
    [
        HUNG_UP,
        facts.DigitPressed("5"),
        facts.RecordingStarted(MANUAL, START),
        facts.LinkDown(Role.STT, FATAL),
        facts.LinkDown(Role.TTS, FATAL),
    ],
)
@pytest.mark.parametrize("turn_over", [False, True])
def test_whatever_ends_the_wait_drops_it(fact: facts.Fact, turn_over: bool) -> None:
    call = awaiting(SPOKEN_EARLY, "Knock knock.") if turn_over else speculating(SPOKEN_EARLY)
    if not turn_over:
        call.segment(0, "Knock knock.")
    effects = call.system.conversation.handle(evolve(fact, at_ms=call.now)).effects
    assert do.CancelGeneration(1) in effects
    assert do.DropSpeech(1) in effects
    assert told_of_answers(call) == []


def test_a_recording_that_goes_on_after_the_turn_voids_it() -> None:
    call = awaiting(EARLY, "Knock knock.")
    assert do.CancelGeneration(1) in call.happens(facts.RecordingStarted(AUTOMATIC))
    call.final(WORDS)
    assert call.state == "quiet"
    assert told_of_answers(call) == []


def test_a_score_of_the_turn_model_still_counts() -> None:
    call = speculating()
    paused_at = call.now
    call.handle(facts.TurnScored(1, 0.9), after_ms=60)
    call.deadline_passes()
    assert call.state == "finalizing"
    assert call.now - paused_at == POLICY.complete_delay_ms


# --- speech in advance ------------------------------------------------------------------------------------


def test_the_first_segment_is_synthesized_in_advance_and_not_said() -> None:
    call = speculating(SPOKEN_EARLY)
    assert call.segment(0, "Knock knock.") == [do.PrepareSpeech(1, 0, "Knock knock.")]
    assert call.segment(1, "Who is there?") == [], "only the first"
    assert told_of_answers(call) == []
    call.deadline_passes()
    effects = call.final(WORDS)
    assert [each.text for each in effects if isinstance(each, do.Speak)] == ["Knock knock.", "Who is there?"]
    assert effects_of(call, do.DropSpeech) == []


def test_unless_an_operator_wants_it_no_speech_is_made_in_advance() -> None:
    call = awaiting(EARLY, "Knock knock.")
    assert effects_of(call, do.PrepareSpeech) == []


@pytest.mark.parametrize("turn_over", [False, True])
def test_speech_in_advance_is_dropped_with_its_answer(turn_over: bool) -> None:
    call = awaiting(SPOKEN_EARLY, "Knock knock.") if turn_over else speculating(SPOKEN_EARLY)
    if not turn_over:
        call.segment(0, "Knock knock.")
    assert call.happens(facts.SpeechStarted()) == [do.CancelGeneration(1), do.DropSpeech(1)]
    call.handle(facts.SegmentVoiced(1, 0, 900))
    assert call.outcome() is Outcome.REFUSED


def test_it_is_dropped_when_the_model_breaks_off() -> None:
    call = awaiting(SPOKEN_EARLY, "Knock knock.")
    assert do.DropSpeech(1) in call.happens(facts.GenerationFailed(1, PASSING))
    call.final(WORDS)
    assert asked(call.all_effects) == [WORDS, WORDS]
    assert effects_of(call, do.Speak) == []


def test_without_a_link_to_text_to_speech_there_is_none() -> None:
    call = speculating(SPOKEN_EARLY)
    call.handle(facts.LinkFailed(Role.TTS, 1, PASSING))
    assert call.segment(0, "Knock knock.") == []


def test_markup_is_part_of_what_is_synthesized_in_advance() -> None:
    call = speculating(SPOKEN_EARLY)
    marked = "<emotion value='sad'/>Knock knock."
    call.handle(facts.SegmentReady(1, 0, "Knock knock.", marked))
    call.deadline_passes()
    call.final(WORDS)
    [prepared], [said] = effects_of(call, do.PrepareSpeech), effects_of(call, do.Speak)
    assert isinstance(prepared, do.PrepareSpeech)
    assert isinstance(said, do.Speak)
    assert prepared.text == said.text == marked
