"""The failure log: which failures a caller waited for, and for how long.

The log has one warning for each failure that cost a caller time or words, and none for the others: a
speculative answer that fails, a link that is lost while nobody needs it, a voice that breaks off while there
is enough to play until it goes on. What failed at first and while the call was being connected is said by the
link machines.
"""

from __future__ import annotations

from machines import effects as do
from machines.conversation.context import Context
from machines.driver import Chart
from machines.facts import ProviderFailure, Role


class FailureLog(Chart[Context]):
    """What the actions on failures share."""

    def _log_failure(
        self, role: Role, failure: ProviderFailure, waited_ms: float, attempt: int | None = None
    ) -> None:
        self.context.ask(do.LogFailure(role, failure, max(0.0, waited_ms), attempt))

    def _silent_ms(self, since_ms: float, at_ms: float) -> float:
        """How long the caller has heard nothing at `at_ms`, but not counted before `since_ms`."""
        if self.context.answer.speech_open is not None:
            since_ms = max(since_ms, self.context.answer.ledger.silent_since(at_ms))
        return max(0.0, at_ms - since_ms)
