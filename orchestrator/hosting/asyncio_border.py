"""The border between a host's asyncio loop and Trio, which runs in a thread: the only place where they meet.

Each side calls functions on the other and waits for the result, so back-pressure crosses the border. A call
that is cancelled is cancelled on the other side, and has ended there before the cancellation continues. If
the host's loop is closed while Trio still runs, the thread notices within half a second, cancels all its
tasks and ends.

Why a thread and not Trio's guest mode: it costs the same (`benchmarks/asyncio_host.py`), several
orchestrators can run in one loop, the thread's work does not delay the host's loop, and a loop that is closed
too early leaves nothing behind.
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

from adapters.tasks import sole, sole_error
from orchestrator.hosting.transport import TransportClosed

LOOP_CHECK_S = 0.5
"""How often the thread checks that the host's loop is still open."""

T = TypeVar("T")


class OrchestratorClosed(RuntimeError):  # noqa: N818 (it says what happened)
    """Trio no longer runs in the thread."""

    def __init__(self) -> None:
        super().__init__("the orchestrator is closed: conversations run only within its block")


@define(eq=False)
class Border:
    """Connects the asyncio loop in which it is made with Trio in a thread.

    The loop calls `run_in_trio`, `run_in_trio_soon` and `enter_in_trio`, the thread calls `run_in_loop`.
    """

    loop: asyncio.AbstractEventLoop = Factory(asyncio.get_running_loop)
    _token: trio.lowlevel.TrioToken | None = None
    """None until Trio runs."""
    _nursery: trio.Nursery | None = None
    """None when no more work is accepted."""
    _stop: trio.Event = Factory(trio.Event)
    _waiting_for_loop: set[trio.lowlevel.Task] = Factory(set)
    """Trio tasks in `run_in_loop`."""

    # --- the thread ---------------------------------------------------------------------------------------

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Run Trio in a thread as long as the block lasts."""
        ready: asyncio.Future[None] = self.loop.create_future()
        over: asyncio.Future[None] = self.loop.create_future()

        def run_trio() -> None:
            settle = partial(over.set_result, None)
            try:
                trio.run(self._main, partial(ready.set_result, None))
            except BaseException as error:
                settle = partial(over.set_exception, error)
            self._call_soon(settle)

        # A daemon, so that it does not keep a program alive that ends without leaving the block.
        thread = threading.Thread(target=run_trio, name="vantum", daemon=True)
        thread.start()
        try:
            await _ended(ready)
            yield
        finally:
            self.run_in_trio_soon(self._stop.set)
            await _ended(over)
            thread.join()
        over.result()

    async def _main(self, ready: Callable[[], object]) -> None:
        self._token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as self._nursery:
            self._nursery.start_soon(self._watch_loop, self._nursery)
            self._call_soon(ready)
            await self._stop.wait()
            self._nursery.cancel_scope.cancel()
            self._nursery = None

    async def _watch_loop(self, nursery: trio.Nursery) -> None:
        """Stop Trio when the host's loop is closed. Wake the tasks that wait for it: nothing else would."""
        while not self.loop.is_closed():  # noqa: ASYNC110 (a loop does not notify when it is closed)
            await trio.sleep(LOOP_CHECK_S)
        nursery.cancel_scope.cancel()
        for task in tuple(self._waiting_for_loop):
            self._wake(task)

    # --- from asyncio to Trio -----------------------------------------------------------------------------

    async def run_in_trio(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run `work` in Trio. Cancelling this cancels it there. It has ended when this returns."""
        done: asyncio.Future[T] = self.loop.create_future()
        scope = trio.CancelScope()
        if not self.run_in_trio_soon(partial(self._begin, work, scope, done)):
            raise OrchestratorClosed
        cancelled = False
        while not done.done():
            try:
                await asyncio.wait([done])
            except asyncio.CancelledError:
                cancelled = True
                self.run_in_trio_soon(scope.cancel)
        if cancelled and (done.cancelled() or done.exception() is None):
            raise asyncio.CancelledError
        if done.cancelled():
            raise OrchestratorClosed
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
            # A cancelled scope takes the cancellation out of the group, and leaves the fault beside it.
            settle = partial(done.set_exception, sole(error) if scope.cancel_called else error)
        finally:
            self._call_soon(settle)

    def run_in_trio_soon(self, what: Callable[[], object]) -> bool:
        """Call `what`, which must be short, in Trio's thread soon. False if Trio does not run."""
        if self._token is None:
            return False
        try:
            self._token.run_sync_soon(what)
        except trio.RunFinishedError:
            return False
        return True

    @asynccontextmanager
    async def enter_in_trio(self, block: AbstractAsyncContextManager[T]) -> AsyncIterator[T]:
        """Enter a Trio context manager for an asyncio block. Its failure cancels the block, as in Trio."""
        entered: asyncio.Future[T] = self.loop.create_future()
        leaving = trio.Event()

        async def run_block() -> None:
            async with block as value:
                self._call_soon(partial(entered.set_result, value))
                await leaving.wait()

        with sole_error():
            async with asyncio.TaskGroup() as group:
                running = group.create_task(self.run_in_trio(run_block))
                first: list[asyncio.Future[Any]] = [running, entered]
                await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
                yield entered.result()
                self.run_in_trio_soon(leaving.set)

    # --- from Trio to asyncio -----------------------------------------------------------------------------

    async def run_in_loop(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run `work` in the host's loop. Cancelling this cancels it there. It has ended when this returns.

        Raises `TransportClosed` if the loop is closed, or if the host cancels the work.
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
                finished.exception()  # asyncio logs exceptions that were never retrieved
            self.run_in_trio_soon(partial(self._wake, waiting))

        def cancel() -> None:
            if task is not None:
                task.cancel()

        def abort(raise_cancel: object) -> trio.lowlevel.Abort:
            self._call_soon(cancel)
            return trio.lowlevel.Abort.FAILED

        if not self._call_soon(start):
            raise TransportClosed("the host's event loop is closed")
        self._waiting_for_loop.add(waiting)
        await trio.lowlevel.wait_task_rescheduled(abort)
        if task is None or not task.done() or task.cancelled():
            await trio.lowlevel.checkpoint_if_cancelled()
            raise TransportClosed("the host's event loop is closed, or being closed")
        return task.result()

    def _wake(self, task: trio.lowlevel.Task) -> None:
        if task in self._waiting_for_loop:
            self._waiting_for_loop.remove(task)
            trio.lowlevel.reschedule(task)

    def _call_soon(self, what: Callable[[], object]) -> bool:
        """Call `what`, which must be short, in the host's loop soon. False if the loop is closed."""
        try:
            self.loop.call_soon_threadsafe(what)
        except RuntimeError:
            return False
        return True


async def _awaited(work: Callable[[], Awaitable[T]]) -> T:
    return await work()


async def _ended(future: asyncio.Future[None]) -> None:
    """Wait until the future is done, even if cancelled. The cancellation is raised afterwards."""
    cancelled = False
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
