"""The telephone call: what each side is told, and that exactly one outcome is recorded."""

from __future__ import annotations

import pytest

from machines.declarations import Outcome, Step
from machines.driver import Driver
from machines.effects import Effect
from machines.facts import Fact
from machines.tables import CALL
from machines.telephone_call.context import CallContext
from machines.telephone_call.effects import (
    ArmCallDeadline,
    BeginConversation,
    CutConversation,
    DisarmCallDeadline,
    EndConversation,
    HangUpCall,
    LeaveMessage,
    PlaceCall,
    PressKeys,
    RecordOutcome,
    SayLastWords,
    TransferCall,
)
from machines.telephone_call.facts import (
    CallAbandoned,
    CallAnswered,
    CallDeadlinePassed,
    CallOffered,
    CallOutcome,
    CallPlaced,
    CallRinging,
    CallTransferred,
    CarrierEnded,
    ConversationEnded,
    DialWanted,
    HangUpWanted,
    HumanAnswered,
    KeysFailed,
    KeysWanted,
    MachineAnswered,
    PlacingFailed,
    StreamOpened,
    TransferFailed,
    TransferWanted,
    WordsHeard,
)
from machines.telephone_call.machine import TelephoneCall
from machines.telephone_call.policy import CallPolicy
from tests.machines.check.reachable import reachable_steps

CHART = TelephoneCall(CallContext())
TALKING = {state.id for state in TelephoneCall.talking}


class Story:
    """One call, and what became of it."""

    def __init__(self, context: CallContext | None = None) -> None:
        self.driver = Driver("call", CHART, context or CallContext(), ArmCallDeadline, DisarmCallDeadline)

    @property
    def state(self) -> str:
        return self.driver.state

    def happens(self, *facts: Fact) -> tuple[Effect, ...]:
        """The effects of the last one, without those about deadlines."""
        effects = [self.step(fact) for fact in facts][-1].effects
        return tuple(each for each in effects if not isinstance(each, ArmCallDeadline | DisarmCallDeadline))

    def step(self, fact: Fact) -> Step:
        return self.driver.handle(fact)

    def time_passes(self) -> tuple[Effect, ...]:
        number = self.driver.context.deadline_armed
        assert number is not None
        return self.happens(CallDeadlinePassed(number))


RINGS = (DialWanted(), CallPlaced(), CallRinging())
TALKS = (*RINGS, CallAnswered(), StreamOpened())


# --- outbound ---------------------------------------------------------------------------------------------


def test_a_call_that_is_answered_has_a_conversation_and_hangs_up_after_it() -> None:
    story = Story()
    assert story.happens(DialWanted()) == (PlaceCall(),)
    assert story.happens(CallPlaced(), CallRinging(), CallAnswered()) == ()
    assert story.happens(StreamOpened()) == (BeginConversation(),)
    assert story.happens(ConversationEnded()) == (HangUpCall(),)
    assert story.happens(CarrierEnded(CallOutcome.COMPLETED)) == (RecordOutcome(CallOutcome.COMPLETED, ""),)
    assert story.state == "ENDED"


@pytest.mark.parametrize(
    "outcome", [CallOutcome.BUSY, CallOutcome.NO_ANSWER, CallOutcome.FAILED, CallOutcome.CANCELLED]
)
def test_a_call_that_nobody_takes_ends_as_the_carrier_says(outcome: CallOutcome) -> None:
    assert Story().happens(*RINGS, CarrierEnded(outcome)) == (RecordOutcome(outcome, ""),)


def test_a_call_that_cannot_be_placed_has_failed_and_says_why() -> None:
    [effect] = Story().happens(DialWanted(), PlacingFailed("no such number"))
    assert effect == RecordOutcome(CallOutcome.FAILED, "no such number")


def test_a_stream_may_open_before_the_carrier_says_that_somebody_answered() -> None:
    story = Story()
    assert story.happens(*RINGS, StreamOpened()) == (BeginConversation(),)
    assert story.step(CallAnswered()).outcome is Outcome.IGNORED
    assert story.state == "conversing"


def test_what_the_carrier_reports_may_come_before_its_answer_to_the_order() -> None:
    story = Story()
    story.happens(DialWanted(), CallRinging(), CallPlaced())
    assert story.state == "ringing"


def test_a_call_that_is_put_through_and_never_heard_of_has_failed() -> None:
    story = Story()
    story.happens(*RINGS, CallAnswered())
    assert story.time_passes() == (HangUpCall(),)
    [effect] = story.happens(CarrierEnded(CallOutcome.COMPLETED))
    assert effect == RecordOutcome(CallOutcome.FAILED, "the media stream was not opened in time")


