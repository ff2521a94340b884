"""The conversation machine: the chart with its guards, actions, deadlines and ignored facts.

The machine does no I/O, reads no clock and draws no ids: the same facts give the same effects. The diagrams
and tables in `diagrams/` are made from it.
"""

from __future__ import annotations

from machines import effects as do
from machines.conversation import deadlines, staleness
from machines.conversation.answer_retries import AnswerRetries
from machines.conversation.answers import Answers
from machines.conversation.chart import ConversationChart
from machines.conversation.ending import Ending
from machines.conversation.greeting_and_fallbacks import GreetingAndFallbacks
from machines.conversation.host_utterances import HostUtterances
from machines.conversation.ignored import IGNORED
from machines.conversation.interruptions import Interruptions
from machines.conversation.keypad import Keypad
from machines.conversation.links import Links, renew_tts, return_to_recovered
from machines.conversation.recording import Recording
from machines.conversation.speculation import Speculation
from machines.conversation.tool_calls import ToolCalls
from machines.conversation.transcripts import Transcripts
from machines.conversation.turns import Turns
from machines.facts import Fact


class Conversation(
    ConversationChart,
    Links,
    Recording,
    Turns,
    Transcripts,
    Keypad,
    Speculation,
    Answers,
    AnswerRetries,
    ToolCalls,
    Interruptions,
    GreetingAndFallbacks,
    HostUtterances,
    Ending,
):
    """The conversation machine: the chart, and one class of guards and actions for each subject.

    ConversationChart     the states, the events, and every transition
    Links                 which providers can be used, and in which language
    Recording             recordings that the client starts and stops, and what its requests are answered
    Turns                 where the caller's turns begin and end, and those that wait to be answered
    Transcripts           what the caller was understood to say, and speech to text that gives no words
    Keypad                keys of the telephone that become a turn
    Speculation           the model is asked before it is sure that the turn is over
    Answers               the model is asked, what it says is spoken, and what was heard is remembered
    AnswerRetries         another request, or another attempt of text to speech, after a failure
    ToolCalls             which tool calls run, and how their results reach the model
    Interruptions         whether voice over an answer is an interruption, and what becomes of the answer
    GreetingAndFallbacks  what is said in place of an answer
    HostUtterances        texts that the host wants said
    Ending                the end of the conversation

    These classes do not know each other. What several of them need is a function over `Context` (`speech.py`:
    what is said; `generation.py`: what the model is asked; ...) or a method of a part of `Context`.
    """

    IGNORED = IGNORED

    def stale(self, fact: Fact) -> str | None:
        """Why `fact` speaks of something no longer current; None if it does not."""
        return staleness.stale(self.context, fact)

    @property
    def state(self) -> str:
        """The innermost state of the machine that runs."""
        return str([*self.context.state][-1])

    def is_progress(self, fact: Fact) -> bool:
        """Whether `fact` re-arms the deadline of a state that stays the same."""
        return fact.name in deadlines.SIGNS_OF_LIFE.get(self.state, ())

    def deadline_ms(self, state: str, at_ms: float) -> float | None:
        """How long `state` may last from `at_ms` on; None where only the caller is waited for."""
        return deadlines.deadline_ms(self.context, state, at_ms)

    def entered(self, source_room: str, room: str, state: str, fact: Fact) -> None:
        """Tell the client about the new state; in `quiet`, return to preferred providers that recovered."""
        self.context.ask(do.NotifyState(source_room, room, state, fact.name))
        if room in ("LISTENING", "THINKING"):
            renew_tts(self.context)
        if state == "quiet":
            return_to_recovered(self.context)
