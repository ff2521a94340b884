"""Idle and age limits: ends a conversation in which nothing happens, or which lasts too long."""

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
    """Call `hang_up` when a limit is reached, and return. Times are seconds of Trio's clock.

    Args:
        hang_up: ends the conversation for the given reason.
        last_activity: returns when something last happened.
        idle_timeout_s: how long nothing may happen.
        ends_at: when the conversation ends at the latest.
    """
    while True:
        idle_at = last_activity() + idle_timeout_s
        await trio.sleep_until(min(idle_at, ends_at))
        if trio.current_time() >= ends_at:
            return hang_up(EndReason.TOO_OLD)
        if trio.current_time() >= last_activity() + idle_timeout_s:
            return hang_up(EndReason.IDLE)
