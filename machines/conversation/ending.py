"""The end of the conversation."""

from __future__ import annotations

from machines import effects as do
from machines import facts
from machines.conversation.recording import Recording
from machines.conversation.tool_calls import ToolCalls
from machines.declarations import causes
from machines.facts import EndReason, Fact, Role


class Ending(ToolCalls, Recording):
    """Guards and actions on ending."""

    @causes(do.CancelTool, do.Refuse, do.ReleaseLink, do.CloseConversation)
    def begin_closing(self, fact: Fact) -> None:
        """End the conversation: release the links, answer all requests, and close the client's side."""
        self._overtake_calls()
        if isinstance(fact, facts.HungUp):
            self.context.end_reason = fact.reason
        reason = self.context.end_reason or self.context.answer.end_after or EndReason.INTERNAL_ERROR
        self.context.end_reason = reason
        self._refuse_all(f"the conversation ended: {reason.value}")
        after_goodbye = isinstance(fact, facts.PlaybackFinished)
        self.context.ask(
            *(do.ReleaseLink(role) for role in Role), do.CloseConversation(reason, after_goodbye)
        )

    @causes(do.AbandonConversation)
    def abandon(self) -> None:
        """Have everything abandoned that is not closed yet."""
        self.context.ask(do.AbandonConversation())