def test_a_caller_who_hangs_up_before_the_stream_opens_has_had_no_conversation() -> None:
    [effect] = Story().happens(CallOffered(), CarrierEnded(CallOutcome.COMPLETED))
    assert effect == RecordOutcome(CallOutcome.FAILED, "the call ended before there was a conversation")


# --- answering machines -----------------------------------------------------------------------------------

MESSAGE = "Please call us back."


def detecting() -> Story:
    return Story(CallContext(voicemail_text=MESSAGE))


def test_nothing_is_said_before_the_carrier_tells_who_answered() -> None:
    story = detecting()
    assert story.happens(*TALKS) == ()
    assert story.state == "DETECTING"
    assert story.happens(HumanAnswered()) == (BeginConversation(),)


def test_a_machine_that_records_gets_the_message_alone_and_is_hung_up_on() -> None:
    story = detecting()
    assert story.happens(*TALKS, MachineAnswered(records=True, beeped=True)) == (LeaveMessage(MESSAGE),)
    assert story.happens(ConversationEnded()) == (HangUpCall(),)
    [effect] = story.happens(CarrierEnded(CallOutcome.COMPLETED))
    assert effect == RecordOutcome(CallOutcome.MACHINE_ANSWERED, "")


@pytest.mark.parametrize(
    ("who", "begins"),
    [
        (HumanAnswered(), BeginConversation()),
        (MachineAnswered(records=True, beeped=True), LeaveMessage(MESSAGE)),
    ],
)
def test_the_verdict_may_come_before_the_stream(who: Fact, begins: Effect) -> None:
    assert detecting().happens(*RINGS, CallAnswered(), who, StreamOpened()) == (begins,)


def test_a_verdict_that_does_not_come_is_a_person_and_a_late_one_still_counts() -> None:
    story = detecting()
    story.happens(*TALKS)
    assert story.time_passes() == (BeginConversation(),)
    assert story.happens(MachineAnswered(records=True, beeped=True)) == (LeaveMessage(MESSAGE),)


@pytest.mark.parametrize("text", ["", MESSAGE])
def test_what_does_not_record_or_has_no_text_is_hung_up_on(text: str) -> None:
    story = Story(CallContext(voicemail_text=text))
    assert story.happens(*RINGS, CallAnswered(), MachineAnswered(records=not text)) == (HangUpCall(),)


def test_whoever_hangs_up_before_the_verdict_ends_the_call() -> None:
    assert detecting().happens(*TALKS, ConversationEnded()) == (HangUpCall(),)


# --- a person behind a machine ----------------------------------------------------------------------------

QUIET_MACHINE = MachineAnswered(records=True)
"""It has said something, and waits without a beep."""
SAID_AND_LISTENS = LeaveMessage(MESSAGE, listen=True)


@pytest.mark.parametrize("early", [True, False])
def test_who_has_the_call_screened_is_told_who_calls_and_then_talked_to(early: bool) -> None:
    story = detecting()
    if early:
        assert story.happens(*RINGS, CallAnswered(), QUIET_MACHINE, StreamOpened()) == (SAID_AND_LISTENS,)
    else:
        assert story.happens(*TALKS, QUIET_MACHINE) == (SAID_AND_LISTENS,)
    assert story.step(QUIET_MACHINE).outcome is Outcome.IGNORED
    assert story.happens(WordsHeard()) == ()
    assert story.state == "conversing"
    assert story.happens(ConversationEnded(), CarrierEnded(CallOutcome.COMPLETED)) == (
        RecordOutcome(CallOutcome.COMPLETED, ""),
    )


def test_where_nobody_takes_the_call_it_was_a_machine() -> None:
    story = detecting()
    story.happens(*TALKS, QUIET_MACHINE)
    assert story.time_passes() == (EndConversation(),)
    assert story.happens(ConversationEnded()) == (HangUpCall(),)
    [effect] = story.happens(CarrierEnded(CallOutcome.COMPLETED))
    assert effect == RecordOutcome(CallOutcome.MACHINE_ANSWERED, "")


def test_without_time_for_screening_every_machine_gets_the_message_alone() -> None:
    story = Story(CallContext(CallPolicy(screening_timeout_ms=0), voicemail_text=MESSAGE))
    assert story.happens(*TALKS, QUIET_MACHINE) == (LeaveMessage(MESSAGE),)


