"""The telephone's keys: what they interrupt, when a string of them is complete, and what becomes of it."""

from __future__ import annotations

import pytest
from attrs import evolve

from machines import effects as do
from machines import facts
from machines.declarations import Outcome
from machines.effects import StopCause
from machines.facts import ErrorClass, Role
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
    Call,
    asked,
    effects_of,
    reopened,
)

BUSY = facts.ProviderFailure(ErrorClass.TRANSIENT, "busy")
SPECULATING = evolve(POLICY, speculations=1)
PROTECTED = evolve(POLICY, barge_in=False)


def told(call: Call) -> list[str]:
    """The final transcripts that the caller's side was shown."""
    return [each.text for each in effects_of(call, do.NotifyTranscript) if each.is_final]  # type: ignore[attr-defined]


def press(call: Call, keys: str) -> list[do.Effect]:
    """Press one key after the other. Returns the effects of the last one."""
    return [call.happens(facts.DigitPressed(key), after_ms=200) for key in keys][-1]


# --- into it ----------------------------------------------------------------------------------------------


def in_state(state: str) -> Call:
    """A call in automatic mode in this state. The caller's words before were "hello"."""
    if state in ("speaking", "paused", "confirming"):
        call = Call().speaking("one two three.", mode=AUTOMATIC)
        call.voiced(0, "one", "two", "three.")
        call.plays()
        call.now += 50
        if state != "speaking":
            call.handle(facts.SpeechStarted())
        if state == "confirming":
            call.handle(facts.SpeechStopped(700))
    elif state in ("generating", "retrying"):
        call = Call(evolve(POLICY, llm_retry_delays_ms=(500,))).thinking(mode=AUTOMATIC)
        if state == "retrying":
            call.handle(facts.GenerationFailed(1, BUSY))
    else:
        call = Call(SPECULATING).listening(AUTOMATIC)
        if state != "quiet":
            call.handle(facts.SpeechStarted())
            call.handle(facts.TranscriptInterim(1, "hello"))
        if state in ("endpointing", "finalizing"):
            call.handle(facts.SpeechStopped(700))
        if state == "speculating":
            call.handle(facts.EagerEndOfTurn(1, "hello"))
        while state == "finalizing" and call.state != state:
            call.deadline_passes()
    assert call.state == state
    return call


@pytest.mark.parametrize(
    ("state", "said", "history"),
    [
        ("quiet", "", []),
        ("hearing", "", []),
        ("endpointing", "", []),
        ("speculating", "", []),
        ("finalizing", "hello ", []),
        ("generating", "hello ", []),
        ("retrying", "hello ", []),
        ("speaking", "", [("user", "hello"), ("assistant", "one two")]),
        ("paused", "", [("user", "hello"), ("assistant", "one two")]),
        ("confirming", "", [("user", "hello"), ("assistant", "one two")]),
    ],
)
def test_keys_are_the_callers_words_whatever_the_call_is_doing(
    state: str, said: str, history: list[tuple[str, str]]
) -> None:
    call = in_state(state)
    press(call, "1")
    assert call.state == "keypad"
    press(call, "23")
    assert call.state == "keypad"
    assert asked(call.deadline_passes()) == [f"{said}I pressed 1 2 3 on the keypad."]
    assert (call.state, call.history) == ("generating", history)
    call.answers("Thanks.")
    call.heard_all()
    assert call.history == [
        *history,
        ("user", f"{said}I pressed 1 2 3 on the keypad."),
        ("assistant", "Thanks."),
    ]


@pytest.mark.parametrize("state", ["speaking", "paused", "confirming"])
def test_a_key_cuts_an_answer_off_where_it_was_heard(state: str) -> None:
    effects = press(in_state(state), "1")
    assert do.StopSpeech(1, StopCause.INTERRUPTED) in effects
    [interrupted] = [each for each in effects if isinstance(each, do.NotifyInterrupted)]
    assert (interrupted.heard, interrupted.unheard) == ("one two", "three.")


@pytest.mark.parametrize("state", ["generating", "speculating"])
def test_a_key_cancels_the_answer_that_is_prepared(state: str) -> None:
    assert do.CancelGeneration(1) in press(in_state(state), "1")


def test_an_answer_of_which_nothing_was_heard_leaves_its_question_to_be_answered() -> None:
    call = Call().speaking("one two three.", mode=AUTOMATIC)
    press(call, "5")
    assert asked(call.deadline_passes()) == ["hello I pressed 5 on the keypad."]


