"""Waking the tasks that wait, and a task that runs as long as a block."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from adapters.tasks import Signal, running


async def test_a_signal_wakes_all_that_wait() -> None:
    signal, awake = Signal(), []

    async def wait(name: str) -> None:
        await signal.wait()
        awake.append(name)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, "one")
        nursery.start_soon(wait, "other")
        await trio.testing.wait_all_tasks_blocked()
        assert not awake
        signal.wake_all()
    assert sorted(awake) == ["one", "other"]


async def test_a_signal_remembers_nothing(autojump_clock: trio.testing.MockClock) -> None:
    signal = Signal()
    signal.wake_all()
    with trio.move_on_after(1) as waiting:
        await signal.wait()
    assert waiting.cancelled_caught


async def test_leaving_the_block_ends_the_task() -> None:
    ended = []

    async def task() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(True)

    async with running(task):
        await trio.testing.wait_all_tasks_blocked()
        assert not ended
    assert ended


async def test_an_error_of_the_block_is_raised_as_it_is() -> None:
    with pytest.raises(KeyError, match="mine"):
        async with running(trio.sleep_forever):
            raise KeyError("mine")


async def test_cancellation_passes_through() -> None:
    with trio.CancelScope() as scope:
        async with running(trio.sleep_forever):
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught


async def test_an_error_of_the_task_ends_the_block() -> None:
    async def task() -> None:
        raise KeyError("its own")

    with pytest.RaisesGroup(KeyError):
        async with running(task):
            await trio.sleep_forever()
