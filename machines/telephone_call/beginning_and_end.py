"""How a call is placed and ended, and what its one outcome is."""

from __future__ import annotations

from machines.declarations import causes
from machines.driver import Chart
from machines.telephone_call.context import CallContext
from machines.telephone_call.effects import (
    CutConversation,
    EndConversation,
    HangUpCall,
    PlaceCall,
    RecordOutcome,
)
from machines.telephone_call.facts import (
    CallOutcome,
    CarrierEnded,
    ConversationEnded,
    PlacingFailed,
    TransferFailed,
)


class BeginningAndEnd(Chart[CallContext]):
    """Guards and actions on placing a call, ending it, and its outcome."""

    # --- guards ------------------------------------------------------------------------------------------

    def ended_by_carrier(self) -> bool:
        """The carrier has ended the call already."""
        return self.context.ended_by_carrier

    # --- actions -----------------------------------------------------------------------------------------

    @causes(PlaceCall)
    def place(self) -> None:
        """Have the carrier place the call."""
        self.context.effects.append(PlaceCall())

    @causes(EndConversation)
    def end_conversation(self) -> None:
        """Have the conversation end."""
        self.context.effects.append(EndConversation())

    @causes(CutConversation)
    def cut_conversation(self) -> None:
        """Have the conversation end now, whatever is being said."""
        self.context.effects.append(CutConversation())

    @causes(HangUpCall)
    def hang_up(self) -> None:
        """Have the carrier hang up."""
        self.context.effects.append(HangUpCall())

    @causes(RecordOutcome)
    def record(self) -> None:
        """Have the outcome recorded."""
        assert self.context.outcome is not None, "every path to the end notes the outcome"
        self.context.effects.append(RecordOutcome(self.context.outcome, self.context.reason))

    @causes()
    def note_failed_to_place(self, fact: PlacingFailed) -> None:
        """Outcome: the carrier did not place the call."""
        self.context.note(CallOutcome.FAILED, fact.message)

    @causes()
    def note_placing_late(self) -> None:
        """Outcome: the carrier did not take the call in time."""
        self.context.note(CallOutcome.FAILED, "the carrier did not take the call in time")

    @causes()
    def note_no_answer(self) -> None:
        """Outcome: nobody answered, and the carrier did not say so."""
        self.context.note(CallOutcome.NO_ANSWER, "nobody answered, and the carrier did not say so")

    @causes()
    def note_no_stream(self) -> None:
        """Outcome: the media stream was not opened in time."""
        self.context.note(CallOutcome.FAILED, "the media stream was not opened in time")

    @causes()
    def note_machine(self) -> None:
        """Outcome: a machine answered."""
        self.context.note(CallOutcome.MACHINE_ANSWERED)

    @causes()
    def note_stream_lost(self) -> None:
        """Outcome: the media stream did not come back after keys were pressed."""
        self.context.note(CallOutcome.FAILED, "the media stream did not come back after keys were pressed")

    @causes()
    def note_cancelled(self) -> None:
        """Outcome: cancelled before the conversation began."""
        self.context.note(CallOutcome.CANCELLED)

    @causes()
    def note_end(self, fact: ConversationEnded) -> None:
        """Outcome: completed, or failed if the conversation broke."""
        if fact.broken:
            self.context.note(CallOutcome.FAILED, "the conversation broke")
        self.note_completed()

    @causes()
    def note_completed(self) -> None:
        """Outcome: completed."""
        self.context.note(CallOutcome.COMPLETED)

    @causes()
    def note_handed_over(self) -> None:
        """Outcome: the caller was connected elsewhere."""
        self.context.note(CallOutcome.HANDED_OVER)

    @causes()
    def note_failed_to_transfer(self, fact: TransferFailed) -> None:
        """Outcome: the caller could not be connected elsewhere."""
        self.context.note(CallOutcome.FAILED, f"the caller could not be handed over: {fact.message}")

    @causes()
    def note_transfer_late(self) -> None:
        """Outcome: the carrier did not connect the caller elsewhere in time."""
        self.context.note(CallOutcome.FAILED, "the carrier did not connect the caller elsewhere in time")

    @causes()
    def note_carrier_outcome(self, fact: CarrierEnded) -> None:
        """Note the carrier's outcome, unless another one was noted before.

        The carrier says `completed` of every call that was answered. Without a conversation such a call
        failed.
        """
        put_through = fact.outcome is CallOutcome.COMPLETED
        if put_through and self.context.outcome is None:
            self.context.note(CallOutcome.FAILED, "the call ended before there was a conversation")
        self.context.note(fact.outcome)

    @causes()
    def note_carrier_ended(self) -> None:
        """Keep that the carrier has ended the call."""
        self.context.ended_by_carrier = True
