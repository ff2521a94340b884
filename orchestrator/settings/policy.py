"""Builds the conversation policy from the settings."""

from __future__ import annotations

from machines.policy import ConversationPolicy, FallbackTexts, LinkPolicy
from orchestrator.settings.settings import Settings

LLM_RETRY_DELAYS_MS = (0, 100, 200, 400, 800, 1600)
"""The wait before each further request for an answer; `LLM_MAX_RETRIES` says how many there are."""


def policy_of(settings: Settings) -> ConversationPolicy:
    """The texts, delays and deadlines of conversations, as the settings say."""
    return ConversationPolicy(
        system_prompt=settings.llm_system_prompt,
        connect_timeout_ms=settings.connect_timeout_ms,
        endpoint_delay_ms=settings.vad_silence_threshold_ms,
        barge_in_min_ms=settings.barge_in_min_ms,
        barge_in=settings.barge_in,
        barge_in_thinking=settings.barge_in_thinking,
        barge_in_greeting=settings.barge_in_greeting,
        barge_in_min_words=settings.barge_in_min_words,
        backchannels=settings.backchannels,
        least_confidence=settings.least_confidence,
        sure_confidence=settings.sure_confidence,
        speculations=settings.llm_anticipations,
        unfinished_delay_ms=settings.unfinished_delay_ms,
        greeting=settings.greeting,
        reprompt=settings.reprompt,
        idle_after_ms=settings.idle_nudge_ms,
        nudges=(settings.idle_nudge_1, settings.idle_nudge_2),
        idle_goodbye=settings.idle_goodbye,
        max_turn_ms=settings.max_turn_ms,
        max_queue=settings.llm_max_queue_size,
        final_transcript_timeout_ms=settings.final_transcript_timeout_ms,
        first_segment_timeout_ms=settings.first_segment_timeout_ms,
        first_token_timeout_ms=settings.first_token_timeout_ms,
        token_gap_timeout_ms=settings.token_gap_timeout_ms,
        answer_timeout_ms=settings.llm_request_timeout,
        thinking_filler=settings.llm_thinking_filler,
        thinking_filler_after_ms=settings.llm_thinking_filler_after_ms,
        llm_retry_delays_ms=LLM_RETRY_DELAYS_MS[: settings.llm_max_retries],
        max_history=settings.llm_max_messages,
        max_history_tokens=settings.llm_max_context_tokens,
        speech_stall_timeout_ms=settings.speech_stall_timeout_ms,
        close_timeout_ms=settings.close_timeout_ms,
        digits_timeout_ms=settings.dtmf_timeout_ms,
        digits_terminator="" if settings.dtmf_terminator == "none" else settings.dtmf_terminator,
        hand_over=settings.llm_fallback_tier3_then == "hand_over",
        fallback=FallbackTexts(
            first=settings.llm_fallback_tier1,
            second=settings.llm_fallback_tier2,
            third=settings.llm_fallback_tier3,
            unheard=settings.stt_fallback,
            refused=settings.llm_fallback_refused,
        ),
        # Half of it, so that there is time for another attempt after one that hangs.
        link=LinkPolicy(attempt_timeout_ms=settings.connect_timeout_ms / 2),
    )