def test_the_text_for_machines_is_said_once() -> None:
    story = detecting()
    beeped = MachineAnswered(records=True, beeped=True)
    story.happens(*TALKS, beeped)
    assert story.happens(beeped) == ()
    assert story.state == "conversing"


@pytest.mark.parametrize("text", ["", MESSAGE])
def test_who_talks_with_us_is_a_person_whatever_the_carrier_says(text: str) -> None:
    story = Story(CallContext(voicemail_text=text))
    story.happens(*TALKS)
    if text:
        story.time_passes()
    story.happens(WordsHeard(), WordsHeard(answered=True))
    assert story.happens(MachineAnswered()) == ()
    assert story.state == "conversing"


def test_words_alone_are_no_dialogue_for_a_machine_says_some_too() -> None:
    story = Story()
    assert story.happens(*TALKS, WordsHeard(), MachineAnswered()) == (CutConversation(),)


# --- keys -------------------------------------------------------------------------------------------------

KEYS = "1w2"
PRESSES = (*TALKS, KeysWanted(KEYS))


def test_keys_are_pressed_and_the_conversation_goes_on_over_the_next_stream() -> None:
    story = Story()
    assert story.happens(*PRESSES) == (PressKeys(KEYS),)
    assert story.state == "pressing"
    assert story.happens(StreamOpened()) == ()
    assert story.state == "conversing"


def test_keys_that_are_not_pressed_leave_the_conversation_as_it_was() -> None:
    story = Story()
    story.happens(*PRESSES, KeysFailed(stream_open=True))
    assert story.state == "conversing"


def test_a_stream_that_does_not_come_back_ends_the_call_and_says_why() -> None:
    story = Story()
    story.happens(*PRESSES, KeysFailed(stream_open=False))
    assert story.state == "pressing"
    assert story.time_passes() == (CutConversation(),)
    assert story.happens(ConversationEnded()) == (HangUpCall(),)
    [effect] = story.happens(CarrierEnded(CallOutcome.COMPLETED))
    assert effect == RecordOutcome(
        CallOutcome.FAILED, "the media stream did not come back after keys were pressed"
    )


def test_the_carrier_has_more_time_for_more_keys() -> None:
    def deadline(keys: str) -> float:
        story = Story()
        story.happens(*TALKS)
        [armed] = [e for e in story.step(KeysWanted(keys)).effects if isinstance(e, ArmCallDeadline)]
        return armed.delay_ms

    assert deadline("1" * 11) - deadline("1") == 5000


def test_other_keys_wait_until_these_are_pressed() -> None:
    story = Story()
    story.happens(*PRESSES)
    assert story.step(KeysWanted("3")).outcome is Outcome.IGNORED


def test_whoever_hangs_up_while_keys_are_pressed_ends_the_call() -> None:
    story = Story()
    assert story.happens(*PRESSES, CarrierEnded(CallOutcome.COMPLETED)) == (CutConversation(),)
    assert story.happens(ConversationEnded()) == (RecordOutcome(CallOutcome.COMPLETED, ""),)


# --- hanging up -------------------------------------------------------------------------------------------


def test_clearing_while_it_rings_cancels() -> None:
    story = Story()
    assert story.happens(*RINGS, HangUpWanted()) == (HangUpCall(),)
    assert story.happens(CarrierEnded(CallOutcome.NO_ANSWER)) == (RecordOutcome(CallOutcome.CANCELLED, ""),)


def test_clearing_while_the_order_is_under_way_waits_for_the_calls_name() -> None:
    story = Story()
    assert story.happens(DialWanted(), HangUpWanted()) == ()
    assert story.state == "revoking"
    assert story.happens(CallPlaced()) == (HangUpCall(),)
    assert story.happens(CarrierEnded(CallOutcome.CANCELLED)) == (RecordOutcome(CallOutcome.CANCELLED, ""),)


def test_clearing_on_a_conversation_lets_it_say_goodbye() -> None:
    story = Story()
    assert story.happens(*TALKS, HangUpWanted()) == (EndConversation(),)
    assert story.happens(ConversationEnded()) == (HangUpCall(),)
    assert story.time_passes() == (RecordOutcome(CallOutcome.COMPLETED, ""),)


def test_who_hangs_up_again_does_not_wait_for_the_goodbye() -> None:
    story = Story()
    assert story.happens(*TALKS, HangUpWanted()) == (EndConversation(),)
    assert story.happens(HangUpWanted()) == (CutConversation(),)


