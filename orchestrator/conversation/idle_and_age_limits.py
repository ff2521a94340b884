"""The limits that every call has, whatever carries it: one in which nothing happens is ended, and one that
goes on for too long."""

from __future__ import annotations

from collections.abc import Callable

import trio

from machines.facts import EndReason


async def watch_limits(
    hang_up: Callable[[EndReason], None],
    last_activity: Callable[[], float],
    *,
    idle_timeout_s: float,
    ends_at: float,
) -> None:
    """Say to `hang_up` that a limit is reached, and return. Times are of Trio's clock, in seconds.

    Args:
        hang_up: ends the call for this reason.
        last_activity: when something happened last.
        idle_timeout_s: so long nothing may happen.
        ends_at: so long the call may go on.
    """
    while True:
        idle_at = last_activity() + idle_timeout_s
        await trio.sleep_until(min(idle_at, ends_at))
        if trio.current_time() >= ends_at:
            return hang_up(EndReason.TOO_OLD)
        if trio.current_time() >= last_activity() + idle_timeout_s:
            return hang_up(EndReason.IDLE)
