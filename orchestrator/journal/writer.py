"""Writes the journals of all calls of a process to disk, in one worker thread.

A call hands over its records and goes on. The worker thread turns them into bytes and writes them, those of
some tens of milliseconds at a time, so no call waits for the disk. If the records of a call cannot be kept,
its journal ends there, which is logged and counted. What was written can be followed, to make rows of it.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Protocol

import trio
from attrs import Factory, define, frozen

from adapters.logs import library_logger
from adapters.storage.writes import KeepCall
from adapters.tasks import Signal
from orchestrator.journal.directory import make_directory
from orchestrator.journal.format import SUFFIX, About, CallJournal, End, Record, bytes_of, plain_record
from orchestrator.journal.records import Plain
from orchestrator.journal.redaction import Redactor

log = library_logger(__name__)

MOST_WAITING = 10_000
"""Records of all calls that may wait to be written: those of a hundred calls for some seconds."""
GATHER_S = 0.05
"""How long records are gathered before they are written. They are lost if the process is killed."""
INCOMPLETE = "incomplete journals"
"""The name under which incomplete journals are counted."""
append = os.write
MODE = 0o600
"""Only the owner may read a journal, since it may hold what was said."""


class Follower(Protocol):
    """Follows the journal of one call, in the worker thread. It must not raise anything."""

    def take(self, record: Plain) -> None:
        """Take in a record that is in the file now."""
        ...

    def over(self) -> KeepCall | None:
        """The call is over: the rows of what was written; None if there are none."""
        ...


@frozen
class Following:
    """How journals are followed."""

    follow: Callable[[Path], Follower]
    """Makes the follower of a journal, by its file."""
    keep: Callable[[KeepCall], None]
    """Is given the rows of each call that is over, in the Trio thread. Must not block."""


@define(eq=False)
class JournalFile:
    """The file of one call's journal. Only the worker thread uses it, and opens it only to add records."""

    path: Path
    redactor: Redactor | None
    follower: Follower | None = None
    _began: bool = False
    _failed: bool = False

    def add(self, records: Sequence[Record]) -> Exception | None:
        """Add records. Returns the first error; after it nothing is added."""
        if self._failed:
            return None
        try:
            plain = [plain_record(record, self.redactor) for record in records]
            self._write(b"".join(map(bytes_of, plain)), records)
        except Exception as error:
            self._failed = True
            return error
        if self.follower is not None:
            for record in plain:
                self.follower.take(record)
        return None

    def _write(self, data: bytes, records: Sequence[Record]) -> None:
        # At first the file must not exist; later it must: whoever moved it away does not want half a journal.
        new = 0 if self._began else os.O_CREAT | os.O_EXCL
        if not self._began:
            make_directory(self.path.parent)
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
    """Counts journals that are incomplete, under `INCOMPLETE`."""
    following: Following | None = None
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
        """The journal of a call, for as long as the block lasts."""
        path = self.path_of(about.session_id)
        follower = self.following.follow(path) if self.following else None
        file = JournalFile(path, Redactor() if self.redacted else None, follower)
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
        """Write until `close`, and then what is left. Not cancellable, so that every journal is finished."""
        limiter = trio.CapacityLimiter(1)
        with trio.CancelScope(shield=True):
            while self._waiting or not self._closing:
                await self._gather()
                batch = list(self._waiting)
                self._waiting.clear()
                written = await trio.to_thread.run_sync(_write, batch, limiter=limiter)
                for file, error in written.failed:
                    log.error("journal cannot be written", file=str(file.path), exc_info=error)
                    self.counts[INCOMPLETE] += 1
                for rows in written.over:
                    if self.following is not None:
                        self.following.keep(rows)
                self._written_so_far += len(batch)
                self._progress.wake_all()

    async def _gather(self) -> None:
        """Wait for a record, then for `GATHER_S`; return at once if somebody waits or `close` was called."""
        if not self._waiting and not self._closing:
            await self._arrived.wait()
        with trio.move_on_after(GATHER_S):
            while self._awaited_until <= self._written_so_far and not self._closing:
                await self._awaited.wait()

    def close(self) -> None:
        """Say that no further call will begin."""
        self._closing = True
        self._awaited.wake_all()
        self._arrived.wake_all()


@frozen
class _Written:
    """What became of a batch: the files that failed with the errors, and the rows of calls that are over."""

    failed: list[tuple[JournalFile, Exception]]
    over: list[KeepCall]


def _write(batch: Sequence[tuple[JournalFile, Record]]) -> _Written:
    """In the worker thread: one write for each file."""
    by_file: dict[JournalFile, list[Record]] = {}
    for file, record in batch:
        by_file.setdefault(file, []).append(record)
    written = _Written([], [])
    for file, records in by_file.items():
        error = file.add(records)
        if error is not None:
            written.failed.append((file, error))
        if isinstance(records[-1], End) and file.follower is not None:
            rows = file.follower.over()
            if rows is not None:
                written.over.append(rows)
    return written


@asynccontextmanager
async def open_journals(
    directory: Path, *, redacted: bool, counts: Counter[str], following: Following | None = None
) -> AsyncIterator[Journals]:
    """Keep journals in `directory`, for the calls within the block; leaving it waits until all are written.

    `check_directory` says beforehand whether that is possible.
    """
    journals = Journals(directory, redacted, counts, following)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journals.run)
        try:
            yield journals
        finally:
            journals.close()
