"""A client's first recording interrupts nothing. The caller's voice does, or a button that they press."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from attrs import evolve

from machines import effects as do
from machines import facts
from machines.facts import Role, TurnMode
from tests.machines.calls import AUTOMATIC, MANUAL, POLICY, START, STOP, Call, effects_of

GREETING = "Good day to you."
GREETED = evolve(POLICY, greeting=GREETING)
MODES = pytest.mark.parametrize("mode", [MANUAL, AUTOMATIC])


def is_whole(call: Call) -> bool:
    """What is being said is heard to its end, and nothing told the client to stop."""
    call.voiced(0, *GREETING.split())
    call.plays()
    call.heard_all()
    return effects_of(call, do.StopSpeech) == [] and effects_of(call, do.NotifyInterrupted) == []


def greeting() -> Call:
    call = Call(GREETED)
    call.links_come_up()
    call.deadline_passes()
    assert (call.state, call.memory.answer.ledger.text()) == ("speaking", GREETING)
    return call


def starts_while_connecting(call: Call, start: Callable[[], None]) -> None:
    start()
    call.links_come_up()
    call.deadline_passes()


def starts_before_the_last_link(call: Call, start: Callable[[], None]) -> None:
    call.handle(facts.LinkOpened(Role.STT, 1))
    call.handle(facts.LinkOpened(Role.LLM, 1))
    start()
    call.handle(facts.LinkOpened(Role.TTS, 1))
    call.deadline_passes()


def starts_before_the_greeting_begins(call: Call, start: Callable[[], None]) -> None:
    call.links_come_up()
    start()
    call.deadline_passes()


def starts_during_the_greeting(call: Call, start: Callable[[], None]) -> None:
    call.links_come_up()
    call.deadline_passes()
    start()


def starts_again_and_again(call: Call, start: Callable[[], None]) -> None:
    start()
    call.links_come_up()
    call.deadline_passes()
    start()
    start()


def starts_again_before_the_greeting_begins(call: Call, start: Callable[[], None]) -> None:
    start()
    start()
    call.links_come_up()
    start()
    call.deadline_passes()


def starts_twice_during_the_greeting(call: Call, start: Callable[[], None]) -> None:
    starts_during_the_greeting(call, start)
    start()


@MODES
@pytest.mark.parametrize(
    "begins",
    [
        starts_while_connecting,
        starts_before_the_last_link,
        starts_before_the_greeting_begins,
        starts_during_the_greeting,
        starts_again_and_again,
        starts_again_before_the_greeting_begins,
        starts_twice_during_the_greeting,
    ],
)
def test_the_greeting_is_heard_whenever_the_client_starts_its_audio(
    begins: Callable[[Call, Callable[[], None]], None], mode: TurnMode
) -> None:
    call = Call(GREETED)

    def start() -> None:
        call.handle(facts.RecordingStarted(mode, START))

    begins(call, start)
    assert (call.state, call.memory.answer.ledger.text()) == ("speaking", GREETING)
    assert do.Acknowledge(START) in call.all_effects
    assert is_whole(call)
    assert call.state == "quiet"


@MODES
@pytest.mark.parametrize("starts", [1, 2])
def test_what_the_host_says_first_is_heard_too(mode: TurnMode, starts: int) -> None:
    call = Call(POLICY)
    call.handle(facts.SayRequested(GREETING))
    for _ in range(starts):
        call.handle(facts.RecordingStarted(mode, START))
    call.links_come_up()
    call.deadline_passes()
    assert call.memory.answer.ledger.text() == GREETING
    assert is_whole(call)


def test_a_start_that_is_repeated_during_a_recording_is_no_second_button() -> None:
    call = Call(GREETED).listening()
    call.handle(facts.RecordingStopped(STOP))
    call.final("hello")
    call.segment(0, "Yes indeed.")
    call.voiced(0, "Yes", "indeed.")
    call.plays()
    call.handle(facts.RecordingStarted(MANUAL, START))
    assert call.state == "quiet", "a button that is pressed after a stop interrupts"
    call.handle(facts.RecordingStarted(MANUAL, START))
    call.handle(facts.SayRequested(GREETING))
    assert call.state == "quiet", "the caller has the word until they stop"


def test_words_of_a_first_recording_over_the_greeting_are_answered_after_it() -> None:
    call = greeting()
    call.handle(facts.RecordingStarted(MANUAL, START))
    turn = call.memory.turns.current
    assert do.FinalizeTurn(turn) in call.happens(facts.RecordingStopped(STOP))
    call.happens(facts.TranscriptFinal(turn, "where are you", confidence=0.9, speech_ms=900))
    assert is_whole(call)
    call.deadline_passes()
    assert (call.state, call.memory.turns.caller_words) == ("generating", "where are you")


def test_a_first_recording_that_goes_on_after_the_greeting_is_one_turn() -> None:
    call = greeting()
    call.handle(facts.RecordingStarted(MANUAL, START))
    turn = call.memory.turns.current
    assert is_whole(call)
    assert (call.state, call.memory.turns.current) == ("quiet", turn)
    assert do.FinalizeTurn(turn) in call.happens(facts.RecordingStopped(STOP))


def test_a_button_that_is_pressed_again_interrupts() -> None:
    call = Call(GREETED).listening()
    call.handle(facts.RecordingStopped(STOP))
    call.final("hello")
    call.answers("Yes indeed.")
    call.handle(facts.RecordingStarted(MANUAL, START))
    assert call.state == "quiet"
    assert [each for each in call.all_effects if isinstance(each, do.StopSpeech)] != []


def test_a_client_that_starts_again_while_it_is_answered_is_still_answered() -> None:
    call = Call(POLICY).thinking(mode=AUTOMATIC)
    assert call.happens(facts.RecordingStarted(AUTOMATIC, START)) == [do.Acknowledge(START)]
    call.answers("Yes indeed.")
    assert call.state == "speaking"


def test_the_callers_voice_interrupts_the_greeting_of_a_client_that_started_during_it() -> None:
    call = greeting()
    call.handle(facts.RecordingStarted(AUTOMATIC, START))
    call.voiced(0, *GREETING.split())
    call.plays()
    call.handle(facts.SpeechStarted(), after_ms=300)
    assert call.state == "paused"


def asked(call: Call, words: str) -> list[str]:
    """What the model is asked after this turn."""
    call.handle(facts.RecordingStarted(MANUAL, START))
    call.handle(facts.RecordingStopped(STOP))
    call.final(words)
    (*_, request) = effects_of(call, do.StartGeneration)
    assert isinstance(request, do.StartGeneration)
    return [message.text for message in request.messages]


def test_the_model_is_told_the_greeting_and_the_history_does_not_hold_it() -> None:
    call = greeting()
    assert is_whole(call)
    assert asked(call, "where are you") == [POLICY.system_prompt, GREETING, "where are you"]
    call.answers("Here.")
    call.voiced(0, "Here.")
    call.plays()
    call.heard_all()
    assert asked(call, "thanks") == [POLICY.system_prompt, GREETING, "where are you", "Here.", "thanks"]
    assert call.history == [("user", "where are you"), ("assistant", "Here.")]


def test_of_an_interrupted_greeting_the_model_is_told_what_was_heard() -> None:
    call = greeting()
    call.handle(facts.RecordingStarted(MANUAL, START))
    call.handle(facts.RecordingStopped(STOP))
    call.voiced(0, *GREETING.split())
    call.plays()
    call.handle(facts.RecordingStarted(MANUAL, START), after_ms=250)
    told = call.memory.heard_greeting
    assert told is not None
    assert (told.text, told.interrupted, told.heard_ms) == ("Good day", True, 250)