def test_who_recorded_by_hand_can_press_keys_too_and_every_request_is_acknowledged() -> None:
    call = Call().finalizing(MANUAL)
    assert do.Acknowledge(STOP) in press(call, "7")
    assert call.happens(facts.RecordingStarted(MANUAL, START)) == [do.Acknowledge(START)]
    assert call.happens(facts.RecordingStopped(STOP)) == [do.Acknowledge(STOP)]
    assert asked(call.deadline_passes()) == ["I pressed 7 on the keypad."]


GREETING = "Good day."
NO_GREETING, GREETS = POLICY, evolve(POLICY, greeting=GREETING)
PROTECTED_GREETING = evolve(GREETS, barge_in_greeting=False)


@pytest.mark.parametrize("policy", [NO_GREETING, GREETS, PROTECTED_GREETING])
@pytest.mark.parametrize("early", ["4711#", "4711", "47", "4"])
@pytest.mark.parametrize("begun", [False, True], ids=["not recording", "recording"])
def test_keys_that_are_pressed_before_all_links_are_up_are_kept_and_told_whole(
    policy: ConversationPolicy, early: str, begun: bool
) -> None:
    call = Call(policy)
    if begun:
        call.handle(facts.RecordingStarted(AUTOMATIC))
    press(call, early)
    assert call.state == "connecting"
    call.links_come_up()
    if not begun:
        call.handle(facts.RecordingStarted(AUTOMATIC))
    effects = call.deadline_passes()
    if policy is PROTECTED_GREETING:
        assert (call.state, call.memory.answer.ledger.text()) == ("speaking", GREETING)
        call.voiced(0, "Good", "day.")
        call.plays()
    for key in "4711#"[len(early) :]:
        effects = press(call, key)
    if policy is PROTECTED_GREETING:
        call.heard_all()
        effects = call.deadline_passes()
    assert asked(effects) == ["I pressed 4 7 1 1 on the keypad."]
    assert told(call) == ["I pressed 4 7 1 1 on the keypad."]


def test_keys_before_all_links_are_up_without_an_end_wait_for_more_and_are_told() -> None:
    call = Call(GREETS)
    call.handle(facts.RecordingStarted(AUTOMATIC))
    press(call, "47")
    call.links_come_up()
    call.deadline_passes()
    assert call.state == "keypad"
    assert asked(call.deadline_passes()) == ["I pressed 4 7 on the keypad."]


def test_two_strings_of_keys_before_all_links_are_up_are_both_answered() -> None:
    call = Call(GREETS)
    press(call, "1#22#")
    call.links_come_up()
    assert asked(call.deadline_passes()) == ["I pressed 1 on the keypad."]
    call.answers("Thanks.")
    call.heard_all()
    assert asked(call.deadline_passes()) == ["I pressed 2 2 on the keypad."]


def test_a_caller_who_presses_keys_needs_no_greeting() -> None:
    call = Call(evolve(POLICY, greeting="Good day."))
    call.handle(facts.RecordingStarted(AUTOMATIC))
    call.links_come_up()
    press(call, "1")
    assert asked(call.deadline_passes()) == ["I pressed 1 on the keypad."]
    call.answers("Thanks.")
    call.heard_all()
    assert call.memory.deadline_armed is None


# --- when the string is complete --------------------------------------------------------------------------


def test_the_terminator_ends_the_string_at_once_and_is_no_part_of_it() -> None:
    call = in_state("quiet")
    assert asked(press(call, "42#")) == ["I pressed 4 2 on the keypad."]
    assert call.state == "generating"


def test_a_terminator_that_ends_nothing_is_a_key_like_any_other() -> None:
    call = in_state("quiet")
    press(call, "#")
    assert call.state == "keypad"
    assert asked(call.deadline_passes()) == ["I pressed # on the keypad."]


def test_another_key_can_be_the_terminator() -> None:
    call = Call(evolve(POLICY, digits_terminator="*")).listening(AUTOMATIC)
    assert asked(press(call, "1#*")) == ["I pressed 1 # on the keypad."]


def test_without_a_terminator_only_time_ends_the_string() -> None:
    call = Call(evolve(POLICY, digits_terminator="")).listening(AUTOMATIC)
    press(call, "1#")
    assert call.state == "keypad"
    assert asked(call.deadline_passes()) == ["I pressed 1 # on the keypad."]


def test_every_key_is_waited_after_anew() -> None:
    call = in_state("quiet")
    press(call, "1")
    first = call.memory.deadline_armed
    assert first is not None
    call.handle(facts.DigitPressed("2"), after_ms=2_900)
    call.handle(facts.DeadlinePassed(first), after_ms=100)
    assert (call.outcome(), call.state) == (Outcome.REFUSED, "keypad")
    [*_, arming] = [each for each in call.all_effects if isinstance(each, do.ArmDeadline)]
    assert arming.delay_ms == POLICY.digits_timeout_ms
    assert asked(call.deadline_passes()) == ["I pressed 1 2 on the keypad."]


