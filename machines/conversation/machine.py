"""The conversation machine: the chart with its guards, actions, deadlines and ignored events.

The machine does no I/O, reads no clock and draws no ids: the same facts give the same effects. The diagrams
and tables in `diagrams/` are made from it.
"""

from __future__ import annotations

from machines import effects as do
from machines.conversation import staleness
from machines.conversation.answer_retries import Retries
from machines.conversation.answers import Answers
from machines.conversation.chart import ConversationChart
from machines.conversation.deadlines import Deadlines
from machines.conversation.ending import Ending
from machines.conversation.endpointing import Endpointing
from machines.conversation.greeting_and_fallbacks import GreetingAndFallbacks
from machines.conversation.host_utterances import HostUtterances
from machines.conversation.ignored import IGNORED
from machines.conversation.interruptions import Interruptions
from machines.conversation.keypad import Keypad
from machines.conversation.links import Links
from machines.conversation.recording import Recording
from machines.conversation.speculation import Speculation
from machines.conversation.tool_calls import ToolCalls
from machines.conversation.transcripts import Transcripts
from machines.conversation.turns import Turns
from machines.facts import Fact


class Conversation(
    ConversationChart,
    Deadlines,
    # Guards and actions, each class in the file of its name:
    Links,
    Keypad,
    Speculation,
    Endpointing,
    HostUtterances,
    GreetingAndFallbacks,
    Interruptions,
    Retries,
    Answers,
    Ending,
    ToolCalls,
    Turns,
    Transcripts,
    Recording,
):
    """The conversation machine."""

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
