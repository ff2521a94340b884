"""A task that runs exactly as long as a block does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio


@asynccontextmanager
async def running(task: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
    """Run the task beside the block; when the block is left, the task is cancelled and has ended.

    An exception of the block comes out as it is, not inside a group as it would out of a nursery. An
    exception of the task cancels the block and comes out in a group.
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
