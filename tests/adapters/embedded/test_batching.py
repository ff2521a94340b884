"""Batching: who waits gets their own result, whatever becomes of the others."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
import trio

from adapters.embedded.batching import Batching


def doubled(batch: Sequence[int]) -> list[int]:
    return [2 * each for each in batch]


async def ask(batching: Batching[int, int], number: int, told: dict[int, int]) -> None:
    told[number] = await batching(number)


async def test_work_that_waits_goes_through_together_and_each_gets_its_own_result() -> None:
    batches: list[list[int]] = []

    def run(batch: Sequence[int]) -> list[int]:
        batches.append(list(batch))
        return doubled(batch)

    batching, told = Batching(run), dict[int, int]()
    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(ask, batching, number, told)
    assert told == {number: 2 * number for number in range(20)}
    assert sorted(batches[0]) == list(range(20))
    assert len(batches) == 1


async def test_what_comes_while_a_batch_runs_is_the_next_batch() -> None:
    batches: list[list[int]] = []
    running, go_on = trio.Event(), threading.Event()
    token = trio.lowlevel.current_trio_token()

    def run(batch: Sequence[int]) -> list[int]:
        batches.append(sorted(batch))
        token.run_sync_soon(running.set)
        assert go_on.wait(60)
        return doubled(batch)

    batching, told = Batching(run), dict[int, int]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, batching, 1, told)
        await running.wait()
        for number in (2, 3, 4):
            nursery.start_soon(ask, batching, number, told)
        await trio.testing.wait_all_tasks_blocked()
        go_on.set()
    assert batches == [[1], [2, 3, 4]]
    assert told == {number: 2 * number for number in (1, 2, 3, 4)}


async def test_a_model_that_fails_fails_those_who_asked_it_and_nobody_else() -> None:
    def run(batch: Sequence[int]) -> list[int]:
        if 3 in batch:
            raise ValueError("three")
        return doubled(batch)

    batching = Batching(run)
    with pytest.raises(ValueError, match="three"):
        await batching(3)
    assert await batching(4) == 8


@pytest.mark.parametrize("cancelled", range(3))
async def test_those_who_do_not_wait_any_more_hold_up_nobody(cancelled: int) -> None:
    batching, told = Batching(doubled), dict[int, int]()
    scopes = [trio.CancelScope() for _ in range(3)]

    async def ask_within(number: int) -> None:
        with scopes[number]:
            await ask(batching, number, told)

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(ask_within, number)
        await trio.testing.wait_all_tasks_blocked()
        scopes[cancelled].cancel()
    assert told == {number: 2 * number for number in range(3) if number != cancelled}
    assert await batching(7) == 14


async def test_all_may_leave_at_once() -> None:
    batching = Batching(doubled)
    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(batching, number)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert await batching(7) == 14
