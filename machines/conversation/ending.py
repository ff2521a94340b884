"""The end of the conversation."""

from __future__ import annotations

from machines import effects as do
from machines import facts
from machines.conversation.client_requests import refuse_all
from machines.conversation.context import Context
from machines.conversation.running_calls import overtake_calls
from machines.declarations import causes
from machines.driver import Chart
from machines.facts import EndReason, Fact, Role


class Ending(Chart[Context]):
    """Guards and actions on ending."""

    @causes(do.CancelTool, do.Refuse, do.ReleaseLink, do.CloseConversation)
    def begin_closing(self, fact: Fact) -> None:
        """End the conversation: release the links, answer all requests, and close the client's side."""
        overtake_calls(self.context)
        if isinstance(fact, facts.HungUp):
            self.context.end_reason = fact.reason
        reason = self.context.end_reason or self.context.answer.end_after or EndReason.INTERNAL_ERROR
        self.context.end_reason = reason
        refuse_all(self.context, f"the conversation ended: {reason.value}")
        after_goodbye = isinstance(fact, facts.PlaybackFinished)
        self.context.ask(
            *(do.ReleaseLink(role) for role in Role), do.CloseConversation(reason, after_goodbye)
        )

    @causes(do.AbandonConversation)
    def abandon(self) -> None:
        """Have everything abandoned that is not closed yet."""
        self.context.ask(do.AbandonConversation())
