"""Host utterances: when they are said, what waits for them, and that they are not history."""

from __future__ import annotations

import pytest
from attrs import evolve

from machines import effects as do
from machines import facts
from machines.declarations import Outcome
from machines.effects import StopCause
from machines.facts import SayMode
from tests.machines.calls import AUTOMATIC, HUNG_UP, MANUAL, POLICY, SYSTEM, Call, asked, effects_of, user

MODES = list(SayMode)
WAITING_MODES = [SayMode.QUEUE, SayMode.WHEN_IDLE]


def say(
    text: str = "By the way.", mode: SayMode = SayMode.QUEUE, *, interruptible: bool = True
) -> facts.Fact:
    return facts.SayRequested(text, mode, interruptible)


def spoken(effects: list[do.Effect]) -> list[str]:
    return [effect.text for effect in effects if isinstance(effect, do.Speak)]


def quiet(mode: facts.TurnMode = MANUAL) -> Call:
    """A connected caller who says nothing. In manual mode no recording has begun."""
    if mode is AUTOMATIC:
        return Call().listening(AUTOMATIC)
    call = Call()
    call.links_come_up()
    assert call.state == "quiet"
    return call


# --- at once ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turn_mode", [MANUAL, AUTOMATIC])
@pytest.mark.parametrize("mode", MODES)
def test_to_a_quiet_caller_it_is_said_at_once(mode: SayMode, turn_mode: facts.TurnMode) -> None:
    call = quiet(turn_mode)
    assert call.happens(say(mode=mode)) == [
        do.NotifySegment(1, 0, "By the way."),
        do.Speak(1, 0, "By the way."),
        do.FinishSpeech(1),
    ]
    assert call.state == "speaking"
    call.heard_all()
    assert (call.state, call.history) == ("quiet", [])


def test_what_is_urgent_takes_the_place_of_an_answer_that_is_prepared() -> None:
    call = Call().thinking()
    effects = call.happens(say(mode=SayMode.INTERRUPT))
    assert effects[0] == do.CancelGeneration(1)
    assert spoken(effects) == ["By the way."]
    call.heard_all()
    assert asked(call.deadline_passes()) == ["hello"], "the caller is answered after it"
    call.answers("Yes.")
    call.heard_all()
    assert call.history == [("user", "hello"), ("assistant", "Yes.")]


def test_so_it_does_between_two_requests_to_the_model() -> None:
    call = Call(evolve(POLICY, llm_retry_delays_ms=(500,))).thinking()
    call.handle(facts.GenerationFailed(1, facts.ProviderFailure(facts.ErrorClass.TRANSIENT, "busy")))
    assert call.state == "retrying"
    assert spoken(call.happens(say(mode=SayMode.INTERRUPT))) == ["By the way."]
    call.heard_all()
    assert asked(call.deadline_passes()) == ["hello"]


def test_what_is_urgent_cuts_an_answer_off_where_it_was_heard() -> None:
    call = Call().speaking("one two three.")
    call.voiced(0, "one", "two", "three.")
    call.plays()
    effects = call.happens(say(mode=SayMode.INTERRUPT), after_ms=250)
    assert effects[:2] == [
        do.StopSpeech(1, StopCause.INTERRUPTED),
        do.NotifyInterrupted(1, "one two", "three.", 250),
    ]
    assert spoken(effects) == ["By the way."]
    assert call.state == "speaking"
    call.heard_all()
    assert call.history == [("user", "hello"), ("assistant", "one two")]
    assert call.memory.deadline_armed is None


def test_words_whose_answer_was_cut_off_before_it_was_heard_are_answered_after_what_is_urgent() -> None:
    call = Call().speaking("one two three.")
    call.handle(say(mode=SayMode.INTERRUPT))
    call.heard_all()
    assert call.history == []
    assert asked(call.deadline_passes()) == ["hello"]


