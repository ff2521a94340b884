"""Greeting, reprompt, and nudges for a caller who says nothing."""

from __future__ import annotations

import pytest
from attrs import evolve

from machines import effects as do
from machines import facts
from machines.declarations import Outcome
from machines.facts import EndReason
from tests.machines.calls import AUTOMATIC, MANUAL, POLICY, START, STOP, Call

TALKATIVE = evolve(
    POLICY,
    greeting="Good day.",
    reprompt="What did you say?",
    idle_after_ms=5000,
    nudges=("Are you there?", "Hello?"),
    idle_goodbye="Goodbye.",
)
SILENT_CALLER = evolve(TALKATIVE, greeting="")


def spoken(effects: list[do.Effect]) -> list[str]:
    return [effect.text for effect in effects if isinstance(effect, do.Speak)]


# --- the greeting -----------------------------------------------------------------------------------------


def test_a_greeting_is_the_first_that_is_heard() -> None:
    call = Call(TALKATIVE)
    call.handle(facts.RecordingStarted(AUTOMATIC, START))
    assert do.Acknowledge(START) in call.links_come_up()
    assert spoken(call.deadline_passes()) == ["Good day."]
    assert call.state == "speaking"
    call.heard_all()
    assert (call.state, call.history) == ("quiet", [])


def test_a_greeting_can_be_talked_over() -> None:
    call = Call(TALKATIVE)
    call.handle(facts.RecordingStarted(AUTOMATIC))
    call.links_come_up()
    call.deadline_passes()
    call.handle(facts.SpeechStarted())
    call.handle(facts.SpeechStopped(900), after_ms=900)
    assert do.StartGeneration in map(type, call.final("hello"))
    assert call.history == []


def test_who_has_spoken_already_is_not_greeted() -> None:
    call = Call(TALKATIVE)
    call.handle(facts.RecordingStarted(AUTOMATIC))
    call.handle(facts.RecordingStopped())
    call.links_come_up()
    assert call.state == "finalizing"
    call.final("hello")
    call.answers("Hi.")
    call.heard_all()
    assert call.state == "quiet"
    assert call.deadline_passes() != []
    assert "Good day." not in [effect.text for effect in call.all_effects if isinstance(effect, do.Speak)]


# --- voice without words ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("speech_ms", "heard"), [(800, ["What did you say?"]), (100, [])])
def test_a_caller_who_spoke_and_was_not_understood_is_asked_again(speech_ms: float, heard: list[str]) -> None:
    call = Call(SILENT_CALLER).finalizing()
    assert spoken(call.happens(facts.TranscriptFinal(1, "", 0.0, speech_ms))) == heard


def test_without_a_re_prompt_such_a_turn_is_ignored() -> None:
    call = Call().finalizing()
    assert call.happens(facts.TranscriptFinal(1, "", 0.0, 800))[1:] == [do.Acknowledge(STOP)]
    assert call.state == "quiet"


# --- a quiet caller ---------------------------------------------------------------------------------------


def test_a_quiet_caller_is_spoken_to_twice_and_then_taken_leave_of() -> None:
    call = Call(SILENT_CALLER).listening(AUTOMATIC)
    heard = []
    for _ in range(3):
        heard += spoken(call.deadline_passes())
        ended = call.heard_all()
    assert heard == ["Are you there?", "Hello?", "Goodbye."]
    assert do.CloseConversation(EndReason.IDLE, after_goodbye=True) in ended


def test_words_start_the_count_anew() -> None:
    call = Call(SILENT_CALLER).listening(AUTOMATIC)
    call.deadline_passes()
    call.heard_all()
    call.handle(facts.SpeechStarted())
    call.handle(facts.SpeechStopped(500))
    call.deadline_passes()
    call.final("yes")
    call.answers("Good.")
    call.heard_all()
    assert spoken(call.deadline_passes()) == ["Are you there?"]


def test_who_objects_to_the_goodbye_stays() -> None:
    call = Call(evolve(SILENT_CALLER, nudges=())).listening(AUTOMATIC)
    call.deadline_passes()
    call.plays()
    call.handle(facts.SpeechStarted())
    call.handle(facts.TranscriptInterim(call.memory.turns.current, "no wait"))
    assert call.state == "hearing"
    assert call.memory.answer.end_after is None


def test_who_coughs_at_the_goodbye_does_not_object() -> None:
    call = Call(evolve(SILENT_CALLER, nudges=())).listening(AUTOMATIC)
    call.deadline_passes()
    call.plays()
    call.handle(facts.SpeechStarted())
    call.handle(facts.SpeechStopped(100))
    assert do.CloseConversation(EndReason.IDLE, after_goodbye=True) in call.heard_all()


def test_nobody_is_hurried_who_ends_turns_by_hand() -> None:
    call = Call(SILENT_CALLER).listening(MANUAL)
    assert call.memory.deadline_armed is None
    call.handle(facts.RecordingStarted(AUTOMATIC))
    assert call.memory.deadline_armed is not None
    call.handle(facts.RecordingStarted(MANUAL))
    assert call.memory.deadline_armed is None


def test_the_idle_timer_runs_in_quiet_alone() -> None:
    call = Call(SILENT_CALLER).listening(AUTOMATIC)
    idle = call.memory.deadline_armed
    assert idle is not None
    call.handle(facts.SpeechStarted())
    call.handle(facts.DeadlinePassed(idle))
    assert call.outcome() is Outcome.REFUSED
    assert call.state == "hearing"
