"""What the conversation ignores: pairs of a state and a fact that change nothing, each with its reason.

If the chart has guarded transitions for the pair too, it is ignored when none of the guards holds.
"""

from __future__ import annotations

from machines.conversation.chart import ConversationChart as Chart
from machines.declarations import Ignored, ignored

IGNORED: tuple[Ignored, ...] = (
    *ignored(
        "link_up link_lost preferred_provider_recovered interrupt_requested speech_started speech_stopped"
        " transcript_interim transcript_final transcription_failed eager_end_of_turn turn_resumed"
        " say_requested digit_pressed turn_scored end_of_turn segment_ready generation_alive"
        " generation_finished generation_failed language_changed",
        Chart.ending,
        because="the conversation is over",
    ),
    *ignored("tool_finished", (Chart.ended,), because="the conversation is over"),
    *ignored("tool_finished", (Chart.connecting,), because="the model has not been asked yet"),
    *ignored(
        "link_down hung_up segment_voiced playback_at playback_finished synthesis_failed",
        (Chart.closing, Chart.ended),
        because="the conversation is over",
    ),
    *ignored(
        "recording_started recording_stopped deadline_passed everything_closed",
        (Chart.ended,),
        because="the conversation is over",
    ),
    *ignored("link_down", (Chart.saying_goodbye,), because="the last words need text to speech only"),
    *ignored(
        "everything_closed",
        (Chart.connecting, *Chart.in_conversation, Chart.saying_goodbye),
        because="the conversation was not told to close",
    ),
    *ignored("interrupt_requested", (Chart.connecting, *Chart.listening), because="nothing is being said"),
    *ignored(
        "say_requested",
        (Chart.connecting, *Chart.in_conversation),
        because="as many host utterances as allowed are waiting already",
    ),
    *ignored(
        "speech_started speech_stopped",
        (Chart.connecting,),
        because="no turn has begun",
    ),
    *ignored(
        "speech_started speech_stopped eager_end_of_turn turn_resumed end_of_turn turn_scored",
        (Chart.keypad,),
        because="the caller presses keys, and voice does not count meanwhile",
    ),
    *ignored("speech_started", (Chart.hearing, Chart.paused), because="the caller is speaking already"),
    *ignored(
        "speech_started",
        (Chart.finalizing, *Chart.thinking, Chart.speaking),
        because="in manual mode voice decides nothing",
    ),
    *ignored(
        "speech_stopped",
        (Chart.quiet, Chart.endpointing, Chart.speculating, Chart.finalizing, Chart.confirming),
        because="the caller is silent already",
    ),
    *ignored(
        "speech_stopped",
        (*Chart.thinking, Chart.speaking),
        because="the caller was not known to be speaking",
    ),
    *ignored(
        "transcript_interim eager_end_of_turn turn_resumed end_of_turn turn_scored",
        (Chart.connecting,),
        because="no turn has begun",
    ),
    *ignored(
        "transcript_interim eager_end_of_turn end_of_turn",
        (*Chart.thinking, Chart.speaking),
        because="words of the next turn do not count yet",
    ),
    *ignored("turn_resumed", Chart.answering, because="no end of the turn was expected"),
    *ignored(
        "turn_scored",
        (Chart.quiet, Chart.hearing, Chart.finalizing, *Chart.answering),
        because="the turn model's score matters only while a pause may end the turn",
    ),
    *ignored("eager_end_of_turn turn_resumed", (Chart.finalizing,), because="the turn is over already"),
    *ignored("turn_resumed", (Chart.quiet, Chart.hearing), because="no end of the turn was expected"),
    *ignored("turn_resumed", (Chart.endpointing,), because="in manual mode the caller ends the turn"),
    *ignored(
        "end_of_turn",
        (Chart.finalizing, Chart.confirming),
        because="the final transcript of the turn is awaited",
    ),
    *ignored("end_of_turn", (Chart.quiet,), because="nothing was understood, or the caller ends the turn"),
    *ignored(
        "end_of_turn", (Chart.hearing, Chart.endpointing), because="in manual mode the caller ends the turn"
    ),
    *ignored(
        "transcript_final",
        (
            Chart.connecting,
            *Chart.turn_is_open,
            Chart.speculating,
            Chart.keypad,
            *Chart.thinking,
            Chart.speaking,
            Chart.paused,
        ),
        because="no final transcript is awaited",
    ),
    *ignored("transcription_failed", (Chart.connecting,), because="no turn has begun"),
    *ignored(
        "segment_ready generation_alive generation_finished generation_failed",
        (Chart.connecting, *Chart.without_speculation, Chart.retrying, Chart.running_tools),
        because="nothing is being generated",
    ),
    *ignored("segment_ready", Chart.responding, because="the answer holds this segment already"),
    *ignored(
        "segment_voiced playback_at playback_finished synthesis_failed",
        (Chart.connecting, *Chart.listening, *Chart.thinking),
        because="nothing is being said",
    ),
    *ignored("deadline_passed", (Chart.quiet,), because="the policy lets this caller be quiet for ever"),
)