def test_what_is_urgent_takes_the_place_of_what_is_not() -> None:
    call = quiet()
    call.handle(say("First."))
    effects = call.happens(say("Fire!", SayMode.INTERRUPT))
    assert do.StopSpeech(1, StopCause.INTERRUPTED) in effects
    assert spoken(effects) == ["Fire!"]


# --- later ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", WAITING_MODES)
@pytest.mark.parametrize("state", ["thinking", "speaking"])
def test_what_is_not_urgent_waits_for_the_answer(state: str, mode: SayMode) -> None:
    call = Call().thinking() if state == "thinking" else Call().speaking("Yes.")
    assert call.happens(say(mode=mode)) == []
    if state == "thinking":
        call.answers("Yes.")
    call.heard_all()
    assert call.state == "quiet"
    assert spoken(call.deadline_passes()) == ["By the way."]
    call.heard_all()
    assert call.history == [("user", "hello"), ("assistant", "Yes.")]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("state", ["hearing", "endpointing", "finalizing", "paused", "confirming"])
def test_a_caller_who_speaks_is_never_talked_over(state: str, mode: SayMode) -> None:
    call = Call().speaking("Yes indeed.", mode=AUTOMATIC)
    if state in ("hearing", "endpointing", "finalizing"):
        call.heard_all()
    call.handle(facts.SpeechStarted())
    if state in ("endpointing", "finalizing", "confirming"):
        call.handle(facts.SpeechStopped(700))
    if state == "finalizing":
        call.deadline_passes()
    assert call.state == state
    assert call.happens(say(mode=mode)) == []
    assert call.state == state
    if state in ("hearing", "paused"):
        call.handle(facts.SpeechStopped(700))
    if call.state == "endpointing":
        call.deadline_passes()
    call.final("what else")
    call.answers("Nothing.")
    call.heard_all()
    assert spoken(call.deadline_passes()) == ["By the way."]


@pytest.mark.parametrize("mode", MODES)
def test_what_is_wanted_before_everybody_is_connected_is_said_then(mode: SayMode) -> None:
    call = Call()
    call.handle(say(mode=mode))
    call.handle(facts.RecordingStarted(AUTOMATIC))
    call.links_come_up()
    assert spoken(call.deadline_passes()) == ["By the way."]


@pytest.mark.parametrize("mode", WAITING_MODES)
def test_the_greeting_comes_first(mode: SayMode) -> None:
    call = Call(evolve(POLICY, greeting="Good day."))
    call.handle(facts.RecordingStarted(AUTOMATIC))
    call.links_come_up()
    assert call.happens(say(mode=mode)) == []
    assert spoken(call.deadline_passes()) == ["Good day."]
    call.heard_all()
    assert spoken(call.deadline_passes()) == ["By the way."]


def a_turn_waits() -> Call:
    """The answer is over, and the words of a queued turn are still to come."""
    call = Call(evolve(POLICY, barge_in=False)).speaking("Yes indeed.", mode=AUTOMATIC)
    call.handle(facts.SpeechStarted())
    call.handle(facts.SpeechStopped(700))
    call.heard_all()
    return call


def test_what_has_time_waits_for_turns_that_wait() -> None:
    call = a_turn_waits()
    assert call.happens(say(mode=SayMode.WHEN_IDLE)) == [], "its words are not known yet"
    call.handle(facts.TranscriptFinal(2, "and the weather"))
    assert asked(call.deadline_passes()) == ["and the weather"]
    call.answers("Rain.")
    call.heard_all()
    assert spoken(call.deadline_passes()) == ["By the way."]


@pytest.mark.parametrize("mode", [SayMode.QUEUE, SayMode.INTERRUPT])
def test_what_has_not_is_said_before_they_are_answered(mode: SayMode) -> None:
    call = a_turn_waits()
    assert spoken(call.happens(say(mode=mode))) == ["By the way."]
    call.handle(facts.TranscriptFinal(2, "and the weather"))
    call.heard_all()
    assert asked(call.deadline_passes()) == ["and the weather"]


