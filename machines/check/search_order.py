"""The order in which a random walk visits configurations, if there are too many for a whole walk."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from attrs import frozen

LATEST = 8
"""The next configuration is one of this many newest ones, so that the walk goes deep."""
ANYWHERE = 30
"""Once in this many times, the next configuration is any pending one."""


@frozen
class AtRandom:
    """A random walk, which ends before everything was visited."""

    draw: Callable[[int], int]
    """Gives a random number from 0 up to, but not including, its argument."""
    most_facts: int
    """After this many facts no further configuration is expanded."""
    deepest: int = 60
    """Do not expand deeper than this, so that counterexamples stay readable."""

    def pop_next(self, pending: deque[int]) -> int:
        """Pop the next configuration to expand."""
        among = len(pending) if self.draw(ANYWHERE) == 0 else min(LATEST, len(pending))
        place = len(pending) - 1 - self.draw(among)
        number = pending[place]
        del pending[place]
        return number
