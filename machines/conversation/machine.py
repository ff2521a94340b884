"""The conversation machine: the chart with its guards, actions, deadlines and ignored facts.

The machine does no I/O, reads no clock and draws no ids: the same facts give the same effects. The diagrams
and tables in `diagrams/` are made from it.
"""

from __future__ import annotations

from machines import effects as do
from machines.conversation import staleness
from machines.conversation.chart import ConversationChart
from machines.conversation.deadlines import Deadlines
from machines.conversation.ending import Ending
from machines.conversation.ignored import IGNORED
from machines.conversation.keypad import Keypad
from machines.conversation.links import Links
from machines.facts import Fact


class Conversation(ConversationChart, Deadlines, Links, Keypad, Ending):
    """The conversation machine.

    The guards and actions of answers, turns, words and so on come with the classes that build on them;
    `diagrams/conversation.md` says where each is.
    """

    IGNORED = IGNORED

    def stale(self, fact: Fact) -> str | None:
        """Why `fact` speaks of something no longer current; None if it does not."""
        return staleness.stale(self.context, fact)

    def entered(self, source_room: str, room: str, state: str, fact: Fact) -> None:
        """Tell the client about the new state; in `quiet`, return to preferred providers that recovered."""
        self.context.ask(do.NotifyState(source_room, room, state, fact.name))
        if room in ("LISTENING", "THINKING"):
            self.renew_tts()
        if state == "quiet":
            recovered = sorted(self.context.links.recovered, key=lambda each: (each[0].value, each[1]))
            self.context.links.recovered = frozenset()
            self.context.ask(*(do.ReturnLink(role, provider) for role, provider in recovered))
