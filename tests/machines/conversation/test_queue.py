"""Queued turns: answers that the caller's voice does not interrupt, and what is said meanwhile."""

from __future__ import annotations

import pytest
from attrs import evolve

from machines import effects as do
from machines import facts
from tests.machines.calls import AUTOMATIC, MANUAL, PASSING, POLICY, STOP, SYSTEM, Call, asked, user

WAITING = evolve(POLICY, barge_in=False)


def answering(policy: object = WAITING) -> Call:
    """A call in which an answer is being spoken."""
    assert isinstance(policy, type(WAITING))
    return Call(policy).speaking("Yes indeed.")


def says(call: Call, *turns: str) -> None:
    """The caller makes a recording for each turn, and all are understood."""
    for words in turns:
        call.handle(facts.RecordingStopped())
        number = call.memory.turns.queued[-1]
        call.handle(facts.TranscriptFinal(number, words))


def test_voice_over_an_answer_does_not_interrupt_it() -> None:
    call = Call(WAITING).speaking("Yes indeed.", mode=AUTOMATIC)
    call.handle(facts.SpeechStarted())
    assert call.state == "speaking"
    assert call.happens(facts.SpeechStopped(300)) == [do.FinalizeTurn(2), do.BeginTurn(3)]
    call.handle(facts.TranscriptFinal(2, "and then"))
    call.heard_all()
    assert asked(call.deadline_passes()) == ["and then"]


def test_a_recording_made_during_an_answer_is_acknowledged_and_waits() -> None:
    call = answering()
    assert call.happens(facts.RecordingStarted(MANUAL)) == []
    assert call.happens(facts.RecordingStopped(STOP)) == [
        do.FinalizeTurn(2),
        do.BeginTurn(3),
        do.Acknowledge(STOP),
    ]


def test_turns_that_wait_are_answered_in_their_order() -> None:
    call = answering()
    says(call, "first", "second")
    call.heard_all()
    assert call.state == "quiet"
    assert asked(call.deadline_passes()) == ["first"]
    call.answers("One.")
    call.heard_all()
    assert asked(call.deadline_passes()) == ["second"]
    assert call.history[-2:] == [("user", "first"), ("assistant", "One.")]


def test_when_too_many_turns_wait_the_oldest_two_are_joined() -> None:
    call = answering()
    says(call, *(str(number) for number in range(WAITING.max_queue + 1)))
    assert call.memory.turns.queue[:2] == ("0 1", "2")
    assert len(call.memory.turns.queue) == WAITING.max_queue


def test_words_that_come_after_the_answer_are_still_answered() -> None:
    call = answering()
    call.handle(facts.RecordingStopped())
    call.heard_all()
    assert call.state == "quiet"
    call.handle(facts.TranscriptFinal(2, "late"), after_ms=1_000)
    assert asked(call.deadline_passes()) == ["late"]


@pytest.mark.parametrize("failed", [True, False])
def test_a_caller_whose_words_never_come_is_told_so(failed: bool) -> None:
    call = answering()
    call.handle(facts.RecordingStopped())
    if failed:
        call.handle(facts.TranscriptionFailed(2, PASSING))
    call.heard_all()
    began = call.now
    effects = call.deadline_passes()
    assert do.Speak(2, 0, POLICY.fallback.unheard) in effects
    assert call.now - began == POLICY.final_transcript_timeout_ms
    call.heard_all()
    assert call.memory.deadline_armed is None


def test_words_that_another_provider_brings_after_a_failure_are_answered() -> None:
    call = answering()
    call.handle(facts.RecordingStopped())
    call.handle(facts.TranscriptionFailed(2, PASSING))
    call.handle(facts.TranscriptFinal(2, "again"))
    call.heard_all()
    assert asked(call.deadline_passes()) == ["again"]


def test_failures_of_a_turn_that_waits_do_not_shorten_the_wait_for_another() -> None:
    call = answering()
    call.handle(facts.RecordingStopped())
    call.heard_all()
    call.handle(facts.RecordingStopped())
    assert call.state == "finalizing"
    call.handle(facts.TranscriptionFailed(2, PASSING))
    assert call.memory.turns.waits == 0


def test_interim_words_of_a_turn_that_waits_are_not_the_next_turns() -> None:
    call = answering()
    says(call, "first")
    call.heard_all()
    call.handle(facts.TranscriptInterim(call.memory.turns.current, "second"))
    call.deadline_passes()
    call.handle(facts.RecordingStopped())
    call.answers("One.")
    call.heard_all()
    call.handle(facts.RecordingStopped())
    call.deadline_passes()
    effects = call.deadline_passes()
    assert [each.text for each in effects if isinstance(each, do.NotifyTranscript)] == [""]


def test_a_turn_said_in_full_is_answered_together_with_those_that_wait() -> None:
    call = answering()
    says(call, "first")
    call.heard_all()
    call.handle(facts.RecordingStopped())
    assert do.StartGeneration(2, (SYSTEM, user("hello"), *call.memory.history[1:], user("first now"))) in (
        call.final("now")
    )
