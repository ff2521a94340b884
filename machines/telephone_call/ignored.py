"""What a telephone call ignores: pairs of a state and a fact that change nothing, each with its reason."""

from __future__ import annotations

from machines.declarations import Ignored, ignored
from machines.telephone_call.chart import CallChart as Chart

IGNORED: tuple[Ignored, ...] = (
    *ignored(
        "call_placed placing_failed call_ringing call_answered machine_answered human_answered"
        " stream_opened words_heard keys_wanted keys_failed conversation_ended transfer_wanted"
        " call_transferred transfer_failed hang_up_wanted carrier_ended call_abandoned"
        " call_deadline_passed",
        (Chart.idle,),
        because="there is no call yet",
    ),
    *ignored(
        "dial_wanted call_offered",
        (*Chart.before_conversation, *Chart.talking, *Chart.ending, Chart.ENDED),
        because="there is a call already",
    ),
    *ignored(
        "call_placed placing_failed",
        (
            Chart.placed,
            Chart.ringing,
            Chart.ANSWERED,
            Chart.DETECTING,
            *Chart.talking,
            Chart.saying_goodbye,
            Chart.handover,
            Chart.clearing,
        ),
        because="the carrier has accepted the order already",
    ),
    *ignored(
        "call_ringing",
        (Chart.ringing, Chart.ANSWERED, Chart.DETECTING, *Chart.talking, *Chart.ending),
        because="the call is further than that",
    ),
    *ignored(
        "call_answered",
        (Chart.ANSWERED, Chart.DETECTING, *Chart.talking, *Chart.ending),
        because="the call is further than that",
    ),
    *ignored(
        "machine_answered human_answered stream_opened words_heard keys_wanted keys_failed",
        Chart.ending,
        because="the call is being ended",
    ),
    *ignored(
        "hang_up_wanted", (Chart.handover, Chart.revoking, Chart.clearing), because="the call is being ended"
    ),
    *ignored("human_answered", Chart.talking, because="whoever answered is talked to already"),
    *ignored("machine_answered", (Chart.pressing, Chart.screened), because="it is known what answered"),
    *ignored(
        "stream_opened",
        (Chart.DETECTING, Chart.conversing, Chart.screened),
        because="the call has its stream already",
    ),
    *ignored("words_heard", Chart.before_conversation, because="no conversation is under way"),
    *ignored("words_heard", (Chart.pressing,), because="keys are pressed because of them"),
    *ignored("keys_wanted", Chart.before_conversation, because="no conversation is under way"),
    *ignored("keys_wanted", (Chart.pressing,), because="other keys are being pressed"),
    *ignored("keys_wanted", (Chart.screened,), because="somebody, or nobody, is about to answer"),
    *ignored(
        "keys_failed",
        (*Chart.before_conversation, Chart.conversing, Chart.screened),
        because="no keys are being pressed",
    ),
    *ignored(
        "conversation_ended",
        (*Chart.before_stream, Chart.handover, Chart.revoking, Chart.clearing),
        because="no conversation is under way",
    ),
    *ignored(
        "transfer_wanted", (*Chart.before_conversation, *Chart.ending), because="no conversation is under way"
    ),
    *ignored(
        "call_transferred transfer_failed",
        (*Chart.before_conversation, *Chart.talking, Chart.saying_goodbye, Chart.revoking, Chart.clearing),
        because="no transfer is under way",
    ),
    *ignored("call_deadline_passed", (Chart.conversing,), because="no deadline is armed"),
    *ignored(
        "call_placed placing_failed call_ringing call_answered machine_answered human_answered"
        " stream_opened words_heard keys_wanted keys_failed conversation_ended transfer_wanted"
        " call_transferred transfer_failed hang_up_wanted carrier_ended call_abandoned"
        " call_deadline_passed",
        (Chart.ENDED,),
        because="the call is over, and its outcome is recorded",
    ),
)
