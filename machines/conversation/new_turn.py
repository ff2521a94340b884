"""A new turn: what is known of the caller's words so far belongs to the last one."""

from __future__ import annotations

from machines import effects as do
from machines.conversation.context import Context, Continuation, TurnTimes


def begin_turn(context: Context) -> None:
    """Give the caller's next words a turn of their own."""
    turns, speculation = context.turns, context.speculation
    turns.current += 1
    turns.interim = ""
    turns.interim_sure = False
    turns.completeness = None
    speculation.count = 0
    speculation.failed = ""
    turns.continuation = Continuation.NONE
    turns.times = TurnTimes()
    context.ask(do.BeginTurn(turns.current))


def begin_next_turn(context: Context) -> None:
    """Begin the next turn of the same exchange."""
    times = context.turns.times
    begin_turn(context)
    context.turns.times = times