def test_no_string_is_longer_than_the_longest() -> None:
    call = Call(evolve(POLICY, most_digits=3)).listening(AUTOMATIC)
    assert asked(press(call, "123")) == ["I pressed 1 2 3 on the keypad."]


def test_the_next_string_begins_empty() -> None:
    call = in_state("quiet")
    press(call, "42#")
    call.answers("And your PIN?")
    call.heard_all()
    assert asked(press(call, "7#")) == ["I pressed 7 on the keypad."]


def test_a_key_after_the_string_was_taken_joins_what_is_not_answered_yet() -> None:
    call = in_state("quiet")
    press(call, "42#")
    press(call, "7")
    assert asked(call.deadline_passes()) == ["I pressed 4 2 on the keypad. I pressed 7 on the keypad."]


# --- meanwhile --------------------------------------------------------------------------------------------


def test_the_callers_side_is_shown_what_was_pressed() -> None:
    call = in_state("quiet")
    press(call, "42#")
    assert told(call) == ["I pressed 4 2 on the keypad."]


@pytest.mark.parametrize(
    "fact",
    [
        facts.SpeechStarted(),
        facts.SpeechStopped(700),
        facts.TurnScored(1, 0.9),
        facts.EagerEndOfTurn(1, "hm"),
        facts.TurnResumed(1),
        facts.EndOfTurn(1, "hm", 0.9, 700),
    ],
)
def test_a_voice_does_not_end_the_string(fact: facts.Fact) -> None:
    call = in_state("quiet")
    press(call, "1")
    call.handle(fact)
    assert (call.outcome(), call.state) == (Outcome.IGNORED, "keypad")
    assert asked(press(call, "2#")) == ["I pressed 1 2 on the keypad."]


def test_what_is_said_meanwhile_is_shown_and_not_answered() -> None:
    call = in_state("quiet")
    press(call, "1")
    assert call.happens(facts.TranscriptInterim(1, "let me see")) == [
        do.NotifyTranscript(1, "let me see", 0.0, is_final=False, speech_ms=0.0)
    ]
    assert asked(call.deadline_passes()) == ["I pressed 1 on the keypad."]
    call.handle(facts.TranscriptFinal(1, "let me see"))
    assert call.outcome() is Outcome.REFUSED


def test_voice_that_goes_on_over_the_keys_is_not_part_of_the_next_turn() -> None:
    call = in_state("hearing")
    press(call, "1#")
    call.handle(facts.SpeechStopped(700))
    assert call.state == "generating"
    call.answers("Thanks.")
    call.heard_all()
    assert (call.state, call.memory.deadline_armed) == ("quiet", None)


def test_what_the_host_wants_said_waits_until_the_keys_are_answered() -> None:
    call = in_state("quiet")
    press(call, "1")
    assert call.happens(facts.SayRequested("Fire!", facts.SayMode.INTERRUPT)) == []
    assert call.state == "keypad"
    call.deadline_passes()
    call.answers("Thanks.")
    call.heard_all()
    effects = call.deadline_passes()
    assert [each.text for each in effects if isinstance(each, do.Speak)] == ["Fire!"]


# --- what may not be cut off ------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["generating", "speaking"])
def test_where_nothing_interrupts_keys_do_not_either(state: str) -> None:
    call = Call(PROTECTED).thinking(mode=AUTOMATIC)
    if state == "speaking":
        call.answers("Yes indeed.")
    effects = press(call, "1")
    assert (effects, call.state) == ([], state)


def test_a_notice_that_the_host_protects_is_heard_to_its_end() -> None:
    call = in_state("quiet")
    call.handle(facts.SayRequested("This call is recorded.", interruptible=False))
    assert press(call, "1") == []
    assert call.state == "speaking"
    call.heard_all()
    press(call, "2")
    assert asked(call.deadline_passes()) == ["I pressed 1 2 on the keypad."]


def test_a_protected_greeting_is_heard_to_its_end() -> None:
    call = Call(evolve(POLICY, greeting="Good day.", barge_in_greeting=False))
    call.handle(facts.RecordingStarted(AUTOMATIC))
    call.links_come_up()
    call.deadline_passes()
    assert press(call, "1") == []
    assert call.state == "speaking"


def test_a_key_during_goodbye_keeps_the_call() -> None:
    call = Call(evolve(POLICY, idle_after_ms=1_000, nudges=())).listening(AUTOMATIC)
    call.deadline_passes()
    assert call.memory.answer.end_after is facts.EndReason.IDLE
    press(call, "1")
    assert asked(call.deadline_passes()) == ["I pressed 1 on the keypad."]
    call.answers("Thanks.")
    call.heard_all()
    assert call.state == "quiet"


