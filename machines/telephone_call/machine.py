"""The machine of a telephone call: the chart with its guards, actions, deadlines and ignored facts."""

from __future__ import annotations

from machines.facts import Fact
from machines.telephone_call import deadlines
from machines.telephone_call.beginning_and_end import BeginningAndEnd
from machines.telephone_call.chart import CallChart
from machines.telephone_call.facts import CallDeadlinePassed
from machines.telephone_call.ignored import IGNORED
from machines.telephone_call.keys_and_transfers import KeysAndTransfers
from machines.telephone_call.who_answered import WhoAnswered


class TelephoneCall(CallChart, WhoAnswered, KeysAndTransfers, BeginningAndEnd):
    """The machine of a telephone call: the chart, and one class of guards and actions for each subject.

    CallChart         the states, the events, and every transition
    WhoAnswered       a person, an answering machine, or one that screens the call for a person
    KeysAndTransfers  keys that the carrier presses, and to whom it connects the caller
    BeginningAndEnd   how the call is placed and ended, and its outcome
    """

    IGNORED = IGNORED

    def stale(self, fact: Fact) -> str | None:
        """Why `fact` is about something that is no longer current; None if it is current."""
        if isinstance(fact, CallDeadlinePassed) and fact.number != self.context.deadline_armed:
            return f"deadline {fact.number} is not armed"
        return None

    def deadline_ms(self, state: str, at_ms: float) -> float | None:
        """How long `state` may last; None for the conversation, which has limits of its own."""
        del at_ms
        return deadlines.deadline_ms(self.context, state)
