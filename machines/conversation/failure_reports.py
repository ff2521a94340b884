"""What is told of failures: to the log, with what they cost the caller, and to the client.

The log has one warning for each failure that cost a caller time or words, and none for the others: a
speculative answer that fails, a link that is lost while nobody needs it, a voice that breaks off while there
is enough to play until it goes on. What failed at first and while the call was being connected is said by the
link machines.
"""

from __future__ import annotations

from machines import effects as do
from machines.conversation.context import Context
from machines.facts import ProviderFailure, Role


def log_failure(
    context: Context, role: Role, failure: ProviderFailure, waited_ms: float, attempt: int | None = None
) -> None:
    """Log that a provider failed, and how long the caller waited for it."""
    context.ask(do.LogFailure(role, failure, max(0.0, waited_ms), attempt))


def silent_ms(context: Context, since_ms: float, at_ms: float) -> float:
    """How long the caller has heard nothing at `at_ms`, but not counted before `since_ms`."""
    if context.answer.speech_open is not None:
        since_ms = max(since_ms, context.answer.ledger.silent_since(at_ms))
    return max(0.0, at_ms - since_ms)


def notify_client_error(context: Context, error: do.ClientError, failure: ProviderFailure) -> None:
    """Tell the client what failed."""
    context.ask(do.NotifyClientError(error, failure.message, failure.error_class.retryable))
