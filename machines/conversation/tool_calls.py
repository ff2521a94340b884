"""Tool calls: which ones run, and how their results reach the model.

A tool call is in the history as soon as the model asks for it. Its result is entered there whenever it comes:
whatever the caller does meanwhile, the model is told what was done in its name.
"""

from __future__ import annotations

from attrs import evolve

from machines import effects as do
from machines import facts
from machines.conversation.context import RunningCall, TurnTimes
from machines.conversation.heard_history import enter
from machines.conversation.turns import Turns
from machines.declarations import causes
from machines.facts import Fact
from machines.history import Message, Speaker, with_result
from machines.tools import CallRecord, OnInterruption

CALL_GRACE_MS = 1_000
"""A tool call ends at its timeout by itself. One that does not is given up this much later."""


class ToolCalls(Turns):
    """Guards and actions on tool calls."""

    # --- guards ------------------------------------------------------------------------------------------

    def asks_for_calls(self, fact: facts.GenerationFinished) -> bool:
        """The model asks for tool calls, and tools were offered to it."""
        return bool(fact.calls) and self.tools_offered()

    def tools_offered(self) -> bool:
        """There are tools, and the model may ask for another round of calls."""
        policy = self.context.policy
        return bool(policy.tools) and self.context.tools.steps < policy.max_tool_steps

    def call_blocks(self) -> bool:
        """A tool call is running that the caller's voice does not interrupt."""
        return bool(self.context.running_calls(OnInterruption.BLOCK))

    def last_result(self, fact: facts.ToolFinished) -> bool:
        """No other tool call is waited for."""
        return all(each.number == fact.call for each in self.context.calls_awaited())

    def results_owed(self) -> bool:
        """The model is to be asked again when the results of its tool calls are known."""
        return self.context.tools.results_owed

    def reply_owed(self, fact: facts.ToolFinished) -> bool:
        """The model is to be asked again, also because a call failed that should have needed no words."""
        return self.context.tools.results_owed or (fact.failed and self.still_awaited(fact))

    def still_awaited(self, fact: facts.ToolFinished) -> bool:
        """The newest message asks for this tool call, and the caller has not gone on since."""
        return not self.context.turns.caller_words and fact.call in {
            each.number for each in self.context.calls_awaited()
        }

    def calls_pending(self) -> bool:
        """There are tool calls to begin, or results that the model is to see."""
        return self.context.tools.results_owed or bool(self.context.calls_waiting())

    def calls_due(self) -> bool:
        """There are tool calls or results to deal with, and the caller does not have the word."""
        return self.calls_pending() and not self.caller_has_word()

    def calls_awaited(self) -> bool:
        """The results of some tool calls are not known yet."""
        return bool(self.context.calls_awaited())

    def calls_overdue_at(self) -> float:
        """When overdue tool calls are given up, in the conversation's ms."""
        awaited = {each.number for each in self.context.calls_awaited()}
        due = [call.due_at for call in self.context.tools.running if call.number in awaited]
        return max(due, default=0.0) + CALL_GRACE_MS

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
            self._notify_never_spoken()
        else:
            # What was said before the calls goes into the same message, once it is known what was heard.
            context.answer.in_history = True

    @causes(do.RunTool)
    def run_calls(self, fact: Fact) -> None:
        """Run the tool calls that the newest message asks for: all of them, or only the next one."""
        context = self.context
        for record in context.calls_waiting():
            if context.tools.running and not context.policy.tools_in_parallel:
                break
            timeout_ms = context.tool(record).timeout_ms
            context.tools.running += (RunningCall(record.number, record.call.name, fact.at_ms + timeout_ms),)
            context.ask(do.RunTool(record.number, record.call, timeout_ms))

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
        self._drop_waiting()
        self._cancel(frozenset(record.number for record in self.context.calls_awaited()))

    @causes(do.CancelTool)
    def give_up_results(self) -> None:
        """Give up the results: the caller does not want to hear of them."""
        self.context.tools.results_owed = False
        self._overtake_calls()

    def _overtake_calls(self) -> None:
        """Go on without the tool calls: drop those not begun, and cancel those whose policy says so."""
        self._drop_waiting()
        self._cancel(self.context.running_calls(OnInterruption.CANCEL))

    def _drop_waiting(self) -> None:
        context = self.context
        for record in context.calls_waiting():
            context.history = with_result(
                context.history, record.number, context.policy.tool_not_called, failed=True
            )

    def _cancel(self, numbers: frozenset[int]) -> None:
        """Stop the running calls with these numbers."""
        context = self.context
        context.ask(*(do.CancelTool(each.number) for each in context.tools.running if each.number in numbers))
        context.tools.running = tuple(
            evolve(each, cancelled=True) if each.number in numbers else each for each in context.tools.running
        )

    def _notify_never_spoken(self) -> None:
        """Tell the client that an answer of which nothing was spoken is over."""
        self.context.ask(
            do.NotifyAnswerEnded(self.context.answer.generation, "", 0, 0.0, TurnTimes().latency(None))
        )
