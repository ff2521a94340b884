"""The telephone call: from dialling, or from its offer, to its one outcome.

It is coupled to the conversation by facts only: a stream that opens begins one (`BeginConversation`), the end
of the conversation hangs up, or has a person go on (`TransferCall`), and a call that the carrier ends, or
somebody wants ended, ends the conversation first (`EndConversation`). Its facts and effects concern no
conversation's machine, so they are declared here, beside the chart.
"""

from __future__ import annotations

import enum
from typing import Any, ClassVar

from attrs import Factory, define, field, frozen
from statemachine import State

from machines.declarations import Ignored, causes, ignored, stay
from machines.driver import Chart
from machines.effects import Effect
from machines.facts import Fact

# --- policy -----------------------------------------------------------------------------------------------


@frozen
class CallPolicy:
    """How long each part of a call that is no conversation may last. Times in ms."""

    placing_timeout_ms: float = 15_000
    """The carrier takes the order to dial within this; its adapter gives up sooner."""
    ringing_timeout_ms: float = 75_000
    """The carrier reports an answer, or that there is none, within this: it gives up sooner by itself."""
    stream_timeout_ms: float = 15_000
    """The media stream of a call that was answered is opened within this."""
    goodbye_timeout_ms: float = 10_000
    """A conversation that was told to end has ended within this."""
    transfer_timeout_ms: float = 15_000
    """The carrier connects the caller elsewhere within this; its adapter gives up sooner."""
    hang_up_timeout_ms: float = 10_000
    """The carrier says that the call is over within this after it was told to hang up."""


class CallOutcome(enum.Enum):
    """How a call ended. The value is what logs and clients see."""

    COMPLETED = "completed"
    """There was a conversation, and it ended."""
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    FAILED = "failed"
    """It could not be placed, or its conversation broke."""
    CANCELLED = "cancelled"
    """Whoever placed it hung up before there was a conversation."""
    MACHINE_ANSWERED = "machine_answered"
    HANDED_OVER = "handed_over"
    """There was a conversation, and the carrier connects the caller to somebody else after it."""


# --- facts ------------------------------------------------------------------------------------------------


@frozen
class DialWanted(Fact):
    """A call to somebody is to be made."""


@frozen
class CallOffered(Fact):
    """Somebody calls, and is put through."""


@frozen
class CallPlaced(Fact):
    """The carrier has taken the order to dial, and has given the call a name."""


@frozen
class PlacingFailed(Fact):
    """The carrier has not taken it, or could not be asked."""

    message: str


@frozen
class CallRinging(Fact):
    """It rings at the other side."""


@frozen
class CallAnswered(Fact):
    """Somebody, or something, has picked up."""


@frozen
class MachineAnswered(Fact):
    """The carrier takes what picked up for an answering machine, and nobody wants to talk to one."""


@frozen
class StreamOpened(Fact):
    """The call's media stream is open: there can be a conversation."""


@frozen
class ConversationEnded(Fact):
    """The conversation is over, to the last mark, and its media stream is closed."""

    broken: bool = False
    """By a fault of ours, or because there was no room for it."""
    handed_over: bool = False
    """A person is to go on with it. Its media stream is still open: the carrier closes it when it connects
    the caller elsewhere."""


@frozen
class TransferWanted(Fact):
    """Whoever runs the server wants the caller connected to `to`, after these last words."""

    to: str
    text: str


@frozen
class CallTransferred(Fact):
    """The carrier connects the caller elsewhere."""


@frozen
class TransferFailed(Fact):
    """It does not, or could not be asked."""

    message: str


@frozen
class HangUpWanted(Fact):
    """Whoever placed the call, or the server that stops, wants it ended."""


@frozen
class CarrierEnded(Fact):
    """The carrier says that the call is over."""

    outcome: CallOutcome


@frozen
class CallAbandoned(Fact):
    """The server goes: nobody will be there to hear more of the call."""


@frozen
class CallDeadlinePassed(Fact):
    """The deadline that the call armed under this number has passed."""

    number: int


# --- effects ----------------------------------------------------------------------------------------------


