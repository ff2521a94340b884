"""The chart of a telephone call: from dialling, or from an incoming call, to its one outcome.

Each row is one transition: `source.to(target, cond=guard, on=[actions])`. The first row whose guard holds is
taken. Guards and actions are in `who_answered.py`, `keys_and_transfers.py` and `beginning_and_end.py`; what
is ignored, and why, in `ignored.py`; how long a state may last, in `deadlines.py`. `machine.py` puts all of
it together.
"""

from __future__ import annotations

from statemachine import State

from machines.declarations import stay
from machines.driver import Chart
from machines.telephone_call.context import CallContext


class CallChart(Chart[CallContext]):
    """DIALLING until somebody picks up, ANSWERED until the audio flows, then TALKING, ENDING and ENDED.

    A call with a text for answering machines is DETECTING before it is TALKING: nothing is said until the
    carrier has told who answered. While keys are pressed, the call has no media stream: the carrier closes it
    and opens another one.
    """

    idle = State(initial=True)

    class DIALLING(State.Compound):
        placing = State(initial=True)
        placed = State()
        ringing = State()

    ANSWERED = State()
    DETECTING = State()

    class TALKING(State.Compound):
        conversing = State(initial=True)
        pressing = State()
        screened = State()

    class ENDING(State.Compound):
        saying_goodbye = State(initial=True)
        handover = State()
        revoking = State()
        clearing = State()

    ENDED = State(final=True)

    placing, placed, ringing = DIALLING.placing, DIALLING.placed, DIALLING.ringing
    conversing, pressing, screened = TALKING.conversing, TALKING.pressing, TALKING.screened
    saying_goodbye, handover = ENDING.saying_goodbye, ENDING.handover
    revoking, clearing = ENDING.revoking, ENDING.clearing

    dialling = (placing, placed, ringing)
    before_stream = (*dialling, ANSWERED)
    before_conversation = (*before_stream, DETECTING)
    """The states in which there has been no conversation yet."""
    talking = (conversing, pressing, screened)
    ending = (saying_goodbye, handover, revoking, clearing)

    # --- the beginning ------------------------------------------------------------------------------------
    dial_wanted = idle.to(placing, on=["place"])
    call_offered = idle.to(ANSWERED)
    # The carrier's reports may come before its answer to the order.
    call_placed = placing.to(placed) | revoking.to(clearing, on=["hang_up"])
    placing_failed = ENDED.from_(placing, on=["note_failed_to_place", "record"]) | revoking.to(
        ENDED, on=["record"]
    )
    call_ringing = ringing.from_(placing, placed)
    call_answered = ANSWERED.from_(*dialling)
    machine_answered = (
        stay(conversing, cond="in_dialogue or message_left")
        | screened.from_(DETECTING, conversing, cond="may_be_screened", on=["introduce"])
        | stay(*before_stream, cond="leaves_message", on=["note_who"])
        | conversing.from_(DETECTING, cond="leaves_message", on=["note_machine", "leave_message"])
        | stay(conversing, cond="leaves_message", on=["note_machine", "leave_message"])
        | clearing.from_(*before_conversation, unless="leaves_message", on=["note_machine", "hang_up"])
        | conversing.to(saying_goodbye, unless="leaves_message", on=["note_machine", "cut_conversation"])
    )
    human_answered = stay(*before_stream, on=["note_who"]) | DETECTING.to(
        conversing, on=["begin_conversation"]
    )
    stream_opened = (
        screened.from_(*before_stream, cond="introduction_due", on=["introduce"])
        | conversing.from_(*before_stream, cond="message_due", on=["note_machine", "leave_message"])
        | DETECTING.from_(*before_stream, cond="verdict_open")
        | conversing.from_(*before_stream, on=["begin_conversation"])
        | pressing.to(conversing)
    )

    # --- the conversation ---------------------------------------------------------------------------------
    words_heard = stay(conversing, on=["note_words"]) | screened.to(conversing, on=["note_words"])
    keys_wanted = conversing.to(pressing, on=["note_keys", "press_keys"])
    keys_failed = pressing.to(conversing, cond="stream_open") | stay(pressing, unless="stream_open")

    # --- the end ------------------------------------------------------------------------------------------
    transfer_wanted = stay(*talking, on=["note_transfer", "say_last_words"])
    conversation_ended = (
        handover.from_(*talking, cond="somebody_takes_over", on=["transfer"])
        | DETECTING.to(clearing, on=["note_end", "hang_up"])
        | screened.to(clearing, unless="somebody_takes_over", on=["note_machine", "hang_up"])
        | clearing.from_(conversing, pressing, unless="somebody_takes_over", on=["note_end", "hang_up"])
        | saying_goodbye.to(ENDED, cond="ended_by_carrier", on=["note_end", "record"])
        | saying_goodbye.to(clearing, unless="ended_by_carrier", on=["note_end", "hang_up"])
    )
    call_transferred = handover.to(ENDED, on=["note_handed_over", "record"])
    transfer_failed = handover.to(clearing, on=["note_failed_to_transfer", "hang_up"])
    hang_up_wanted = (
        placing.to(revoking, on=["note_cancelled"])
        | clearing.from_(placed, ringing, ANSWERED, DETECTING, on=["note_cancelled", "hang_up"])
        | saying_goodbye.from_(*talking, on=["end_conversation"])
        | stay(saying_goodbye, on=["cut_conversation"])
    )
    carrier_ended = (
        ENDED.from_(*before_conversation, revoking, clearing, on=["note_carrier_outcome", "record"])
        | screened.to(saying_goodbye, on=["note_machine", "note_carrier_ended", "cut_conversation"])
        | saying_goodbye.from_(conversing, pressing, on=["note_carrier_ended", "cut_conversation"])
        | stay(saying_goodbye, on=["note_carrier_ended", "cut_conversation"])
        | handover.to(ENDED, on=["note_completed", "record"])
    )
    call_abandoned = ENDED.from_(*before_conversation, on=["note_cancelled", "record"]) | ENDED.from_(
        *talking, *ending, on=["note_completed", "record"]
    )
    call_deadline_passed = (
        placing.to(revoking, on=["note_placing_late"])
        | clearing.from_(placed, ringing, on=["note_no_answer", "hang_up"])
        | ANSWERED.to(clearing, on=["note_no_stream", "hang_up"])
        | DETECTING.to(conversing, on=["begin_conversation"])
        | pressing.to(saying_goodbye, on=["note_stream_lost", "cut_conversation"])
        | screened.to(saying_goodbye, on=["note_machine", "end_conversation"])
        | saying_goodbye.to(ENDED, cond="ended_by_carrier", on=["note_completed", "record"])
        | saying_goodbye.to(clearing, unless="ended_by_carrier", on=["note_completed", "hang_up"])
        | handover.to(clearing, on=["note_transfer_late", "hang_up"])
        | ENDED.from_(revoking, clearing, on=["record"])
    )
