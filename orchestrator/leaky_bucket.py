"""A bound of how fast something may come: so much at once, and beyond that no more than a steady pace."""

from __future__ import annotations

import trio
from attrs import define, field


@define
class LeakyBucket:
    """What comes is added, and time lets it run out.

    `size` is how much may come at once, `per_s` how much a second in the long run, both in the same unit.
    """

    size: float
    per_s: float
    _level: float = field(default=0.0, init=False)
    _at: float = field(factory=trio.current_time, init=False)

    @property
    def room(self) -> float:
        """How much more may come now. It is negative if too much was added."""
        self._leak()
        return self.size - self._level

    def add(self, amount: float) -> None:
        """Add what has come, even if there is no room for it."""
        self._leak()
        self._level += amount

    async def take(self, amount: float) -> None:
        """Wait until there is room for it, and add it. What is larger than the bucket waits as well."""
        excess = amount - self.room
        if excess > 0:
            await trio.sleep(excess / self.per_s)
        self.add(amount)

    def admits(self, amount: float) -> bool:
        """Add it if there is room for it; returns whether there was."""
        if amount > self.room:
            return False
        self.add(amount)
        return True

    def _leak(self) -> None:
        now = trio.current_time()
        self._level, self._at = max(0.0, self._level - (now - self._at) * self.per_s), now
