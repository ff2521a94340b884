"""When the model's words, the results of tool calls and fillers are due."""

from __future__ import annotations

import math

from machines.conversation.context import Context
from machines.facts import Role

CALL_GRACE_MS = 1_000
"""A tool call ends at its timeout by itself. One that does not is given up this much later."""


def requests_left(context: Context) -> bool:
    """The model may be asked again for the current answer."""
    return context.answer.requests <= len(context.policy.llm_retry_delays_ms)


def wait_for_model_ms(context: Context, asked_ms: float) -> float:
    """How long to wait before the next request: not at all if another provider is ready.

    Args:
        context: the conversation's memory.
        asked_ms: how long the model's server asked us to wait.
    """
    schedule = context.policy.llm_retry_delays_ms
    if Role.LLM in context.links.fallbacks_ready or not schedule or not requests_left(context):
        return 0.0
    return max(schedule[context.answer.requests - 1], asked_ms)


def first_words_due_at(context: Context) -> float:
    """When the model's first words are due. All requests share this time: the caller waits once."""
    return context.answer.thinking_began + context.policy.first_segment_timeout_ms


def answer_over_at(context: Context) -> float:
    """When the answer that is being spoken must be complete. A filler gives the model no more time."""
    if context.answer.only_filler_said():
        return first_words_due_at(context)
    return context.answer.thinking_began + context.policy.answer_timeout_ms


def thinking_filler_due_at(context: Context) -> float:
    """When a filler is due because the model thinks, in the conversation's ms; infinite: none is."""
    answer, tools, policy = context.answer, context.tools, context.policy
    wanted = bool(policy.thinking_filler) and policy.thinking_filler_after_ms > 0 and not tools.fillers
    if not wanted or answer.alive_at is None or context.caller_has_word():
        return math.inf
    return max(tools.asked_at, answer.said_at or 0.0) + policy.thinking_filler_after_ms


def calls_overdue_at(context: Context) -> float:
    """When overdue tool calls are given up, in the conversation's ms."""
    awaited = {each.number for each in context.calls_awaited()}
    due = [call.due_at for call in context.tools.running if call.number in awaited]
    return max(due, default=0.0) + CALL_GRACE_MS


def calls_wait_ms(context: Context, at_ms: float) -> float:
    """How long to wait before a filler is said, or before the tool calls are given up."""
    if not context.calls_awaited():
        return 0.0
    due_at = calls_overdue_at(context)
    if context.filler():
        silent_since = max(context.tools.asked_at, context.answer.said_at or 0.0)
        due_at = min(due_at, silent_since + context.policy.tool_filler_after_ms)
    return max(0.0, due_at - at_ms)
