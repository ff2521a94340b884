"""The armed deadlines of one conversation: at most one for the conversation machine and one for each link."""

from __future__ import annotations

import math
from collections.abc import Callable

import trio
from attrs import frozen

from machines.facts import DeadlinePassed, Fact, LinkDeadlinePassed, Role

Owner = Role | None
"""Whose deadline: a link's role, or None for the conversation's own."""


@frozen
class Armed:
    """A deadline that will pass at `at`, in seconds of Trio's clock."""

    owner: Owner
    number: int
    at: float


class Deadlines:
    """Deadlines by owner. Arming one replaces the owner's earlier one. `draw` gives numbers from 0 to 1."""

    def __init__(self, draw: Callable[[], float]) -> None:
        self._draw = draw
        self._armed: dict[Owner, Armed] = {}

    def arm(self, owner: Owner, number: int, delay_ms: float) -> None:
        """The owner's deadline is `delay_ms` from now."""
        self._armed[owner] = Armed(owner, number, trio.current_time() + delay_ms / 1000)

    def disarm(self, owner: Owner) -> None:
        """The owner has no deadline."""
        self._armed.pop(owner, None)

    def next_at(self) -> float:
        """When the earliest deadline passes, in seconds of Trio's clock; infinity if there is none."""
        return min((armed.at for armed in self._armed.values()), default=math.inf)

    def take_passed(self) -> Fact | None:
        """Forget the earliest deadline if its time has come, and return the fact that says so."""
        armed = min(self._armed.values(), key=lambda armed: armed.at, default=None)
        if armed is None or armed.at > trio.current_time():
            return None
        del self._armed[armed.owner]
        if armed.owner is None:
            return DeadlinePassed(armed.number, at_ms=armed.at * 1000)
        return LinkDeadlinePassed(armed.owner, armed.number, self._draw(), at_ms=armed.at * 1000)
