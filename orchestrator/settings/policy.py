"""Which setting is which field of the conversation policy, whose defaults are the settings' defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from machines.policy import ConversationPolicy, FallbackTexts, LinkPolicy

if TYPE_CHECKING:
    from orchestrator.settings.settings import Settings

DEFAULTS = ConversationPolicy()
"""Where the settings take their defaults from."""

POLICY_FIELDS: Mapping[str, str] = {
    "llm_system_prompt": "system_prompt",
    "greeting": "greeting",
    "reprompt": "reprompt",
    "idle_nudge_ms": "idle_after_ms",
    "idle_nudge_1": "nudges",
    "idle_nudge_2": "nudges",
    "idle_goodbye": "idle_goodbye",
    "connect_timeout_ms": "connect_timeout_ms",
    "vad_silence_threshold_ms": "endpoint_delay_ms",
    "unfinished_delay_ms": "unfinished_delay_ms",
    "llm_anticipations": "speculations",
    "tts_anticipation": "speculative_speech",
    "barge_in": "barge_in",
    "barge_in_thinking": "barge_in_thinking",
    "barge_in_greeting": "barge_in_greeting",
    "barge_in_min_ms": "barge_in_min_ms",
    "barge_in_min_words": "barge_in_min_words",
    "backchannels": "backchannels",
    "least_confidence": "least_confidence",
    "sure_confidence": "sure_confidence",
    "max_turn_ms": "max_turn_ms",
    "llm_max_queue_size": "max_queue",
    "final_transcript_timeout_ms": "final_transcript_timeout_ms",
    "first_segment_timeout_ms": "first_segment_timeout_ms",
    "first_token_timeout_ms": "first_token_timeout_ms",
    "token_gap_timeout_ms": "token_gap_timeout_ms",
    "llm_request_timeout": "answer_timeout_ms",
    "llm_thinking_filler": "thinking_filler",
    "llm_thinking_filler_after_ms": "thinking_filler_after_ms",
    "llm_max_retries": "llm_retry_delays_ms",
    "llm_max_messages": "max_history",
    "llm_max_context_tokens": "max_history_tokens",
    "speech_stall_timeout_ms": "speech_stall_timeout_ms",
    "close_timeout_ms": "close_timeout_ms",
    "dtmf_timeout_ms": "digits_timeout_ms",
    "dtmf_terminator": "digits_terminator",
    "llm_fallback_tier3_then": "hand_over",
}
"""The field of `ConversationPolicy` that each setting sets. Users know the settings by these names."""
FALLBACK_TEXTS: Mapping[str, str] = {
    "llm_fallback_tier1": "first",
    "llm_fallback_tier2": "second",
    "llm_fallback_tier3": "third",
    "stt_fallback": "unheard",
    "llm_fallback_refused": "refused",
    "llm_fallback_limit": "unanswered",
}
"""The field of `FallbackTexts` that each setting sets."""
_LLM_RETRY_DELAYS_MS = (*DEFAULTS.llm_retry_delays_ms, 400, 800, 1600)
"""The wait before each further request for an answer; `LLM_MAX_RETRIES` says how many there are."""

_CONVERTED: Mapping[str, Callable[[Settings], Any]] = {
    "nudges": lambda settings: (settings.idle_nudge_1, settings.idle_nudge_2),
    "llm_retry_delays_ms": lambda settings: _LLM_RETRY_DELAYS_MS[: settings.llm_max_retries],
    "digits_terminator": lambda settings: settings.dtmf_terminator.replace("none", ""),
    "hand_over": lambda settings: settings.llm_fallback_tier3_then == "hand_over",
}
"""The fields whose value is not that of one setting, as it is."""


def policy_of(settings: Settings) -> ConversationPolicy:
    """The texts, delays and deadlines of conversations, as the settings say."""
    as_they_are = {field: getattr(settings, setting) for setting, field in POLICY_FIELDS.items()}
    converted = {field: convert(settings) for field, convert in _CONVERTED.items()}
    texts = {field: getattr(settings, setting) for setting, field in FALLBACK_TEXTS.items()}
    return ConversationPolicy(
        **{**as_they_are, **converted},
        fallback=FallbackTexts(**texts),
        # Half of it, so that there is time for another attempt after one that hangs.
        link=LinkPolicy(attempt_timeout_ms=settings.connect_timeout_ms / 2),
    )
