"""A call's share of the machine: how much audio may come ahead of time.

It does so after a stall of the network. Listening to it takes time that other calls need, too.
"""

from __future__ import annotations

import trio
from attrs import define, field

AHEAD_MS = 60_000
"""Audio that is further ahead of real time is dropped."""
AT_ONCE_MS = 10_000
"""So much is taken as fast as it comes."""
TIMES_REAL_TIME = 8
"""What is beyond that is taken at this pace."""


@define
class RealTimeShare:
    """Admits one call's audio."""

    _ahead_ms: float = 0.0
    """How far the audio is ahead of real time."""
    _at_once_ms: float = 0.0
    """How far it is ahead of the pace at which it is taken."""
    _at: float = field(factory=trio.current_time)

    async def admits(self, duration_ms: float) -> bool:
        """Wait until so much more audio may be taken; returns False at once if it must be dropped."""
        self._let_time_pass()
        if self._ahead_ms + duration_ms > AHEAD_MS:
            return False
        excess_ms = self._at_once_ms + duration_ms - AT_ONCE_MS
        if excess_ms > 0:
            await trio.sleep(excess_ms / TIMES_REAL_TIME / 1000)
            self._let_time_pass()
        self._ahead_ms += duration_ms
        self._at_once_ms += duration_ms
        return True

    def _let_time_pass(self) -> None:
        now = trio.current_time()
        passed_ms, self._at = (now - self._at) * 1000, now
        self._ahead_ms = max(0.0, self._ahead_ms - passed_ms)
        self._at_once_ms = max(0.0, self._at_once_ms - TIMES_REAL_TIME * passed_ms)
