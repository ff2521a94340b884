"""Helpers for tests of what remains of calls: rows of records, and all rows of a database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import trio
from sqlalchemy import select

from adapters.storage.database import open_database
from adapters.storage.location import Location
from adapters.storage.store import Store, open_store
from adapters.storage.tables import call_edges, calls, edges, tool_calls, turns, usage
from adapters.storage.writes import KeepCall
from orchestrator.calls.call_fold import CallFold
from orchestrator.calls.following import following
from orchestrator.journal.format import End, Head, Record, plain_record
from orchestrator.journal.writer import open_journals
from orchestrator.simulation.campaign import Campaign, Finished

TABLES = (calls, turns, tool_calls, usage, call_edges, edges)

Rows = dict[str, list[tuple[Any, ...]]]


def rows_of(records: Sequence[Record]) -> KeepCall:
    """The rows of a call that has ended."""
    fold = CallFold()
    for record in records:
        fold.take(plain_record(record))
    if not isinstance(records[-1], End):
        fold.take(plain_record(End()))
    return fold.rows()


def turns_of(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Its rows of `turns`."""
    return [dict(each) for each in rows_of(records).parts["turns"]]


@cache
def hostile_calls() -> tuple[Finished, ...]:
    """Some simulated calls, with all that can happen in one. Made once, since each takes some 50 ms."""
    return tuple(Campaign(7, "hostile", invariants=()).calls(20))


def everything_in(location: Location) -> Rows:
    """All rows of what remains of calls, in order."""
    database = open_database(location)
    with database.reading() as connection:
        found = {table.name: [tuple(row) for row in connection.execute(select(table))] for table in TABLES}
    database.close()
    return {name: sorted(rows, key=repr) for name, rows in found.items()}


async def keep(
    calls_of: Iterable[Sequence[Record]], directory: Path, store: Store, *, redacted: bool = False
) -> Counter[str]:
    """Write the journals of these calls as a server does, all at once, and rows of them into the store."""
    counts: Counter[str] = Counter()
    kept = open_journals(
        directory, redacted=redacted, counts=counts, following=following(store.writer.put, counts)
    )
    async with kept as journals:
        for head, *others in calls_of:
            assert isinstance(head, Head)
            with journals.of_call(head.about) as journal:
                for record in (head, *others):
                    if not isinstance(record, End):
                        journal.keep(record)
    return counts


async def written(store: Store) -> None:
    """Return when all that was put is in the database."""
    with trio.fail_after(120):
        await store.writer.written()


async def kept_by_server(
    calls_of: Iterable[Sequence[Record]], directory: Path, location: Location, *, redacted: bool = False
) -> Rows:
    """What a server leaves of these calls: journals, and all rows of the database."""
    async with open_store(location) as store:
        assert not await keep(calls_of, directory, store, redacted=redacted)
        await written(store)
        assert store.writer.dropped == 0
    return await trio.to_thread.run_sync(everything_in, location)
