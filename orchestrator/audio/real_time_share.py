"""A call's share of the machine: how much audio may come ahead of time.

It does so after a stall of the network. Listening to it takes time that other calls need, too.
"""

from __future__ import annotations

from attrs import define, field

from orchestrator.leaky_bucket import LeakyBucket

AHEAD_MS = 60_000
"""Audio that is further ahead of real time is dropped."""
AT_ONCE_MS = 10_000
"""So much is taken as fast as it comes."""
TIMES_REAL_TIME = 8
"""What is beyond that is taken at this pace."""


@define
class RealTimeShare:
    """Admits one call's audio."""

    _ahead_of_time: LeakyBucket = field(factory=lambda: LeakyBucket(AHEAD_MS, 1000))
    _ahead_of_pace: LeakyBucket = field(factory=lambda: LeakyBucket(AT_ONCE_MS, 1000 * TIMES_REAL_TIME))

    async def admits(self, duration_ms: float) -> bool:
        """Wait until so much more audio may be taken; returns False at once if it must be dropped."""
        if duration_ms > self._ahead_of_time.room:
            return False
        await self._ahead_of_pace.take(duration_ms)
        self._ahead_of_time.add(duration_ms)
        return True
