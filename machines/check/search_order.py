"""The order in which a walk too long to be made whole goes through configurations: at random, and deep."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from attrs import frozen

LATEST = 8
"""The next configuration is one of so many that were found last, so that the walk goes deep,"""
ANYWHERE = 30
"""or, once in so often, any that is known."""


@frozen
class AtRandom:
    """A walk at random, which ends before everything was visited."""

    draw: Callable[[int], int]
    """Gives a number from 0 up to, and without, another."""
    most_facts: int
    """No further configuration is begun after so many facts."""
    deepest: int = 60
    """A configuration so many facts from the start is not gone on from: ways stay short enough to be read."""

    def pop_next(self, pending: deque[int]) -> int:
        """The next of those that are known and were not gone on from; it is pending no more."""
        among = len(pending) if self.draw(ANYWHERE) == 0 else min(LATEST, len(pending))
        place = len(pending) - 1 - self.draw(among)
        number = pending[place]
        del pending[place]
        return number
