"""Running tool calls: they are begun, cancelled, and overtaken by what the caller says next."""

from __future__ import annotations

from attrs import evolve

from machines import effects as do
from machines.conversation.context import Context, RunningCall
from machines.history import with_result
from machines.tools import OnInterruption


def run_calls(context: Context, at_ms: float) -> None:
    """Run the tool calls that the newest message asks for: all of them, or only the next one."""
    for record in context.calls_waiting():
        if context.tools.running and not context.policy.tools_in_parallel:
            break
        timeout_ms = context.tool(record).timeout_ms
        context.tools.running += (RunningCall(record.number, record.call.name, at_ms + timeout_ms),)
        context.ask(do.RunTool(record.number, record.call, timeout_ms))


def drop_waiting(context: Context) -> None:
    """Drop the tool calls that were not begun: the model is told that they were not made."""
    for record in context.calls_waiting():
        context.history = with_result(
            context.history, record.number, context.policy.tool_not_called, failed=True
        )


def cancel_calls(context: Context, numbers: frozenset[int]) -> None:
    """Stop the running calls with these numbers."""
    tools = context.tools
    context.ask(*(do.CancelTool(each.number) for each in tools.running if each.number in numbers))
    tools.running = tuple(
        evolve(each, cancelled=True) if each.number in numbers else each for each in tools.running
    )


def overtake_calls(context: Context) -> None:
    """Go on without the tool calls: drop those not begun, and cancel those whose policy says so."""
    drop_waiting(context)
    cancel_calls(context, context.running_calls(OnInterruption.CANCEL))


def go_on_from_calls(context: Context, at_ms: float) -> None:
    """Give up earlier tool calls if the caller has said something new since."""
    if context.turns.caller_words:
        context.tools.asked_at = at_ms
        context.tools.steps = context.tools.fillers = 0
        context.tools.results_owed = False
        overtake_calls(context)
