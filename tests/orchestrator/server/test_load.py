"""What a server measures of itself: how late its event loop is, how busy it is, its memory."""

from __future__ import annotations

import pytest
import trio
from attrs import define, field
from trio.testing import MockClock

from orchestrator.server.load import Load, WorkDone, measure_load, most_of, resident_bytes


@define
class Work:
    """A process that has worked for so long, by Trio's clock."""

    process: float = 0.0
    loop: float = 0.0

    def done(self) -> WorkDone:
        return WorkDone(trio.current_time(), self.process, self.loop)


@define
class Measurements:
    """What was reported, and a way to wait for it."""

    all: list[Load] = field(factory=list)
    came: trio.Event = field(factory=trio.Event)

    def take(self, load: Load) -> None:
        self.all.append(load)
        self.came.set()
        self.came = trio.Event()

    async def next(self) -> Load:
        await self.came.wait()
        return self.all[-1]


async def test_an_event_loop_that_is_in_time_has_no_lag(autojump_clock: MockClock) -> None:
    measurements = Measurements()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: measure_load(measurements.take, 1, of_threads=True, work=Work().done))
        load = await measurements.next()
        assert load.lag_ms == pytest.approx(0, abs=1)
        assert trio.current_time() == pytest.approx(1, abs=0.2)
        nursery.cancel_scope.cancel()


async def test_an_event_loop_that_is_always_late_is_seen(mock_clock: MockClock) -> None:
    """Whatever runs takes 0.3 s, and everything else waits for it."""
    measurements = Measurements()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: measure_load(measurements.take, 1, of_threads=True, work=Work().done))
        while not measurements.all:
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(0.3)
        nursery.cancel_scope.cancel()
    assert measurements.all[0].lag_ms == pytest.approx(250, abs=1)


async def test_one_long_moment_is_no_lag(mock_clock: MockClock) -> None:
    measurements = Measurements()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: measure_load(measurements.take, 1, of_threads=True, work=Work().done))
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(0.3)
        while not measurements.all:
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(0.05)
        nursery.cancel_scope.cancel()
    assert measurements.all[0].lag_ms == pytest.approx(0, abs=1)


@pytest.mark.parametrize(
    ("process", "loop", "processors", "of_threads", "cpu"),
    [
        (0.5, 0.5, 1, True, 0.5),
        (1.5, 0.4, 4, True, 0.4),
        (3.0, 0.4, 4, True, 0.75),
        (3.0, 0.4, 4, False, 0.4),
        (9.0, 0.4, 1, True, 1.0),
    ],
)
def test_busy_is_whichever_is_scarcer_the_loop_or_the_processors(
    process: float, loop: float, processors: float, of_threads: bool, cpu: float
) -> None:
    done = WorkDone(10, 5 + process, 3 + loop).share_since(
        WorkDone(9, 5, 3), processors, of_threads=of_threads
    )
    assert done == pytest.approx(cpu)


def test_the_latest_tenth_does_not_count() -> None:
    assert most_of([1.0] * 18 + [500.0] * 2) == 1.0
    assert most_of([1.0] * 17 + [500.0] * 3) == 500.0
    assert most_of([700.0]) == 700.0


def test_memory_is_told_where_the_system_tells() -> None:
    found = resident_bytes()
    assert found is None or found > 10_000_000
