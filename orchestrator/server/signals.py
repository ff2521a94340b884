"""What signals do to a serving process: some end it, once calls had time to end; the others are ignored."""

from __future__ import annotations

import signal
from typing import Protocol

import trio

from adapters.logs import library_logger
from orchestrator.settings.settings import Settings

log = library_logger(__name__)

ENDING = ("SIGTERM", "SIGINT", "SIGQUIT")
IGNORED = ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGVTALRM", "SIGPROF", "SIGIO")
HANGING_UP_S = 1.0
"""The part of the shutdown budget that is left for hanging up on those who were not done."""


class Drained(Protocol):
    """A server, as signals see it."""

    settings: Settings
    draining: bool

    async def drain(self, patience_s: float = 0.0) -> None:
        """End all calls, and return when they are over; for so long, answers and goodbyes may be finished."""
        ...


def _signals(names: tuple[str, ...]) -> list[signal.Signals]:
    """Those of them that this system has."""
    return [signal.Signals[name] for name in names if name in signal.Signals.__members__]


async def drain_on_signal(
    server: Drained,
    everything: trio.CancelScope,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Drain at SIGTERM, SIGINT and SIGQUIT, stop at once at the second. The other signals that would end the
    process are ignored: what somebody sends to have a log or settings read again must not end calls."""
    with trio.open_signal_receiver(*_signals(ENDING), *_signals(IGNORED)) as signals:
        task_status.started()
        async with trio.open_nursery() as nursery:
            async for number in signals:
                name = signal.Signals(number).name
                if name in IGNORED:
                    log.warning(
                        "signal ignored: settings are read, and the log is opened, at the start only",
                        signal=name,
                    )
                elif server.draining:
                    log.info("stopping at once", signal=name)
                    everything.cancel()
                else:
                    log.info("stopping; the same signal again stops at once", signal=name)
                    nursery.start_soon(_drain_within_budget, server, everything)


async def _drain_within_budget(server: Drained, everything: trio.CancelScope) -> None:
    server.draining = True
    budget_s = server.settings.shutdown_budget_ms / 1000
    with trio.move_on_after(budget_s):
        await server.drain(budget_s - HANGING_UP_S)
    everything.cancel()
