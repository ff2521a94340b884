"""The database of a process, as its tasks see it: no call waits for what is written, or for who reads.

It is opened when it is first needed. A file that does not exist yet is made for the first row that is
written, not for one that is read: a server that keeps nothing leaves nothing, and does not load SQLAlchemy.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

import trio
from attrs import Factory, define, field

from adapters.logs import library_logger
from adapters.storage.condition import Asked, Condition
from adapters.storage.location import Location, network_file_system
from adapters.storage.writer import MOST_PENDING, Writer
from adapters.storage.writes import Write
from adapters.tasks import sole_error

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from adapters.storage.database import Database

log = library_logger(__name__)

READERS = 4
"""Threads that may read at once. Each may wait for the database; calls share the processor with them."""

T = TypeVar("T")


@define(eq=False)
class Store:
    """A database. Made by `open_store`."""

    location: Location
    most_pending: int = MOST_PENDING
    wait_ms: int | None = None
    """How long a lock or a connection is waited for; None: as long as usual."""
    condition: Condition = Factory(lambda self: Condition(str(self.location)), takes_self=True)
    writer: Writer = Factory(
        lambda self: Writer(self._carry_out, self.condition, self.most_pending), takes_self=True
    )
    _database: Database | None = field(default=None, init=False)
    _opening: threading.Lock = Factory(threading.Lock)
    _readers: trio.CapacityLimiter = Factory(lambda: trio.CapacityLimiter(READERS))

    @property
    def is_open(self) -> bool:
        """Whether there is a database, as far as was seen. Nobody looks at its disk, which may be slow."""
        return self._database is not None

    async def load(self) -> None:
        """Load what writing needs, so that the first row is not written in the middle of a call's answer."""

        def load_libraries() -> None:
            import_module("adapters.storage.statements")
            if not self.location.may_exist():
                import_module("alembic.command")

        await trio.to_thread.run_sync(load_libraries, abandon_on_cancel=True)

    async def read(self, query: Callable[[Connection], T]) -> T | None:
        """What the query returns, in a worker thread and a transaction; None if there is no database yet.

        Raises `StorageError`.
        """

        def answer() -> T | None:
            # A file that was there and is gone is another matter: what it held is not known.
            if self._database is None and not self.location.may_exist():
                return None
            with self._opened().reading() as connection:
                return query(connection)

        with self.condition.attempt(Asked.READING):
            return await trio.to_thread.run_sync(answer, limiter=self._readers, abandon_on_cancel=True)

    def report(self) -> dict[str, Any]:
        """What `/health` says of it."""
        return {
            "state": self.condition.state.value,
            "pending": self.writer.pending,
            "dropped": self.writer.dropped,
        }

    def _carry_out(self, writes: Sequence[Write]) -> int:
        from adapters.storage.statements import carry_out

        return carry_out(self._opened(), writes)

    def _opened(self) -> Database:
        """In a worker thread: the open database. Raises `StorageError`."""
        from adapters.storage.database import WAIT_MS, open_database

        with self._opening:
            if self._database is None:
                self._database = open_database(self.location, self.wait_ms or WAIT_MS)
                self._warn_of_network()
            return self._database

    def _warn_of_network(self) -> None:
        kind = self.location.file and network_file_system(self.location.file)
        if kind:
            log.warning(
                "the database is on a network file system, where SQLite's files are damaged sooner or later: "
                "put DATA_DIR on a disk of this machine, or use PostgreSQL (DATABASE_URL)",
                file=str(self.location.file),
                kind=kind,
            )

    def close(self) -> None:
        """Close the connections that are not in use."""
        if self._database is not None:
            self._database.close()


@asynccontextmanager
async def open_store(
    location: Location, most_pending: int = MOST_PENDING, wait_ms: int | None = None
) -> AsyncIterator[Store]:
    """A store for as long as the block runs; leaving it waits a little until what was put is written."""
    store = Store(location, most_pending, wait_ms)
    with sole_error():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.writer.run)
            try:
                yield store
            finally:
                store.writer.close()
    store.close()
