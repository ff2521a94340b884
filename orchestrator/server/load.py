"""What the server measures of itself: how late its event loop is, how busy it is, and its memory.

It judges nothing: the measurements are facts for the admission machine (`admissions.py`).
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import trio
from attrs import field, frozen

MEASURED_EVERY_S = 1.0
MOMENT_S = 0.05
"""Between one moment at which the event loop should run this task and the next."""
LATEST_PART = 0.1
"""This part of the moments does not count, the latest ones: one collection of garbage is no load."""
STATM = Path("/proc/self/statm")


@frozen
class Load:
    """One measurement, over the time since the one before."""

    lag_ms: float
    """How late the event loop was, but for the latest tenth of its moments."""
    cpu: float
    """How busy the process was: 0 to 1, of the processors that it may use, or of the one processor that an
    event loop can use, whichever is more."""
    resident_bytes: int | None
    """The memory that the process has; None where the system does not tell."""


@frozen
class WorkDone:
    """Seconds of processor time until some moment, by the same clock's seconds."""

    at: float = field(factory=time.perf_counter)
    process: float = field(factory=time.process_time)
    loop: float = field(factory=time.thread_time)
    """That of the thread which looked: the event loop's."""

    def share_since(self, before: WorkDone, processors: float, *, of_threads: bool) -> float:
        """How busy the process was since then: see `Load.cpu`. Without `of_threads` the loop alone counts."""
        seconds = self.at - before.at
        if seconds <= 0:
            return 0.0
        loop = (self.loop - before.loop) / seconds
        process = (self.process - before.process) / seconds / processors if of_threads else 0.0
        return min(1.0, max(loop, process))


async def measure_load(
    report: Callable[[Load], None],
    processors: float,
    *,
    of_threads: bool,
    work: Callable[[], WorkDone] = WorkDone,
) -> None:
    """Measure once a second and report it, until cancelled.

    Args:
        report: takes each measurement.
        processors: how many the process may use.
        of_threads: worker threads count, too. With embedded models they are busy whenever somebody speaks,
            and what calls they can bear is another bound.
        work: tells how much was worked until now.
    """
    before = work()
    while True:
        lags = await _lags_ms()
        after = work()
        cpu = after.share_since(before, processors, of_threads=of_threads)
        report(Load(most_of(lags), cpu, resident_bytes()))
        before = after


async def _lags_ms() -> list[float]:
    """How late the event loop was at each moment of the next while."""
    over = trio.current_time() + MEASURED_EVERY_S
    lags: list[float] = []
    while trio.current_time() < over:
        due = trio.current_time() + MOMENT_S
        await trio.sleep_until(due)
        lags.append((trio.current_time() - due) * 1000)
    return lags


def most_of(lags: Sequence[float]) -> float:
    """The lag that is not passed but for the latest part of the moments. There is at least one moment."""
    ordered = sorted(lags)
    return ordered[max(0, math.ceil(len(ordered) * (1 - LATEST_PART)) - 1)]


def resident_bytes() -> int | None:
    """The memory that the process has now; None where the system does not tell."""
    if sys.platform != "linux":
        return None
    return int(STATM.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
