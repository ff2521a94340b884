"""Tool calls: which ones run, and how their results reach the model.

A tool call is in the history as soon as the model asks for it. Its result is entered there whenever it comes:
whatever the caller does meanwhile, the model is told what was done in its name.
"""

from __future__ import annotations

from machines import effects as do
from machines import facts
from machines.conversation import running_calls, waiting
from machines.conversation.context import Context
from machines.conversation.generation import notify_never_spoken
from machines.conversation.heard_history import enter
from machines.declarations import causes
from machines.driver import Chart
from machines.facts import Fact
from machines.history import Message, Speaker, with_result
from machines.tools import CallRecord


class ToolCalls(Chart[Context]):
    """Guards and actions on tool calls."""

    # --- guards ------------------------------------------------------------------------------------------

    def asks_for_calls(self, fact: facts.GenerationFinished) -> bool:
        """The model asks for tool calls, and tools were offered to it."""
        return bool(fact.calls) and self.context.tools_offered()

    def last_result(self, fact: facts.ToolFinished) -> bool:
        """No other tool call is waited for."""
        return all(each.number == fact.call for each in self.context.calls_awaited())

    def results_owed(self) -> bool:
        """The model is to be asked again when the results of its tool calls are known."""
        return self.context.tools.results_owed

    def reply_owed(self, fact: facts.ToolFinished) -> bool:
        """The model is to be asked again, also because a call failed that should have needed no words."""
        return self.context.tools.results_owed or (fact.failed and self._still_awaited(fact))

    def _still_awaited(self, fact: facts.ToolFinished) -> bool:
        """The newest message asks for this tool call, and the caller has not gone on since."""
        return not self.context.turns.caller_words and fact.call in {
            each.number for each in self.context.calls_awaited()
        }

    def calls_pending(self) -> bool:
        """There are tool calls to begin, or results that the model is to see."""
        return waiting.calls_pending(self.context)

    def calls_due(self) -> bool:
        """There are tool calls or results to deal with, and the caller does not have the word."""
        return waiting.calls_due(self.context)

    def calls_awaited(self) -> bool:
        """The results of some tool calls are not known yet."""
        return bool(self.context.calls_awaited())

    # --- actions -----------------------------------------------------------------------------------------

    @causes(do.NotifyAnswerEnded)
    def enter_calls(self, fact: facts.GenerationFinished) -> None:
        """Enter the tool calls that the model asks for into the history."""
        context = self.context
        context.answer.generation_open = None
        context.answer.requests = 0
        context.tools.steps += 1
        records = tuple(
            CallRecord(context.tools.calls_made + place, call)
            for place, call in enumerate(fact.calls, start=1)
        )
        context.tools.calls_made += len(records)
        context.tools.results_owed = any(context.tool(record).reply for record in records)
        enter(context, Message(Speaker.ASSISTANT, "", calls=records))
        if context.answer.speech_open is None:
            notify_never_spoken(context)
        else:
            # What was said before the calls goes into the same message, once it is known what was heard.
            context.answer.in_history = True

    @causes(do.RunTool)
    def run_calls(self, fact: Fact) -> None:
        """Run the tool calls that the newest message asks for: all of them, or only the next one."""
        running_calls.run_calls(self.context, fact.at_ms)

    @causes()
    def note_failure(self, fact: facts.ToolFinished) -> None:
        """If a call that should have needed no words has failed, have the model say something after all."""
        self.context.tools.results_owed = self.reply_owed(fact)

    @causes()
    def note_result(self, fact: facts.ToolFinished) -> None:
        """Enter the result into the history, whatever was decided about the call meanwhile."""
        context = self.context
        context.tools.running = tuple(each for each in context.tools.running if each.number != fact.call)
        context.history = with_result(context.history, fact.call, fact.result, failed=fact.failed)

    @causes(do.CancelTool)
    def give_up_calls(self) -> None:
        """Give up overdue tool calls."""
        running_calls.drop_waiting(self.context)
        running_calls.cancel_calls(
            self.context, frozenset(record.number for record in self.context.calls_awaited())
        )

    @causes(do.CancelTool)
    def give_up_results(self) -> None:
        """Give up the results: the caller does not want to hear of them."""
        self.context.tools.results_owed = False
        running_calls.overtake_calls(self.context)
