"""Helpers for Trio tasks: waking those that wait, tasks as long as a block, errors out of groups."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import trio
from attrs import Factory, define


@define(eq=False)
class Signal:
    """Wakes the tasks that wait for a change. It remembers nothing: wake-ups without a waiter are lost.

    A waiter checks what it waits for before and after, with no checkpoint between the check and `wait`:

        while not self._items:
            await self._arrived.wait()
    """

    _waiting: trio.lowlevel.ParkingLot = Factory(trio.lowlevel.ParkingLot)

    async def wait(self) -> None:
        """Return at the next `wake_all`."""
        await self._waiting.park()

    def wake_all(self) -> None:
        """Wake all tasks that wait now."""
        self._waiting.unpark_all()


@asynccontextmanager
async def running(task: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
    """Run the task beside the block. When the block is left, the task is cancelled, and has ended.

    An exception of the block comes out as it is, not in a group as from a nursery. An exception of the task
    cancels the block and comes out in a group.
    """
    error: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(task)
        try:
            yield
        except Exception as raised:
            error = raised
        nursery.cancel_scope.cancel()
    if error is not None:
        raise error


@contextmanager
def sole_error() -> Iterator[None]:
    """Unwrap a group of one error that comes out of the block; a group of several stays as it is.

    An error that was raised from another one of the group (`raise Lost from fault`) tells nothing new, and
    is not counted. For a nursery or task group that is an implementation detail of the code in the block.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        first = _without_consequences(group)
        if len(first.exceptions) > 1:
            raise
        error = first.exceptions[0]
        context = error.__context__
        try:
            raise error
        finally:
            # The context with which it was first raised, not the group.
            error.__context__ = context


def _without_consequences(group: BaseExceptionGroup[BaseException]) -> BaseExceptionGroup[BaseException]:
    """The group without the errors that were raised from others of it."""
    all_errors = [group, *errors_in(group)]
    consequences, others = group.split(lambda error: any(error.__cause__ is each for each in all_errors))
    return others if consequences and others else group


def errors_in(error: BaseException) -> Iterator[BaseException]:
    """All errors of a group and of the groups in it; of an error alone, that error."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from errors_in(each)
    else:
        yield error


def sole(error: BaseException) -> BaseException:
    """The error that is alone in a group and in the groups in it; anything else as it is."""
    first, *others = errors_in(error)
    return error if others else first


def first_error(error: BaseException) -> Any:
    """The first of `errors_in`: a task fails for one reason. The caller's `except*` knows its type."""
    return next(errors_in(error))
