"""Deadlines: how long each state of the conversation may last, which facts re-arm them, and their bounds."""

from __future__ import annotations

from machines.conversation import waiting
from machines.conversation.asking_early import words_stable_at
from machines.conversation.context import Context
from machines.conversation.due_times import (
    CALL_GRACE_MS,
    answer_over_at,
    calls_wait_ms,
    first_words_due_at,
    thinking_filler_due_at,
    wait_for_model_ms,
)
from machines.conversation.endpointing import WITHOUT_VOICE_MS, pause_over_at
from machines.policy import ConversationPolicy
from machines.tools import ToolPolicy

SIGNS_OF_LIFE = {
    "quiet": frozenset({"transcript_final", "recording_started", "say_requested"}),
    "endpointing": frozenset({"transcript_interim", "eager_end_of_turn", "turn_scored"}),
    "speculating": frozenset({"transcript_interim", "eager_end_of_turn", "turn_scored"}),
    "keypad": frozenset({"digit_pressed"}),
    "finalizing": frozenset({"deadline_passed", "transcription_failed"}),
    "generating": frozenset({"generation_alive", "deadline_passed"}),
    "running_tools": frozenset({"tool_finished"}),
    "speaking": frozenset(
        {
            "say_requested",
            "segment_ready",
            "generation_alive",
            "generation_finished",
            "generation_failed",
            "segment_voiced",
            "playback_at",
            "playback_finished",
            "synthesis_failed",
            "deadline_passed",
        }
    ),
    "confirming": frozenset({"transcript_final", "transcription_failed", "deadline_passed"}),
    "saying_goodbye": frozenset({"segment_voiced", "playback_at", "synthesis_failed", "deadline_passed"}),
}
"""Per state, the facts that re-arm its deadline."""

AFTER_AUDIO = frozenset({"speaking", "saying_goodbye"})
"""The states whose deadline counts from the end of the audio that is there to be played."""


def longest_ms(state: str, policy: ConversationPolicy) -> float | None:
    """The longest deadline that `state` can have, whatever the memory; None: the state may have none at all.

    In the states of `AFTER_AUDIO`, the audio that is left to play comes on top of it.
    """
    match state:
        case "connecting":
            return policy.connect_timeout_ms
        case "hearing":
            return policy.max_turn_ms
        case "endpointing" | "speculating":
            usual = max(policy.provider_endpoint_delay_ms, policy.endpoint_delay_ms + WITHOUT_VOICE_MS)
            return usual + policy.unfinished_delay_ms
        case "keypad":
            return policy.digits_timeout_ms
        case "finalizing" | "confirming":
            return policy.final_transcript_timeout_ms / 2
        case "generating":
            sign_due = max(policy.first_token_timeout_ms, policy.token_gap_timeout_ms)
            return min(policy.first_segment_timeout_ms, sign_due)
        case "retrying":
            # However long the model's server asks us to wait, a request that would be too late is not made.
            return policy.first_segment_timeout_ms if policy.llm_retry_delays_ms else 0.0
        case "running_tools":
            return max(tool.timeout_ms for tool in (ToolPolicy(""), *policy.tools)) + CALL_GRACE_MS
        case "speaking" | "saying_goodbye":
            return policy.speech_stall_timeout_ms
        case "paused":
            return max(policy.barge_in_min_ms, policy.barge_in_patience_ms)
        case "closing":
            return policy.close_timeout_ms
    return None


def deadline_ms(context: Context, state: str, at_ms: float) -> float | None:
    """How long `state` may last from `at_ms` on; None where only the caller is waited for."""
    policy = context.policy
    match state:
        case "connecting":
            return policy.connect_timeout_ms
        case "quiet":
            # Words that wait are answered at once, and keys that were begun are waited for.
            waits = (
                context.turns.queue
                or context.turns.digits
                or waiting.host_utterance_due(context)
                or waiting.idle_host_utterance_due(context)
            )
            if waits or waiting.greeting_due(context) or waiting.calls_due(context):
                return 0.0
            if context.turns.queued:
                return policy.final_transcript_timeout_ms
            if context.recording.automatic() and context.turns.speaking_on():
                return policy.max_turn_ms
            idle_limit_set = policy.idle_after_ms > 0
            return policy.idle_after_ms if idle_limit_set and context.recording.automatic() else None
        case "hearing":
            return policy.max_turn_ms
        case "endpointing":
            return max(0.0, min(pause_over_at(context, at_ms), words_stable_at(context)) - at_ms)
        case "speculating":
            return max(0.0, pause_over_at(context, at_ms) - at_ms)
        case "keypad":
            return policy.digits_timeout_ms
        case "finalizing":
            return policy.final_transcript_timeout_ms / 2
        case "generating":
            due_at = min(first_words_due_at(context), context.model_due_at(), thinking_filler_due_at(context))
            return max(0.0, due_at - at_ms)
        case "retrying":
            return wait_for_model_ms(context, context.answer.retry_after_ms)
        case "running_tools":
            return calls_wait_ms(context, at_ms)
        case "speaking":
            quiet_after = context.answer.ledger.remaining_ms(at_ms) + policy.speech_stall_timeout_ms
            if context.answer.generation_open is None:
                return quiet_after
            return max(0.0, min(quiet_after, min(answer_over_at(context), context.model_due_at()) - at_ms))
        case "paused":
            return policy.barge_in_min_ms if policy.barge_in_min_words == 0 else policy.barge_in_patience_ms
        case "confirming":
            return policy.final_transcript_timeout_ms / 2
        case "saying_goodbye":
            return context.answer.ledger.remaining_ms(at_ms) + policy.speech_stall_timeout_ms
        case "closing":
            return policy.close_timeout_ms
    return None
