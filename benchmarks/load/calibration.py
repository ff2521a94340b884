"""The search for how many calls a machine bears: up until figures break, then between that and what held."""

from __future__ import annotations

from collections.abc import Callable

from attrs import field, frozen

from benchmarks.load.run import Measured

FIRST = 8
"""The number of calls to begin with."""
GROWTH = 2
CLOSE_ENOUGH = 0.1
"""The search ends when what broke is more than what held by this part at most."""
HEADROOM = 0.85
"""The part of what held that is proposed: callers are not all alike, and machines are not always idle."""


@frozen
class Proposal:
    """What the search found."""

    held: int
    """The most calls whose figures were good; 0: not even one."""
    broke: int | None
    """The fewest calls whose figures were not; None: it was not found out."""
    why: str
    """What was wrong with them, or why the search ended before."""
    rows: tuple[Measured, ...] = field(default=(), repr=False)

    @property
    def max_sessions(self) -> int:
        """The proposed MAX_SESSIONS."""
        return max(1, int(self.held * HEADROOM))

    def __str__(self) -> str:
        if not self.held and self.broke is None:
            return f"Nothing is known of this machine: {self.why}."
        if not self.held:
            return f"This machine cannot bear a single call: {self.why}."
        beyond = f"{self.broke} did not ({self.why})" if self.broke else self.why
        return (
            f"{self.held} calls held, {beyond}.\n"
            f"Proposal for a server that has one core of this machine: MAX_SESSIONS={self.max_sessions}"
        )


def fault_of(row: Measured, most_ms: float) -> str | None:
    """What is wrong with the figures of a run; None if nothing is."""
    if row.errors:
        return ", ".join(f"{count} × {error}" for error, count in sorted(row.errors.items()))
    if row.answer_p95 is not None and row.answer_p95 > most_ms:
        return f"one answer of twenty began after {row.answer_p95:.0f} ms or more, {most_ms:.0f} are allowed"
    return None


def search(hold: Callable[[int], Measured], most_ms: float, most_calls: int) -> Proposal:
    """Find the most calls that hold.

    Args:
        hold: holds so many calls and returns the figures.
        most_ms: the longest time to the first audio at p95 with which figures are good.
        most_calls: more are not tried.
    """
    held, broke, why = 0, None, ""
    rows: list[Measured] = []
    calls: int | None = min(FIRST, most_calls)
    while calls is not None:
        row = hold(calls)
        rows.append(row)
        if unknown := _unknown(row):
            return Proposal(held, broke, f"{calls} could not be offered: {unknown}", tuple(rows))
        fault = fault_of(row, most_ms)
        if fault is None:
            held = calls
        else:
            broke, why = calls, fault
        calls = _next(held, broke, most_calls)
    return Proposal(held, broke, why or f"{most_calls} are the most that were tried", tuple(rows))


def _unknown(row: Measured) -> str:
    """Why a run says nothing about the server; empty if it does."""
    if not row.discarded and not row.errors and row.answer_p95 is None:
        return "nobody's turn was over in time, which needs more --seconds"
    return row.discarded


def _next(held: int, broke: int | None, most_calls: int) -> int | None:
    """The next number of calls to try; None if the search is over."""
    if broke is None:
        return min(held * GROWTH, most_calls) if held < most_calls else None
    if broke - held <= max(1, round(held * CLOSE_ENOUGH)):
        return None
    return (held + broke) // 2