def test_a_conversation_that_does_not_end_is_hung_up_on() -> None:
    story = Story()
    story.happens(*TALKS, HangUpWanted())
    assert story.time_passes() == (HangUpCall(),)


def test_a_caller_who_hangs_up_ends_the_conversation_and_nobody_need_hang_up_on_them() -> None:
    story = Story()
    assert story.happens(*TALKS, CarrierEnded(CallOutcome.COMPLETED)) == (CutConversation(),)
    assert story.happens(ConversationEnded()) == (RecordOutcome(CallOutcome.COMPLETED, ""),)


def test_a_conversation_that_breaks_makes_a_failed_call() -> None:
    story = Story()
    story.happens(*TALKS, ConversationEnded(broken=True))
    [effect] = story.happens(CarrierEnded(CallOutcome.COMPLETED))
    assert effect == RecordOutcome(CallOutcome.FAILED, "the conversation broke")


@pytest.mark.parametrize("before", [RINGS, (*RINGS, CallAnswered())])
def test_a_machine_is_hung_up_on_before_there_is_a_conversation(before: tuple[Fact, ...]) -> None:
    story = Story()
    assert story.happens(*before, MachineAnswered()) == (HangUpCall(),)
    assert story.happens(CarrierEnded(CallOutcome.COMPLETED)) == (
        RecordOutcome(CallOutcome.MACHINE_ANSWERED, ""),
    )


def test_a_machine_that_is_found_out_late_ends_the_conversation() -> None:
    story = Story()
    assert story.happens(*TALKS, MachineAnswered()) == (CutConversation(),)
    assert story.happens(ConversationEnded()) == (HangUpCall(),)
    assert story.time_passes() == (RecordOutcome(CallOutcome.MACHINE_ANSWERED, ""),)


def test_a_silent_carrier_ends_as_no_answer() -> None:
    story = Story()
    story.happens(*RINGS)
    assert story.time_passes() == (HangUpCall(),)
    [effect] = story.time_passes()
    assert isinstance(effect, RecordOutcome)
    assert effect.outcome is CallOutcome.NO_ANSWER


# --- handing over -----------------------------------------------------------------------------------------

THEM = "+15005557777"
WANTED = TransferWanted(THEM, "I connect you.")
HANDED_OVER = ConversationEnded(handed_over=True)


def test_a_transfer_says_its_last_words_and_then_connects_the_caller() -> None:
    story = Story()
    assert story.happens(*TALKS, WANTED) == (SayLastWords("I connect you."),)
    assert story.state == "conversing"
    assert story.happens(HANDED_OVER) == (TransferCall(THEM),)
    assert story.happens(CallTransferred()) == (RecordOutcome(CallOutcome.HANDED_OVER, ""),)
    assert story.step(CarrierEnded(CallOutcome.COMPLETED)).outcome is Outcome.IGNORED


def test_a_conversation_that_wants_a_person_by_itself_gets_whoever_is_there_for_that() -> None:
    assert Story(CallContext(transfer_to=THEM)).happens(*TALKS, HANDED_OVER) == (TransferCall(THEM),)


def test_where_nobody_is_there_the_call_ends() -> None:
    story = Story()
    assert story.happens(*TALKS, HANDED_OVER) == (HangUpCall(),)
    assert story.happens(CarrierEnded(CallOutcome.COMPLETED)) == (RecordOutcome(CallOutcome.COMPLETED, ""),)


@pytest.mark.parametrize("ended", [ConversationEnded(), ConversationEnded(broken=True)])
def test_a_conversation_that_ends_otherwise_is_hung_up_on(ended: ConversationEnded) -> None:
    assert Story(CallContext(transfer_to=THEM)).happens(*TALKS, ended) == (HangUpCall(),)


def test_a_transfer_that_the_carrier_refuses_ends_the_call_and_says_why() -> None:
    story = Story()
    assert story.happens(*TALKS, WANTED, HANDED_OVER, TransferFailed("no")) == (HangUpCall(),)
    [effect] = story.happens(CarrierEnded(CallOutcome.COMPLETED))
    assert effect == RecordOutcome(CallOutcome.FAILED, "the caller could not be handed over: no")


def test_a_transfer_that_the_carrier_does_not_answer_ends_the_call() -> None:
    story = Story()
    story.happens(*TALKS, WANTED, HANDED_OVER)
    assert story.time_passes() == (HangUpCall(),)
    [effect] = story.happens(CarrierEnded(CallOutcome.COMPLETED))
    assert isinstance(effect, RecordOutcome)
    assert effect.outcome is CallOutcome.FAILED


