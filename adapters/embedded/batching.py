"""Batching: pieces of work of all calls go through a model together, in one visit to a worker thread.

A model takes far less time for 16 rows at once than for 16 times one, and a visit to a thread costs the main
thread about as much as a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, cast

import trio
from attrs import Factory, define

GATHERED_S = 0.005
"""So long the first piece of a batch waits for others."""

Work = TypeVar("Work")
Result = TypeVar("Result")


@define(eq=False)
class _Piece(Generic[Work, Result]):
    """A piece of work whose task waits for the result."""

    work: Work
    woken: trio.Event = Factory(trio.Event)
    leads: bool = False
    """Its task is to run the next batch."""
    result: Result | None = None
    error: Exception | None = None


@define(eq=False)
class Batching(Generic[Work, Result]):
    """Runs `run` in a worker thread on all the work that waits; it returns the results in the same order.

    One batch runs at a time, in the task of one of those that wait: there is no task of its own.
    """

    run: Callable[[Sequence[Work]], Sequence[Result]]
    gathered_s: float = GATHERED_S
    _limiter: trio.CapacityLimiter = Factory(lambda: trio.CapacityLimiter(1))
    _waiting: list[_Piece[Work, Result]] = Factory(list)
    _busy: bool = False

    async def __call__(self, work: Work) -> Result:
        """The result for this piece of work. What `run` raises comes out of all calls of its batch."""
        mine: _Piece[Work, Result] = _Piece(work, leads=not self._busy)
        self._busy = True
        self._waiting.append(mine)
        try:
            if not mine.leads:
                await mine.woken.wait()
            if mine.leads:
                await trio.sleep(self.gathered_s)
                await self._run_batch()
        finally:
            if mine in self._waiting:
                self._waiting.remove(mine)
            if mine.leads:
                self._pass_on()
        if mine.error is not None:
            raise mine.error
        return cast(Result, mine.result)

    async def _run_batch(self) -> None:
        batch, self._waiting = self._waiting, []
        try:
            # Others wait for this, whoever runs it.
            with trio.CancelScope(shield=True):
                results = await trio.to_thread.run_sync(
                    self.run, [each.work for each in batch], limiter=self._limiter
                )
            for each, result in zip(batch, results, strict=True):
                each.result = result
        except Exception as error:
            for each in batch:
                each.error = error
        for each in batch:
            each.woken.set()

    def _pass_on(self) -> None:
        """Let the first of those that wait run the next batch."""
        self._busy = bool(self._waiting)
        if self._waiting:
            self._waiting[0].leads = True
            self._waiting[0].woken.set()