# --- trouble and the end ----------------------------------------------------------------------------------


@pytest.mark.parametrize("role", list(Role))
def test_a_link_that_is_lost_and_comes_back_does_not_touch_the_string(role: Role) -> None:
    call = in_state("quiet")
    press(call, "1")
    call.handle(facts.LinkFailed(role, 1, PASSING))
    assert call.state == "keypad"
    reopened(call, role)
    assert asked(press(call, "2#")) == ["I pressed 1 2 on the keypad."]


@pytest.mark.parametrize(
    ("role", "state"), [(Role.STT, "saying_goodbye"), (Role.LLM, "saying_goodbye"), (Role.TTS, "closing")]
)
def test_a_link_that_is_gone_ends_the_call_as_ever(role: Role, state: str) -> None:
    call = in_state("quiet")
    press(call, "1")
    call.handle(facts.LinkFailed(role, 1, FATAL))
    assert call.state == state


def test_speech_to_text_that_fails_meanwhile_is_replaced_and_the_string_goes_on() -> None:
    call = in_state("quiet")
    press(call, "1")
    assert do.CloseLink(Role.STT, 1) in call.happens(facts.TranscriptionFailed(1, PASSING))
    assert asked(press(call, "2#")) == ["I pressed 1 2 on the keypad."]


def test_who_hangs_up_in_the_middle_of_a_string_is_asked_nothing() -> None:
    call = in_state("quiet")
    press(call, "12")
    effects = call.happens(HUNG_UP)
    assert do.CloseConversation(facts.EndReason.CALLER_HUNG_UP) in effects
    assert (call.state, effects_of(call, do.StartGeneration)) == ("closing", [])
    call.handle(facts.DigitPressed("3"))
    assert call.outcome() is Outcome.IGNORED


# --- while the caller may not interrupt -------------------------------------------------------------------


def protected(state: str) -> Call:
    """A call whose caller may not interrupt, in this state."""
    call = Call(PROTECTED)
    if state == "generating":
        return call.thinking(mode=AUTOMATIC)
    call.speaking("one two three.", mode=AUTOMATIC)
    call.voiced(0, "one", "two", "three.")
    call.plays()
    return call


@pytest.mark.parametrize("state", ["generating", "speaking"])
@pytest.mark.parametrize("before", range(6))
def test_keys_over_the_end_of_what_may_not_be_interrupted_are_one_string(state: str, before: int) -> None:
    call = protected(state)
    if before:
        press(call, "4711#"[:before])
        assert call.state == state
    if state == "generating":
        call.answers("one two three.")
    call.heard_all()
    if before == 5:
        assert call.state == "quiet"
        effects = call.deadline_passes()
    elif before:
        call.deadline_passes()
        assert call.state == "keypad"
        effects = press(call, "4711#"[before:])
    else:
        effects = press(call, "4711#")
    assert asked(effects) == ["I pressed 4 7 1 1 on the keypad."]
    assert told(call)[-1:] == ["I pressed 4 7 1 1 on the keypad."]
    assert call.state == "generating"


def test_a_string_that_was_begun_meanwhile_is_complete_when_no_key_follows() -> None:
    call = protected("speaking")
    press(call, "47")
    call.heard_all()
    call.deadline_passes()
    assert call.state == "keypad"
    assert asked(call.deadline_passes()) == ["I pressed 4 7 on the keypad."]


def test_a_string_that_was_begun_meanwhile_goes_on_when_the_caller_speaks_in_between() -> None:
    call = protected("speaking")
    press(call, "47")
    call.heard_all()
    call.handle(facts.SpeechStarted())
    assert call.state == "hearing"
    assert asked(press(call, "11#")) == ["I pressed 4 7 1 1 on the keypad."]


def test_two_strings_that_come_meanwhile_are_both_answered() -> None:
    call = protected("speaking")
    press(call, "12#34#5")
    call.heard_all()
    call.deadline_passes()
    words = "I pressed 1 2 on the keypad. I pressed 3 4 on the keypad. I pressed 5 on the keypad."
    assert asked(call.deadline_passes()) == [words]


def test_voice_over_keys_that_come_meanwhile_is_understood_too() -> None:
    call = protected("speaking")
    call.handle(facts.SpeechStarted())
    press(call, "12#")
    turn = call.memory.turns.current
    call.handle(facts.SpeechStopped(700))
    call.handle(facts.TranscriptFinal(turn, "that is it"))
    call.heard_all()
    assert asked(call.deadline_passes()) == ["I pressed 1 2 on the keypad."]
