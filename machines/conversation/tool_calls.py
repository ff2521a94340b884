"""The conversation machine's actions on calls of tools.

A call is in the history from the moment it is asked for, and its result is entered there whenever it comes:
whatever the caller does meanwhile, the model is told what was done in its name.
"""

from __future__ import annotations

from attrs import evolve

from machines import effects as do
from machines import facts
from machines.conversation.context import RunningCall, TurnTimes
from machines.conversation.turns import TurnActions
from machines.declarations import causes
from machines.facts import Fact
from machines.history import Message, Speaker, with_result
from machines.tools import CallRecord, OnInterruption


class CallActions(TurnActions):
    """What is done about calls of tools."""

    @causes(do.NotifyAnswerEnded)
    def enter_calls(self, fact: facts.GenerationFinished) -> None:
        """The model wants to know, or do, something before it goes on."""
        context = self.context
        context.generation_open = None
        context.attempts = 0
        context.tool_steps += 1
        records = tuple(
            CallRecord(context.calls_made + place, call) for place, call in enumerate(fact.calls, start=1)
        )
        context.calls_made += len(records)
        context.results_owed = any(context.tool(record).reply for record in records)
        context.enter(Message(Speaker.ASSISTANT, "", calls=records))
        if context.speech_open is None:
            self._notify_never_spoken()
        else:
            # What was said before the calls belongs to the same message, once it is known what was heard.
            context.answer_entered = True

    @causes(do.RunTool)
    def run_calls(self, fact: Fact) -> None:
        """Run the calls that the newest message asks for: all of them, or the next one."""
        context = self.context
        for record in context.calls_waiting():
            if context.calls_running and not context.policy.tools_in_parallel:
                break
            timeout_ms = context.tool(record).timeout_ms
            context.calls_running += (RunningCall(record.number, record.call.name, fact.at_ms + timeout_ms),)
            context.ask(do.RunTool(record.number, record.call, timeout_ms))

    @causes()
    def note_failure(self, fact: facts.ToolFinished) -> None:
        """A call that should have been all the answer was none: the model must say something after all."""
        self.context.results_owed = self.reply_owed(fact)

    @causes()
    def note_result(self, fact: facts.ToolFinished) -> None:
        """Whatever was decided about the call meanwhile, this is what became of it."""
        context = self.context
        context.calls_running = tuple(each for each in context.calls_running if each.number != fact.call)
        context.history = with_result(context.history, fact.call, fact.result, failed=fact.failed)

    @causes(do.CancelTool)
    def give_up_calls(self) -> None:
        """Calls are overdue: nobody waits for them any more."""
        self._drop_waiting()
        self._cancel(frozenset(record.number for record in self.context.calls_awaited()))

    @causes(do.CancelTool)
    def give_up_results(self) -> None:
        """The caller does not want to hear of them."""
        self.context.results_owed = False
        self._overtake_calls()

    def _overtake_calls(self) -> None:
        """The conversation goes on without them: what need not be done is not."""
        self._drop_waiting()
        self._cancel(self.context.running(OnInterruption.CANCEL))

    def _drop_waiting(self) -> None:
        context = self.context
        for record in context.calls_waiting():
            context.history = with_result(
                context.history, record.number, context.policy.tool_not_called, failed=True
            )

    def _cancel(self, numbers: frozenset[int]) -> None:
        """Stop these, which run and were not stopped yet."""
        context = self.context
        context.ask(*(do.CancelTool(each.number) for each in context.calls_running if each.number in numbers))
        context.calls_running = tuple(
            evolve(each, cancelled=True) if each.number in numbers else each for each in context.calls_running
        )

    def _notify_never_spoken(self) -> None:
        """A client that was told of the answer's start is told of its end too."""
        self.context.ask(do.NotifyAnswerEnded(self.context.generation, "", 0, 0.0, TurnTimes().latency(None)))
