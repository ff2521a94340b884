"""The armed deadlines of one conversation: at most one of the conversation machine and one of each link."""

from __future__ import annotations

import math
from collections.abc import Callable

import trio
from attrs import frozen

from machines.facts import DeadlinePassed, Fact, LinkDeadlinePassed, Role

Owner = Role | None
"""Whose deadline it is: a link's role, or None for the conversation machine."""


@frozen
class Armed:
    """A deadline that passes at `at`, in seconds of Trio's clock."""

    owner: Owner
    number: int
    at: float


class ArmedDeadlines:
    """The deadlines by owner. `draw` returns random numbers from 0 to 1, for the jitter of retries."""

    def __init__(self, draw: Callable[[], float]) -> None:
        self._draw = draw
        self._armed: dict[Owner, Armed] = {}

    def arm(self, owner: Owner, number: int, delay_ms: float) -> None:
        """Set the owner's deadline to `delay_ms` from now. Replaces an earlier one."""
        self._armed[owner] = Armed(owner, number, trio.current_time() + delay_ms / 1000)

    def disarm(self, owner: Owner) -> None:
        """Remove the owner's deadline, if it has one."""
        self._armed.pop(owner, None)

    def next_at(self) -> float:
        """When the earliest deadline passes, in seconds of Trio's clock; infinity if there is none."""
        return min((armed.at for armed in self._armed.values()), default=math.inf)

    def take_passed(self) -> Fact | None:
        """If the earliest deadline has passed, remove it and return the fact that reports it."""
        armed = min(self._armed.values(), key=lambda armed: armed.at, default=None)
        if armed is None or armed.at > trio.current_time():
            return None
        del self._armed[armed.owner]
        if armed.owner is None:
            return DeadlinePassed(armed.number, at_ms=armed.at * 1000)
        return LinkDeadlinePassed(armed.owner, armed.number, self._draw(), at_ms=armed.at * 1000)
