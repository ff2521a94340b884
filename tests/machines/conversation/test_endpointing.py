"""How much silence ends a turn: by its words, by the turn model's score, and by who ends turns."""

from __future__ import annotations

import pytest
from attrs import evolve

from machines import facts
from machines.declarations import Outcome
from machines.facts import Role
from machines.policy import ConversationPolicy
from tests.machines.calls import AUTOMATIC, POLICY, Call

USUAL = POLICY.endpoint_delay_ms
UNFINISHED = USUAL + POLICY.unfinished_delay_ms


def pausing(words: str, policy: ConversationPolicy = POLICY) -> Call:
    """The caller has said `words` and pauses."""
    call = Call(policy).listening(AUTOMATIC)
    call.handle(facts.SpeechStarted())
    call.handle(facts.TranscriptInterim(1, words), after_ms=1000)
    call.handle(facts.SpeechStopped(1000))
    assert call.state == "endpointing"
    return call


def waits_ms(call: Call, *happenings: facts.Fact) -> float:
    """How long the caller may pause while these facts happen, one every 100 ms."""
    paused = call.now
    for fact in happenings:
        call.handle(fact, after_ms=100)
    call.deadline_passes()
    assert call.state == "finalizing"
    return call.now - paused


def scored(completeness: float, turn: int = 1) -> facts.TurnScored:
    return facts.TurnScored(turn, completeness)


# --- by words ---------------------------------------------------------------------------------------------


def test_an_unfinished_phrase_is_waited_for_longer() -> None:
    assert waits_ms(pausing("tell me a joke")) == USUAL
    assert waits_ms(pausing("I would like to")) == UNFINISHED


def test_words_that_come_late_tell_how_long_to_wait_from_the_end_of_voice_on() -> None:
    leave = facts.TranscriptInterim(1, "I would like to leave.")
    assert waits_ms(pausing("I would like to"), leave) == USUAL
    assert waits_ms(pausing("tell me"), facts.TranscriptInterim(1, "tell me a")) == UNFINISHED


# --- by a model that listened -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "completeness", "ms"),
    [
        ("tell me a joke", 0.9, POLICY.complete_delay_ms),
        ("tell me a joke", 0.5, POLICY.complete_delay_ms),
        ("tell me a joke", 0.49, UNFINISHED),
        ("tell me a joke", 0.0, UNFINISHED),
        ("I would like to", 0.1, UNFINISHED),
        ("I would like to", 0.9, UNFINISHED),
        ("", 0.9, POLICY.complete_delay_ms),
    ],
)
def test_what_the_model_takes_for_complete_needs_less_silence_and_what_not_more(
    words: str, completeness: float, ms: float
) -> None:
    assert waits_ms(pausing(words), scored(completeness)) == ms


def test_a_score_that_comes_late_ends_the_turn_at_once() -> None:
    call = pausing("tell me a joke")
    paused = call.now
    call.handle(scored(0.9), after_ms=POLICY.complete_delay_ms + 100)
    call.deadline_passes()
    assert call.now - paused == POLICY.complete_delay_ms + 100


def test_the_last_score_counts() -> None:
    assert waits_ms(pausing("tell me"), scored(0.9), scored(0.2)) == UNFINISHED


def test_words_that_come_after_the_score_count_as_well() -> None:
    to = facts.TranscriptInterim(1, "I would like to")
    assert waits_ms(pausing("I would like"), scored(0.9), to) == UNFINISHED


def test_a_score_is_about_one_pause() -> None:
    call = pausing("tell me a joke")
    call.handle(scored(0.9))
    call.handle(facts.SpeechStarted(), after_ms=50)
    call.handle(facts.SpeechStopped(300), after_ms=300)
    assert waits_ms(call) == USUAL


def test_a_score_is_about_one_turn() -> None:
    call = pausing("tell me a joke")
    call.handle(scored(0.1))
    call.deadline_passes()
    call.handle(facts.SpeechStarted())
    call.final("tell me a joke")
    assert call.state == "hearing"
    call.handle(facts.SpeechStopped(300))
    assert waits_ms(call) == USUAL


def test_a_score_of_another_turn_is_refused() -> None:
    call = pausing("tell me a joke")
    call.handle(scored(0.1, turn=7))
    assert call.outcome() is Outcome.REFUSED
    assert waits_ms(call) == USUAL


def test_a_score_that_comes_when_the_caller_goes_on_is_ignored() -> None:
    call = pausing("tell me a joke")
    call.handle(facts.SpeechStarted())
    call.handle(scored(0.1))
    assert call.outcome() is Outcome.IGNORED
    call.handle(facts.SpeechStopped(300))
    assert waits_ms(call) == USUAL


def test_what_is_complete_never_waits_longer_than_anything_else() -> None:
    hasty = evolve(POLICY, endpoint_delay_ms=100)
    assert waits_ms(pausing("tell me a joke", hasty), scored(0.9)) == 100


def test_patience_with_the_unfinished_can_be_turned_off() -> None:
    assert waits_ms(pausing("I would like to", evolve(POLICY, unfinished_delay_ms=0)), scored(0.1)) == USUAL


# --- where the provider decides ---------------------------------------------------------------------------


def test_where_the_provider_ends_turns_it_is_given_its_time_whatever_the_score() -> None:
    call = Call()
    call.handle(facts.RecordingStarted(AUTOMATIC))
    for role in Role:
        call.handle(facts.LinkOpened(role, attempt=1, ends_turns=role is Role.STT))
    call.handle(facts.SpeechStarted())
    call.handle(facts.SpeechStopped(1000))
    assert waits_ms(call, scored(0.9)) == POLICY.provider_endpoint_delay_ms