def test_a_caller_who_hangs_up_while_being_connected_has_had_a_conversation() -> None:
    story = Story()
    [effect] = story.happens(*TALKS, WANTED, HANDED_OVER, CarrierEnded(CallOutcome.COMPLETED))
    assert effect == RecordOutcome(CallOutcome.COMPLETED, "")


@pytest.mark.parametrize("before", [(), RINGS, (*TALKS, HangUpWanted())])
def test_nobody_is_handed_over_who_is_not_talked_to(before: tuple[Fact, ...]) -> None:
    story = Story()
    for fact in before:
        story.step(fact)
    assert story.step(WANTED).outcome is Outcome.IGNORED


# --- everything -------------------------------------------------------------------------------------------


def enabled_facts(context: CallContext) -> list[Fact]:
    """What can happen to a call now, late facts included."""
    return [
        DialWanted(),
        CallOffered(),
        CallPlaced(),
        PlacingFailed("no"),
        CallRinging(),
        CallAnswered(),
        *(MachineAnswered(records, beeped) for records in (False, True) for beeped in (False, records)),
        HumanAnswered(),
        StreamOpened(),
        *(WordsHeard(answered) for answered in (False, True)),
        KeysWanted(KEYS),
        *(KeysFailed(stream_open) for stream_open in (False, True)),
        *(ConversationEnded(broken) for broken in (False, True)),
        ConversationEnded(handed_over=True),
        TransferWanted(THEM, "One step."),
        CallTransferred(),
        TransferFailed("no"),
        HangUpWanted(),
        *(CarrierEnded(outcome) for outcome in CallOutcome),
        CallAbandoned(),
        *(CallDeadlinePassed((context.deadline_armed or 0) - late) for late in (0, 1)),
    ]


def key(context: CallContext) -> tuple[object, ...]:
    """Contexts of the same key behave the same."""
    armed = context.deadline_armed is not None
    return (
        str(context.state),
        context.outcome,
        context.transfer_to,
        context.ended_by_carrier,
        armed,
        context.answered_by,
        context.message_left,
        context.in_dialogue,
        context.keys,
    )


@pytest.mark.repeats
@pytest.mark.slow
def test_every_reachable_configuration_keeps_its_promises() -> None:
    def handle(context: CallContext, fact: Fact) -> Step:
        return Story(context).step(fact)

    beginning = Story(CallContext(voicemail_text=MESSAGE)).driver.context
    for step, after in reachable_steps(CALL, beginning, handle, enabled_facts, key):
        # The outcome is recorded exactly when the call ends.
        recorded = [each for each in step.effects if isinstance(each, RecordOutcome)]
        assert len(recorded) == (step.target == "ENDED" != step.source)
        # A conversation begins exactly when TALKING does, and is told to end before its call ends.
        began = step.target in TALKING and step.source not in TALKING
        begins = [each for each in step.effects if isinstance(each, BeginConversation | LeaveMessage)]
        assert bool(begins) == began or (step.source == "conversing" and begins != [BeginConversation()])
        assert len(begins) <= 1
        ends = {EndConversation(), CutConversation()} & set(step.effects)
        leaves = step.source in TALKING and step.target == "saying_goodbye"
        assert bool(ends) == (leaves or (step.source == step.target == "saying_goodbye" and bool(ends)))
        presses = step.target == "pressing" != step.source
        assert (PressKeys(KEYS) in step.effects) == presses
        assert (PlaceCall() in step.effects) == (step.target == "placing" != step.source)
        hangs_up = step.target == "clearing" != step.source
        assert (HangUpCall() in step.effects) == hangs_up
        # The caller is transferred exactly in handover, and only if there is a number.
        hands_over = step.target == "handover" != step.source
        assert (TransferCall(THEM) in step.effects) == hands_over
        # Every state has a deadline except that of the conversation, and those outside a call.
        assert (after.deadline_armed is not None) == (step.target not in ("idle", "conversing", "ENDED"))


def test_from_everywhere_deadlines_alone_lead_to_the_end() -> None:
    """From every state but conversing, which ends by itself, and idle, deadlines alone lead to the end."""
    for begins in (DialWanted(), CallOffered()):
        story = Story()
        story.happens(begins)
        for _ in range(5):
            if story.state != "ENDED":
                story.time_passes()
        assert story.state == "ENDED"
