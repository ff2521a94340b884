"""Writes the journals of all calls of a process, off the hot path.

A call hands over records and goes on: turning them into bytes, and all of the disk's time, happens in one
worker thread, some tens of milliseconds' worth at a time. Whatever the disk does, no call waits for it; where
records cannot be kept, the journal of that call ends, which is logged and counted.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import structlog
import trio
from attrs import Factory, define

from adapters.tasks import Signal
from orchestrator.journal.format import SUFFIX, About, CallJournal, End, JournalError, Record, frame
from orchestrator.journal.redaction import Redactor

log = structlog.get_logger(__name__)

MOST_WAITING = 10_000
"""Records of all calls that may wait to be written: some seconds' worth of a hundred calls."""
GATHER_S = 0.05
"""How long records are gathered before they are written: what the kill of a process can cost."""
INCOMPLETE = "incomplete journals"
"""How they are counted."""
append = os.write
MODE = 0o600
"""A journal may hold what was said: it is its owner's to read."""


@define(eq=False)
class JournalFile:
    """One call's file. Only the worker thread uses it; it is open only while something is added."""

    path: Path
    redactor: Redactor | None
    _began: bool = False
    _failed: bool = False

    def add(self, records: Sequence[Record]) -> Exception | None:
        """Add records; returns why that is not possible, the first time. After it, nothing is added."""
        if self._failed:
            return None
        try:
            self._write(b"".join(frame(record, self.redactor) for record in records), records)
        except Exception as error:
            self._failed = True
            return error
        return None

    def _write(self, data: bytes, records: Sequence[Record]) -> None:
        # The first time it must not exist; later it must: who moved it away does not want half a journal.
        new = 0 if self._began else os.O_CREAT | os.O_EXCL
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | new, MODE)
        self._began = True
        try:
            while data:
                data = data[append(descriptor, data) :]
            if isinstance(records[-1], End):
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


@define(eq=False)
class Journals:
    """The journals of a process. Made by `open_journals`."""

    directory: Path
    redacted: bool
    counts: Counter[str]
    """Where those that are incomplete are counted."""
    most_waiting: int = MOST_WAITING
    _waiting: deque[tuple[JournalFile, Record]] = Factory(deque)
    _arrived: Signal = Factory(Signal)
    _awaited: Signal = Factory(Signal)
    _closing: bool = False
    _put_so_far: int = 0
    _written_so_far: int = 0
    """Records of all calls; those that could not be written count, for they never will be."""
    _awaited_until: int = 0
    """Somebody waits until so many records are written."""
    _progress: Signal = Factory(Signal)

    def path_of(self, session_id: str) -> Path:
        """Where the journal of a call is."""
        return self.directory / f"{session_id}{SUFFIX}"

    @contextmanager
    def of_call(self, about: About) -> Iterator[CallJournal]:
        """The journal of a call that lasts as long as the block."""
        file = JournalFile(self.path_of(about.session_id), Redactor() if self.redacted else None)
        lost = 0

        def keep(record: Record) -> None:
            nonlocal lost
            if lost or len(self._waiting) >= self.most_waiting:
                if not lost:
                    log.warning("journal incomplete", file=str(file.path), waiting=len(self._waiting))
                    self.counts[INCOMPLETE] += 1
                lost += 1
            else:
                self._put(file, record)

        try:
            yield CallJournal(about, keep, self._written)
        finally:
            self._put(file, End(lost))

    def _put(self, file: JournalFile, record: Record) -> None:
        self._waiting.append((file, record))
        self._put_so_far += 1
        self._arrived.wake_all()

    async def _written(self) -> None:
        """Return when everything that was put so far has been written."""
        await trio.lowlevel.checkpoint()
        self._awaited_until = last = self._put_so_far
        self._awaited.wake_all()
        while self._written_so_far < last:
            await self._progress.wait()

    async def run(self) -> None:
        """Write until `close`, and then what is left. Not cancellable: a file that is begun is finished."""
        limiter = trio.CapacityLimiter(1)
        with trio.CancelScope(shield=True):
            while self._waiting or not self._closing:
                await self._gather()
                batch = list(self._waiting)
                self._waiting.clear()
                for file, error in await trio.to_thread.run_sync(_write, batch, limiter=limiter):
                    log.error("journal cannot be written", file=str(file.path), exc_info=error)
                    self.counts[INCOMPLETE] += 1
                self._written_so_far += len(batch)
                self._progress.wake_all()

    async def _gather(self) -> None:
        """Return when there is enough to write, or somebody waits for it, or everything is over."""
        if not self._waiting and not self._closing:
            await self._arrived.wait()
        with trio.move_on_after(GATHER_S):
            while self._awaited_until <= self._written_so_far and not self._closing:
                await self._awaited.wait()

    def close(self) -> None:
        """No call will begin any more."""
        self._closing = True
        self._awaited.wake_all()
        self._arrived.wake_all()


def _write(batch: Sequence[tuple[JournalFile, Record]]) -> list[tuple[JournalFile, Exception]]:
    """In the worker thread: one write for each file. Returns the files that failed."""
    by_file: dict[JournalFile, list[Record]] = {}
    for file, record in batch:
        by_file.setdefault(file, []).append(record)
    failed = []
    for file, records in by_file.items():
        error = file.add(records)
        if error is not None:
            failed.append((file, error))
    return failed


@asynccontextmanager
async def open_journals(directory: Path, *, redacted: bool, counts: Counter[str]) -> AsyncIterator[Journals]:
    """Keep journals in `directory`, for the calls within the block; leaving it waits until all are written.

    `check_directory` says beforehand whether that is possible.
    """
    journals = Journals(directory, redacted, counts)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journals.run)
        try:
            yield journals
        finally:
            journals.close()


def check_directory(directory: Path) -> None:
    """Make the directory, if need be, and a file in it. Raises `JournalError`."""
    trial = directory / f".trial-{os.getpid()}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        trial.write_bytes(b"")
        trial.unlink()
    except OSError as error:
        raise JournalError(
            f"JOURNAL_DIR is {str(directory)!r}, but journals cannot be written there: {error.strerror}."
        ) from None
