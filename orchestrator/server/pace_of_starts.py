"""The pace at which calls begin: one after the other, each when those under way are served in time again."""

from __future__ import annotations

import math

import trio
from attrs import define, field

GAP_S = 0.005
"""Between one beginning and the next."""
RECENT_S = 1.0
"""A call that began longer ago than this has nothing more to do with the next one."""
CALM_S = 0.02
"""The event loop is in time if it is not later than this."""
MOST_PATIENCE_S = 1.0
"""A call begins after this even if the loop is late: it may be late for other reasons."""
QUEUE_S = 20.0
"""A caller who would wait longer is told that there is no room."""


@define(eq=False)
class PaceOfStarts:
    """Lets one call after the other begin, in the order in which they came."""

    _turn: trio.Lock = field(factory=trio.Lock, init=False)
    _last_at: float = field(default=-math.inf, init=False)

    async def may_begin(self) -> bool:
        """Return True when the next call may begin; False if that takes too long."""
        came_at = trio.current_time()
        with trio.move_on_after(QUEUE_S):
            async with self._turn:
                if trio.current_time() < self._last_at + RECENT_S:
                    await _calm()
                    # What the last beginning has taken of the time is left to the others once more.
                    took_s = trio.current_time() - max(self._last_at, came_at)
                    await trio.sleep(min(took_s, MOST_PATIENCE_S))
                self._last_at = trio.current_time()
                return True
        return False


async def _calm() -> None:
    """Return when the event loop is in time."""
    with trio.move_on_after(MOST_PATIENCE_S):
        while True:
            due = trio.current_time() + GAP_S
            await trio.sleep_until(due)
            if trio.current_time() < due + CALM_S:
                return
