"""Makes the rows of calls anew, out of their journals. It blocks: for commands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from attrs import Factory, define, frozen

from adapters.storage.database import Database
from adapters.storage.statements import carry_out
from adapters.storage.writes import KeepCall, rows_in
from orchestrator.calls.call_fold import CallFold
from orchestrator.calls.prices import Prices
from orchestrator.journal.format import JournalError
from orchestrator.journal.frames import SUFFIX, read_plain, unreadable

ROWS_AT_ONCE = 1000
"""Rows of one transaction: servers that write to the same file of SQLite's wait for it, some 10 ms."""


@frozen
class CallRows:
    """The rows of one journal."""

    rows: KeepCall
    torn_bytes: int
    """Bytes of a record at the end of the file that is not whole, as a crash leaves it."""
    complete: bool
    """Whether the journal has its end. If not, the call runs yet, or a crash ended it."""


def rows_of(path: Path, prices: Prices | None = None) -> CallRows:
    """The rows of the call whose journal is in a file. Raises `JournalError`."""
    journal = read_plain(path)
    fold = CallFold(prices or Prices())
    try:
        for record in journal.records:
            fold.take(record)
        if not fold.begun:
            raise JournalError(f"{path} breaks off before the call begins: nothing is known of it.")
        return CallRows(fold.rows(), journal.torn_bytes, fold.complete)
    except JournalError:
        raise
    except Exception as error:
        # What a record holds is checked while it is taken in: whatever is raised, it is not one of ours.
        raise unreadable(path, journal.records, error) from None


def journals_in(directory: Path) -> list[Path]:
    """The journals in a directory, oldest first as their names say. Raises `JournalError`."""
    try:
        return sorted(each for each in directory.iterdir() if each.name.endswith(SUFFIX))
    except OSError as error:
        raise JournalError(f"{directory} cannot be read: {error.strerror}.") from None


@define
class Indexed:
    """What came of indexing."""

    calls: int = 0
    """Calls whose rows were made, those whose journals have no end included."""
    refused: int = 0
    """Rows that the database refused, as the log says."""
    without_end: list[str] = Factory(list)
    """A sentence for each journal that breaks off; what comes before was indexed."""
    skipped: list[str] = Factory(list)
    """A sentence for each journal that cannot be read, which names it."""


def index(
    paths: Iterable[Path],
    database: Database,
    progress: Callable[[], None] = lambda: None,
    prices: Prices | None = None,
) -> Indexed:
    """Put the rows of these journals into the database, instead of those that it has of the same calls.

    `progress` is called after each journal. Raises `StorageError`; what was put before stays.
    """
    done = Indexed()
    for batch in _batches(_all_rows(paths, done, progress, prices or Prices())):
        done.refused += carry_out(database, batch)
        done.calls += len(batch)
    return done


def _all_rows(
    paths: Iterable[Path], done: Indexed, progress: Callable[[], None], prices: Prices
) -> Iterator[KeepCall]:
    for path in paths:
        try:
            found = rows_of(path, prices)
        except JournalError as error:
            done.skipped.append(str(error))
        else:
            if not found.complete:
                torn = f" in the middle of a record ({found.torn_bytes} bytes)" if found.torn_bytes else ""
                done.without_end.append(f"{path} breaks off{torn}: the call runs yet, or a crash ended it.")
            yield found.rows
        progress()


def _batches(writes: Iterable[KeepCall]) -> Iterator[list[KeepCall]]:
    batch: list[KeepCall] = []
    rows = 0
    for write in writes:
        batch.append(write)
        rows += rows_in(write)
        if rows >= ROWS_AT_ONCE:
            yield batch
            batch, rows = [], 0
    if batch:
        yield batch
