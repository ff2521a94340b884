"""Writes to the database in one worker thread, some tens of milliseconds at a time. Nobody waits for it.

What cannot be written now waits, up to a bound, and is written when the database is back. Beyond that it is
lost, which is counted and logged: the database holds nothing that a call needs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import trio
from attrs import Factory, define, field

from adapters.logs import library_logger
from adapters.storage.condition import Asked, Condition
from adapters.storage.writes import Write, rows_in
from adapters.tasks import Signal

log = library_logger(__name__)

GATHER_S = 0.05
"""So long rows are gathered before they are written."""
MOST_IN_BATCH = 200
"""Rows of one transaction: 200 take 2 ms in SQLite."""
MOST_PENDING = 20_000
"""Rows that may wait: those of a thousand calls for two minutes."""
RETRIES_S = (0.5, 1.0, 2.0, 5.0, 10.0)
"""The wait before each further try. The last is repeated."""
FINISH_S = 2.0
"""When the process ends, what still waits has so long."""

CarryOut = Callable[[Sequence[Write]], int]
"""Carries out a batch, in a worker thread. Returns how many rows were refused; raises `StorageError`."""


@define(eq=False)
class Writer:
    """Takes what is to be written. `run` must run beside."""

    carry_out: CarryOut
    condition: Condition
    most_pending: int = MOST_PENDING
    dropped: int = field(default=0, init=False)
    """Rows that were lost or refused."""
    _pending: deque[Write] = field(factory=deque, init=False)
    _pending_rows: int = field(default=0, init=False)
    _arrived: Signal = Factory(Signal)
    _emptied: Signal = Factory(Signal)
    _closed: trio.Event = Factory(trio.Event)
    _last_breath: trio.CancelScope = Factory(lambda: trio.CancelScope(shield=True))

    @property
    def pending(self) -> int:
        """Rows that wait to be written, or are being written."""
        return self._pending_rows

    def put(self, *writes: Write) -> None:
        """Have this written, in this order, after what was put before. Returns at once."""
        lost = 0
        for write in writes:
            rows = rows_in(write)
            if lost or self._pending_rows + rows > self.most_pending:
                lost += rows
            else:
                self._pending.append(write)
                self._pending_rows += rows
        self._drop(lost, "too many wait")
        self._arrived.wake_all()

    async def written(self) -> None:
        """Return when nothing waits any more."""
        while self._pending:
            await self._emptied.wait()

    async def run(self) -> None:
        """Write until `close`, and for `FINISH_S` what is left then. Otherwise not cancellable."""
        limiter = trio.CapacityLimiter(1)
        failures = 0
        with self._last_breath:
            while self._pending or not self._closed.is_set():
                await self._gather()
                if not self._pending or await self._batch(limiter):
                    failures = 0
                    continue
                if self._closed.is_set():
                    break
                with trio.move_on_after(RETRIES_S[min(failures, len(RETRIES_S) - 1)]):
                    await self._closed.wait()
                failures += 1
        left, self._pending_rows = self._pending_rows, 0
        self._pending.clear()
        self._drop(left, "the process ends")

    async def _gather(self) -> None:
        while not self._pending and not self._closed.is_set():
            await self._arrived.wait()
        if self._pending_rows < MOST_IN_BATCH:
            with trio.move_on_after(GATHER_S):
                await self._closed.wait()

    async def _batch(self, limiter: trio.CapacityLimiter) -> bool:
        """Write the oldest rows. They wait on if that fails."""
        batch = self._oldest()
        try:
            with self.condition.attempt(Asked.WRITING):
                # A thread that hangs must not keep the process from ending.
                refused = await trio.to_thread.run_sync(
                    self.carry_out, batch, limiter=limiter, abandon_on_cancel=True
                )
        except Exception:
            return False  # logged by the condition; whatever it is, it must not end the process
        for _ in batch:
            self._pending_rows -= rows_in(self._pending.popleft())
        self.dropped += refused
        if not self._pending:
            self._emptied.wake_all()
        return True

    def _oldest(self) -> list[Write]:
        """The writes that make the next transaction: one at least, however many rows it is."""
        rows = 0
        batch: list[Write] = []
        for write in self._pending:
            rows += rows_in(write)
            if batch and rows > MOST_IN_BATCH:
                break
            batch.append(write)
        return batch

    def _drop(self, number: int, why: str) -> None:
        if number > 0:
            self.dropped += number
            log.error("rows are not written", rows=number, why=why, dropped=self.dropped)

    def close(self) -> None:
        """Say that nothing more will be put."""
        self._last_breath.deadline = trio.current_time() + FINISH_S
        self._closed.set()
        self._arrived.wake_all()
