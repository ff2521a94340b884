"""A task that runs as long as a block."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from adapters.tasks import running


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