def test_what_waits_is_said_by_urgency_and_then_in_order() -> None:
    call = Call().listening(AUTOMATIC)
    call.handle(facts.SpeechStarted())
    call.handle(say("idle 1", SayMode.WHEN_IDLE))
    call.handle(say("queue 1"))
    call.handle(say("urgent 1", SayMode.INTERRUPT))
    call.handle(say("queue 2"))
    call.handle(say("idle 2", SayMode.WHEN_IDLE))
    call.handle(say("urgent 2", SayMode.INTERRUPT))
    call.handle(facts.SpeechStopped(700))
    call.deadline_passes()
    call.final("")
    heard = []
    for _ in range(6):
        heard += spoken(call.deadline_passes())
        call.heard_all()
    assert heard == ["urgent 1", "urgent 2", "queue 1", "queue 2", "idle 1", "idle 2"]
    assert call.memory.deadline_armed is None


def test_no_more_waits_than_an_operator_allows() -> None:
    call = Call(evolve(POLICY, max_host_utterances=2)).thinking()
    for text in ("one", "two", "three"):
        call.handle(say(text))
    assert call.outcome() is Outcome.IGNORED
    call.answers("Yes.")
    heard = []
    for _ in range(2):
        call.heard_all()
        heard += spoken(call.deadline_passes())
    assert heard == ["one", "two"]
    call.heard_all()
    assert call.memory.deadline_armed is None


# --- interruptions ----------------------------------------------------------------------------------------


def test_the_caller_can_talk_over_it() -> None:
    call = Call().listening(AUTOMATIC)
    call.handle(say())
    call.handle(facts.SpeechStarted())
    assert call.state == "paused"
    call.handle(facts.SpeechStopped(700))
    call.final("please stop")
    assert (call.state, call.history) == ("generating", [])


@pytest.mark.parametrize("mode", MODES)
def test_unless_the_host_protects_it(mode: SayMode) -> None:
    call = Call().listening(AUTOMATIC)
    call.handle(say(mode=mode, interruptible=False))
    call.handle(facts.SpeechStarted())
    assert call.state == "speaking"
    call.handle(facts.SpeechStopped(700))
    call.handle(facts.TranscriptFinal(1, "please stop"))
    call.heard_all()
    assert effects_of(call, do.PauseSpeech) == effects_of(call, do.StopSpeech) == []
    assert asked(call.deadline_passes()) == ["please stop"]


def test_what_waited_is_protected_as_well() -> None:
    call = Call().speaking("Yes.", mode=AUTOMATIC)
    call.handle(say(interruptible=False))
    call.heard_all()
    call.deadline_passes()
    call.handle(facts.SpeechStarted())
    assert call.state == "speaking"


def test_what_follows_is_not_protected_by_it() -> None:
    call = Call().listening(AUTOMATIC)
    call.handle(say(interruptible=False))
    call.heard_all()
    call.handle(say("Another."))
    call.handle(facts.SpeechStarted())
    assert call.state == "paused"


def test_the_callers_button_stops_even_what_is_protected() -> None:
    call = Call().listening(AUTOMATIC)
    call.handle(say(interruptible=False))
    assert do.StopSpeech(1, StopCause.INTERRUPTED) in call.happens(facts.InterruptRequested())
    assert call.state == "quiet"


def test_a_recording_by_hand_over_what_is_protected_is_answered_after_it() -> None:
    call = quiet()
    call.handle(say(interruptible=False))
    call.handle(facts.RecordingStarted(MANUAL))
    assert call.state == "speaking"
    call.handle(facts.RecordingStopped())
    call.handle(facts.TranscriptFinal(1, "yes"))
    call.heard_all()
    assert asked(call.deadline_passes()) == ["yes"]


# --- the end ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_goodbye_is_the_last_word(mode: SayMode) -> None:
    call = Call().saying_goodbye()
    assert call.happens(say(mode=mode)) == []
    call.heard_all()
    assert call.state == "closing"
    call.handle(say(mode=mode))
    assert call.outcome() is Outcome.IGNORED


def test_who_hangs_up_hears_no_more() -> None:
    call = quiet()
    call.handle(say())
    assert do.StopSpeech(1, StopCause.ENDED) in call.happens(HUNG_UP)