@frozen
class PlaceCall(Effect):
    """Have the carrier dial."""


@frozen
class BeginConversation(Effect):
    """Converse over the stream that has been opened."""


@frozen
class EndConversation(Effect):
    """Let the conversation say what is being said, and end."""


@frozen
class SayLastWords(Effect):
    """Have the conversation say this, then end as handed over."""

    text: str


@frozen
class TransferCall(Effect):
    """Have the carrier connect the caller to `to`."""

    to: str


@frozen
class HangUpCall(Effect):
    """Have the carrier end the call."""


@frozen
class RecordOutcome(Effect):
    """The call is over: keep how it ended. Asked for exactly once."""

    outcome: CallOutcome
    reason: str


@frozen
class ArmCallDeadline(Effect):
    """Report `CallDeadlinePassed(number)` in `delay_ms`; replaces the deadline armed before."""

    number: int
    delay_ms: float


@frozen
class DisarmCallDeadline(Effect):
    """Forget the armed deadline."""


# --- the machine ------------------------------------------------------------------------------------------


@define
class CallContext:
    """The call's memory."""

    policy: CallPolicy = field(factory=CallPolicy)
    state: Any = None
    effects: list[Effect] = Factory(list)
    outcome: CallOutcome | None = None
    """What the call will have been, as far as that is known: the first that is noted counts."""
    reason: str = ""
    """More about it, for people."""
    transfer_to: str = ""
    """The number of whoever takes over from the conversation; none: nobody."""
    ended_by_carrier: bool = False
    """The carrier has ended it; the conversation has not."""
    deadline_number: int = 0
    deadline_armed: int | None = None


