"""What waits to be said or done until the caller does not have the word."""

from __future__ import annotations

from machines.conversation.context import Context
from machines.facts import SayMode


def greeting_due(context: Context) -> bool:
    """There is a greeting, it was not said yet, and the caller does not have the word."""
    return bool(context.policy.greeting) and not context.turns.greeted and not context.caller_has_word()


def calls_pending(context: Context) -> bool:
    """There are tool calls to begin, or results that the model is to see."""
    return context.tools.results_owed or bool(context.calls_waiting())


def calls_due(context: Context) -> bool:
    """There are tool calls or results to deal with, and the caller does not have the word."""
    return calls_pending(context) and not context.caller_has_word()


def host_utterance_due(context: Context) -> bool:
    """A text of the host that is not for idle times waits, and the caller does not have the word."""
    first = next(iter(context.host_utterances), None)
    return first is not None and first.mode is not SayMode.WHEN_IDLE and not context.caller_has_word()


def idle_host_utterance_due(context: Context) -> bool:
    """A text of the host waits, no transcript is pending, and the caller does not have the word."""
    return bool(context.host_utterances) and not (context.turns.queued or context.caller_has_word())