def test_a_voice_that_fails_takes_it_up_again() -> None:
    call = quiet()
    call.handle(say())
    assert do.Speak(1, 0, "By the way.") in call.voice_fails()


# --- last words -------------------------------------------------------------------------------------------


HANDED_OVER = facts.EndReason.HANDED_OVER
LAST = facts.SayRequested("I connect you.", SayMode.INTERRUPT, interruptible=False, then=HANDED_OVER)


def test_last_words_that_were_heard_end_the_call_for_the_hosts_reason() -> None:
    call = quiet()
    assert spoken(call.happens(LAST)) == ["I connect you."]
    assert do.CloseConversation(HANDED_OVER, after_goodbye=True) in call.heard_all()
    assert call.state == "closing"


@pytest.mark.parametrize("state", ["thinking", "speaking"])
def test_last_words_take_the_place_of_an_answer(state: str) -> None:
    call = Call().thinking() if state == "thinking" else Call().speaking("Yes.")
    assert spoken(call.happens(LAST)) == ["I connect you."]
    assert do.CloseConversation(HANDED_OVER, after_goodbye=True) in call.heard_all()


@pytest.mark.parametrize("mode", MODES)
def test_last_words_that_wait_are_the_last_ones_too(mode: SayMode) -> None:
    call = Call().listening(AUTOMATIC)
    call.handle(facts.SpeechStarted())
    call.handle(evolve(LAST, mode=mode))
    call.handle(facts.SpeechStopped(700))
    call.deadline_passes()
    call.final("hello")
    call.answers("Yes.")
    call.heard_all()
    assert spoken(call.deadline_passes()) == ["I connect you."]
    assert do.CloseConversation(HANDED_OVER, after_goodbye=True) in call.heard_all()


def test_protected_last_words_are_not_interrupted_by_the_caller() -> None:
    call = Call().listening(AUTOMATIC)
    call.handle(LAST)
    call.handle(facts.SpeechStarted())
    call.handle(facts.DigitPressed("1"))
    assert call.state == "speaking"
    assert do.CloseConversation(HANDED_OVER, after_goodbye=True) in call.heard_all()


def test_who_interrupts_last_words_keeps_the_call() -> None:
    call = Call().listening(AUTOMATIC)
    call.handle(evolve(LAST, interruptible=True))
    call.handle(facts.SpeechStarted())
    call.handle(facts.SpeechStopped(700))
    call.final("please wait")
    assert call.state == "generating"
    call.answers("Yes.")
    call.heard_all()
    assert (call.state, effects_of(call, do.CloseConversation)) == ("quiet", [])


def test_so_does_the_callers_button() -> None:
    call = Call().listening(AUTOMATIC)
    call.handle(LAST)
    call.handle(facts.InterruptRequested())
    call.handle(say("Another."))
    call.heard_all()
    assert (call.state, effects_of(call, do.CloseConversation)) == ("quiet", [])


def test_who_hangs_up_during_last_words_has_hung_up() -> None:
    call = quiet()
    call.handle(LAST)
    effects = call.happens(HUNG_UP)
    assert do.StopSpeech(1, StopCause.ENDED) in effects
    assert do.CloseConversation(facts.EndReason.CALLER_HUNG_UP) in effects


def test_a_voice_that_fails_for_good_ends_the_call_all_the_same() -> None:
    call = Call(evolve(POLICY, voice_retries=0))
    call.links_come_up()
    call.handle(LAST)
    assert do.CloseConversation(HANDED_OVER) in call.voice_fails()


def test_the_next_turn_is_answered_as_if_nothing_had_been_said() -> None:
    call = Call().listening(AUTOMATIC)
    call.handle(say())
    call.heard_all()
    call.handle(facts.SpeechStarted())
    call.handle(facts.SpeechStopped(700))
    call.deadline_passes()
    effects = call.final("hello")
    assert do.StartGeneration(2, (SYSTEM, user("hello"))) in effects