class Call(Chart[CallContext]):
    """DIALLING until somebody picks up, ANSWERED until the audio flows, then TALKING, ENDING and ENDED."""

    idle = State(initial=True)

    class DIALLING(State.Compound):
        placing = State(initial=True)
        placed = State()
        ringing = State()

    ANSWERED = State()
    TALKING = State()

    class ENDING(State.Compound):
        saying_goodbye = State(initial=True)
        handover = State()
        revoking = State()
        clearing = State()

    ENDED = State(final=True)

    placing, placed, ringing = DIALLING.placing, DIALLING.placed, DIALLING.ringing
    saying_goodbye, handover = ENDING.saying_goodbye, ENDING.handover
    revoking, clearing = ENDING.revoking, ENDING.clearing

    dialling = (placing, placed, ringing)
    before_conversation = (*dialling, ANSWERED)
    """Nobody has been talked to."""
    ending = (saying_goodbye, handover, revoking, clearing)

    # --- the beginning ------------------------------------------------------------------------------------
    dial_wanted = idle.to(placing, on=["place"])
    call_offered = idle.to(ANSWERED)
    # What the carrier reports may come before its answer to the order.
    call_placed = placing.to(placed) | revoking.to(clearing, on=["hang_up"])
    placing_failed = ENDED.from_(placing, on=["note_failed_to_place", "record"]) | revoking.to(
        ENDED, on=["record"]
    )
    call_ringing = ringing.from_(placing, placed)
    call_answered = ANSWERED.from_(*dialling)
    machine_answered = clearing.from_(*before_conversation, on=["note_machine", "hang_up"]) | TALKING.to(
        saying_goodbye, on=["note_machine", "end_conversation"]
    )
    stream_opened = TALKING.from_(*before_conversation, on=["begin_conversation"])

    # --- the end ------------------------------------------------------------------------------------------
    transfer_wanted = stay(TALKING, on=["note_transfer", "say_last_words"])
    conversation_ended = (
        TALKING.to(handover, cond="somebody_takes_over", on=["transfer"])
        | TALKING.to(clearing, unless="somebody_takes_over", on=["note_end", "hang_up"])
        | saying_goodbye.to(ENDED, cond="ended_by_carrier", on=["note_end", "record"])
        | saying_goodbye.to(clearing, unless="ended_by_carrier", on=["note_end", "hang_up"])
    )
    call_transferred = handover.to(ENDED, on=["note_handed_over", "record"])
    transfer_failed = handover.to(clearing, on=["note_failed_to_transfer", "hang_up"])
    hang_up_wanted = (
        placing.to(revoking, on=["note_cancelled"])
        | clearing.from_(placed, ringing, ANSWERED, on=["note_cancelled", "hang_up"])
        | TALKING.to(saying_goodbye, on=["end_conversation"])
    )
    carrier_ended = (
        ENDED.from_(*before_conversation, revoking, clearing, on=["note_carrier_outcome", "record"])
        | TALKING.to(saying_goodbye, on=["note_carrier_ended", "end_conversation"])
        | stay(saying_goodbye, on=["note_carrier_ended"])
        | handover.to(ENDED, on=["note_completed", "record"])
    )
    call_abandoned = ENDED.from_(*before_conversation, on=["note_cancelled", "record"]) | ENDED.from_(
        TALKING, *ending, on=["note_completed", "record"]
    )
    call_deadline_passed = (
        placing.to(revoking, on=["note_placing_late"])
        | clearing.from_(placed, ringing, on=["note_no_answer", "hang_up"])
        | ANSWERED.to(clearing, on=["note_no_stream", "hang_up"])
        | saying_goodbye.to(ENDED, cond="ended_by_carrier", on=["note_completed", "record"])
        | saying_goodbye.to(clearing, unless="ended_by_carrier", on=["note_completed", "hang_up"])
        | handover.to(clearing, on=["note_transfer_late", "hang_up"])
        | ENDED.from_(revoking, clearing, on=["record"])
    )

    IGNORED: ClassVar[tuple[Ignored, ...]] = (
        *ignored(
            "call_placed placing_failed call_ringing call_answered machine_answered stream_opened"
            " conversation_ended transfer_wanted call_transferred transfer_failed hang_up_wanted"
            " carrier_ended call_abandoned call_deadline_passed",
            (idle,),
            because="there is no call yet",
        ),
        *ignored(
            "dial_wanted call_offered",
            (*dialling, ANSWERED, TALKING, *ending, ENDED),
            because="there is a call already",
        ),
        *ignored(
            "call_placed placing_failed",
            (placed, ringing, ANSWERED, TALKING, saying_goodbye, handover, clearing),
            because="the carrier is known to have it",
        ),
        *ignored(
            "call_ringing", (ringing, ANSWERED, TALKING, *ending), because="the call is further than that"
        ),
        *ignored("call_answered", (ANSWERED, TALKING, *ending), because="the call is further than that"),
        *ignored("machine_answered stream_opened hang_up_wanted", ending, because="the call is being ended"),
        *ignored("stream_opened", (TALKING,), because="there is one stream"),
        *ignored(
            "conversation_ended",
            (*before_conversation, handover, revoking, clearing),
            because="there is no conversation",
        ),
        *ignored("transfer_wanted", (*before_conversation, *ending), because="there is nobody to hand over"),
        *ignored(
            "call_transferred transfer_failed",
            (*before_conversation, TALKING, saying_goodbye, revoking, clearing),
            because="nobody is being handed over (any more)",
        ),
        *ignored("call_deadline_passed", (TALKING,), because="no deadline is armed"),
        *ignored(
            "call_placed placing_failed call_ringing call_answered machine_answered stream_opened"
            " conversation_ended transfer_wanted call_transferred transfer_failed hang_up_wanted"
            " carrier_ended call_abandoned call_deadline_passed",
            (ENDED,),
            because="the call is over, and its outcome is recorded",
        ),
    )

    # --- guards -------------------------------------------------------------------------------------------

    def ended_by_carrier(self) -> bool:
        """The carrier has ended the call already."""
        return self.context.ended_by_carrier

    def somebody_takes_over(self, fact: ConversationEnded) -> bool:
        """It is a person's turn, and there is one."""
        return fact.handed_over and bool(self.context.transfer_to)

    # --- actions ------------------------------------------------------------------------------------------

    @causes(PlaceCall)
    def place(self) -> None:
        self.context.effects.append(PlaceCall())

    @causes(BeginConversation)
    def begin_conversation(self) -> None:
        self.context.effects.append(BeginConversation())

    @causes(EndConversation)
    def end_conversation(self) -> None:
        self.context.effects.append(EndConversation())

    @causes(SayLastWords)
    def say_last_words(self, fact: TransferWanted) -> None:
        self.context.effects.append(SayLastWords(fact.text))

    @causes(TransferCall)
    def transfer(self) -> None:
        self.context.effects.append(TransferCall(self.context.transfer_to))

    @causes(HangUpCall)
    def hang_up(self) -> None:
        self.context.effects.append(HangUpCall())

    @causes(RecordOutcome)
    def record(self) -> None:
        assert self.context.outcome is not None, "every way to the end notes what it was"
        self.context.effects.append(RecordOutcome(self.context.outcome, self.context.reason))

    @causes()
    def note_failed_to_place(self, fact: PlacingFailed) -> None:
        self._note(CallOutcome.FAILED, fact.message)

    @causes()
    def note_placing_late(self) -> None:
        self._note(CallOutcome.FAILED, "the carrier did not take the call in time")

    @causes()
    def note_no_answer(self) -> None:
        self._note(CallOutcome.NO_ANSWER, "nobody answered, and the carrier did not say so")

    @causes()
    def note_no_stream(self) -> None:
        self._note(CallOutcome.FAILED, "the media stream was not opened in time")

    @causes()
    def note_machine(self) -> None:
        self._note(CallOutcome.MACHINE_ANSWERED)

    @causes()
    def note_cancelled(self) -> None:
        self._note(CallOutcome.CANCELLED)

    @causes()
    def note_end(self, fact: ConversationEnded) -> None:
        if fact.broken:
            self._note(CallOutcome.FAILED, "the conversation broke")
        self.note_completed()

    @causes()
    def note_completed(self) -> None:
        self._note(CallOutcome.COMPLETED)

    @causes()
    def note_transfer(self, fact: TransferWanted) -> None:
        self.context.transfer_to = fact.to

    @causes()
    def note_handed_over(self) -> None:
        self._note(CallOutcome.HANDED_OVER)

    @causes()
    def note_failed_to_transfer(self, fact: TransferFailed) -> None:
        self._note(CallOutcome.FAILED, f"the caller could not be handed over: {fact.message}")

    @causes()
    def note_transfer_late(self) -> None:
        self._note(CallOutcome.FAILED, "the carrier did not connect the caller elsewhere in time")

    @causes()
    def note_carrier_outcome(self, fact: CarrierEnded) -> None:
        """What the carrier says, unless we know better; it calls a call completed that it put through."""
        put_through = fact.outcome is CallOutcome.COMPLETED
        if put_through and self.context.outcome is None:
            self._note(CallOutcome.FAILED, "the call ended before there was a conversation")
        self._note(fact.outcome)

    @causes()
    def note_carrier_ended(self) -> None:
        self.context.ended_by_carrier = True

    def _note(self, outcome: CallOutcome, reason: str = "") -> None:
        if self.context.outcome is None:
            self.context.outcome, self.context.reason = outcome, reason

    # --- what the driver asks -----------------------------------------------------------------------------

    def stale(self, fact: Fact) -> str | None:
        """Why `fact` speaks of something no longer current; None if it does not."""
        if isinstance(fact, CallDeadlinePassed) and fact.number != self.context.deadline_armed:
            return f"deadline {fact.number} is not armed"
        return None

    def deadline_ms(self, state: str, at_ms: float) -> float | None:
        """How long `state` may last; None for a conversation, which has limits of its own."""
        del at_ms
        policy = self.context.policy
        return {
            "placing": policy.placing_timeout_ms,
            "placed": policy.ringing_timeout_ms,
            "ringing": policy.ringing_timeout_ms,
            "ANSWERED": policy.stream_timeout_ms,
            "saying_goodbye": policy.goodbye_timeout_ms,
            "handover": policy.transfer_timeout_ms,
            "revoking": policy.placing_timeout_ms,
            "clearing": policy.hang_up_timeout_ms,
        }.get(state)
