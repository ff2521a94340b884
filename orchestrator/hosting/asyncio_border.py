"""The border between a host's asyncio loop and Trio: the only place where the two meet.

What crosses it does so one call at a time, and whoever calls waits for the answer: so back-pressure crosses
too. A call that is cancelled is cancelled on the other side, and has ended there before the cancellation goes
on. When the host's loop is closed while Trio lives, the thread notices within half a second, cancels
everything in it and ends.

A thread rather than Trio's guest mode: the costs are the same (`benchmarks/asyncio_host.py`), there may be
several orchestrators in one loop, the host's loop is not held up by what the thread computes, and a loop that
is closed too early leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, TypeVar

import trio
from attrs import Factory, define

from adapters.tasks import sole_error
from orchestrator.hosting.transport import TransportClosed

LOOP_LOOKED_AT_S = 0.5
"""How often the thread looks whether the host's loop is still open."""

T = TypeVar("T")


class Over(RuntimeError):  # noqa: N818 (it says what happened)
    """There is no Trio to do anything in."""

    def __init__(self) -> None:
        super().__init__("the orchestrator is closed: conversations are held within its block")


@define(eq=False)
class Border:
    """Between an asyncio loop, the one that runs where this is made, and Trio in a thread.

    The loop uses `run`, `tell` and `held`, the thread uses `ask`.
    """

    loop: asyncio.AbstractEventLoop = Factory(asyncio.get_running_loop)
    _token: trio.lowlevel.TrioToken | None = None
    """None before Trio runs."""
    _nursery: trio.Nursery | None = None
    """None when nothing is begun any more."""
    _stop: trio.Event = Factory(trio.Event)
    _asking: set[trio.lowlevel.Task] = Factory(set)
    """Tasks that wait for the host's loop."""

    # --- the thread ---------------------------------------------------------------------------------------

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Trio lives in a thread for as long as the block lasts."""
        ready: asyncio.Future[None] = self.loop.create_future()
        over: asyncio.Future[None] = self.loop.create_future()

        def live() -> None:
            settle = partial(over.set_result, None)
            try:
                trio.run(self._live, partial(ready.set_result, None))
            except BaseException as error:
                settle = partial(over.set_exception, error)
            self._call_soon(settle)

        # A daemon: a program that ends without leaving the block is not held up.
        thread = threading.Thread(target=live, name="vantum", daemon=True)
        thread.start()
        try:
            await _ended(ready)
            yield
        finally:
            self.tell(self._stop.set)
            await _ended(over)
            thread.join()
        over.result()

    async def _live(self, ready: Callable[[], object]) -> None:
        self._token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as self._nursery:
            self._nursery.start_soon(self._watch_loop, self._nursery)
            self._call_soon(ready)
            await self._stop.wait()
            self._nursery.cancel_scope.cancel()
            self._nursery = None

    async def _watch_loop(self, nursery: trio.Nursery) -> None:
        """When the host's loop is closed, nobody else wakes those who wait for it."""
        while not self.loop.is_closed():  # noqa: ASYNC110 (a loop tells nobody when it is closed)
            await trio.sleep(LOOP_LOOKED_AT_S)
        nursery.cancel_scope.cancel()
        for task in tuple(self._asking):
            self._wake(task)

    # --- from asyncio to Trio -----------------------------------------------------------------------------

    async def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do `work` in Trio. Cancelling this cancels it there; either way it has ended when this returns."""
        done: asyncio.Future[T] = self.loop.create_future()
        scope = trio.CancelScope()
        if not self.tell(partial(self._begin, work, scope, done)):
            raise Over
        cancelled = False
        while not done.done():
            try:
                await asyncio.wait([done])
            except asyncio.CancelledError:
                cancelled = True
                self.tell(scope.cancel)
        if cancelled and (done.cancelled() or done.exception() is None):
            raise asyncio.CancelledError
        if done.cancelled():
            raise Over
        return done.result()

    def _begin(
        self, work: Callable[[], Awaitable[T]], scope: trio.CancelScope, done: asyncio.Future[T]
    ) -> None:
        if self._nursery is None:
            self._call_soon(done.cancel)
        else:
            self._nursery.start_soon(self._work, work, scope, done)

    async def _work(
        self, work: Callable[[], Awaitable[T]], scope: trio.CancelScope, done: asyncio.Future[T]
    ) -> None:
        settle: Callable[[], object] = done.cancel
        try:
            with scope:
                settle = partial(done.set_result, await work())
        except Exception as error:
            settle = partial(done.set_exception, error)
        finally:
            self._call_soon(settle)

    def tell(self, what: Callable[[], object]) -> bool:
        """Do something short in Trio's thread, soon; whether it is still there."""
        if self._token is None:
            return False
        try:
            self._token.run_sync_soon(what)
        except trio.RunFinishedError:
            return False
        return True

    @asynccontextmanager
    async def held(self, block: AbstractAsyncContextManager[T]) -> AsyncIterator[T]:
        """A block of Trio's as one of asyncio's. A failure within it cancels the body here, as in Trio."""
        entered: asyncio.Future[T] = self.loop.create_future()
        leaving = trio.Event()

        async def hold() -> None:
            async with block as value:
                self._call_soon(partial(entered.set_result, value))
                await leaving.wait()

        with sole_error():
            async with asyncio.TaskGroup() as group:
                holding = group.create_task(self.run(hold))
                first: list[asyncio.Future[Any]] = [holding, entered]
                await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
                yield entered.result()
                self.tell(leaving.set)

    # --- from Trio to asyncio -----------------------------------------------------------------------------

    async def ask(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do `work` in the host's loop. Cancelling this cancels it there; either way it has ended there.

        Raises `TransportClosed` when the loop is closed, or cancels the work by itself.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        waiting = trio.lowlevel.current_task()
        task: asyncio.Task[T] | None = None

        def start() -> None:
            nonlocal task
            task = self.loop.create_task(_awaited(work))
            task.add_done_callback(finish)

        def finish(finished: asyncio.Task[T]) -> None:
            if not finished.cancelled():
                finished.exception()  # asyncio complains of those that nobody looks at
            self.tell(partial(self._wake, waiting))

        def cancel() -> None:
            if task is not None:
                task.cancel()

        def abort(raise_cancel: object) -> trio.lowlevel.Abort:
            self._call_soon(cancel)
            return trio.lowlevel.Abort.FAILED

        if not self._call_soon(start):
            raise TransportClosed("the host's event loop is closed")
        self._asking.add(waiting)
        await trio.lowlevel.wait_task_rescheduled(abort)
        if task is None or not task.done() or task.cancelled():
            await trio.lowlevel.checkpoint_if_cancelled()
            raise TransportClosed("the host's event loop is closed, or being closed")
        return task.result()

    def _wake(self, task: trio.lowlevel.Task) -> None:
        if task in self._asking:
            self._asking.remove(task)
            trio.lowlevel.reschedule(task)

    def _call_soon(self, what: Callable[[], object]) -> bool:
        """Do something short in the host's loop, soon; whether it is still there."""
        try:
            self.loop.call_soon_threadsafe(what)
        except RuntimeError:
            return False
        return True


async def _awaited(work: Callable[[], Awaitable[T]]) -> T:
    return await work()


async def _ended(future: asyncio.Future[None]) -> None:
    """Wait until it is done, whatever happens; what happened meanwhile is raised then."""
    cancelled = False
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
