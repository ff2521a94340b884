"""A database that is open: connections, transactions, and errors in our words. All of it blocks.

For worker threads (`store.py`) and for commands.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from attrs import define, field
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, SQLAlchemyError

from adapters.neutral import neutral
from adapters.storage.errors import RefusedWriteError, StorageError, UnavailableError, UnusableError
from adapters.storage.location import Location
from adapters.storage.migrate import is_current, migrate

WAIT_MS = 5000
"""So long a lock, a connection or a statement is waited for."""
POOL = 6
"""Connections: of the writer, the readers, and one that migrates."""
_PRAGMAS = ("journal_mode = wal", "synchronous = normal", "foreign_keys = on")
_PATIENCE = text(
    "select set_config('statement_timeout', :wait, true), set_config('lock_timeout', :wait, true)"
)
"""Within a transaction of PostgreSQL's: how long it may wait, in ms; 0 without a bound."""
_BEGIN = "begin_with"
"""The execution option with the words that begin a transaction of SQLite's."""
_LOCKED = "another process has locked it"
_DAMAGED = "it is damaged; put a backup in its place, or move it away"
_REASONS = {
    "SQLITE_BUSY": _LOCKED,
    "SQLITE_LOCKED": _LOCKED,
    "SQLITE_FULL": "the disk is full",
    "SQLITE_READONLY": "it may not be written",
    "SQLITE_PERM": "it may not be opened",
    "SQLITE_AUTH": "it may not be opened",
    "SQLITE_CANTOPEN": "it cannot be opened in this directory",
    "SQLITE_IOERR": "the disk does not take it",
    "SQLITE_CORRUPT": _DAMAGED,
    "SQLITE_NOTADB": _DAMAGED,
}
"""By names of SQLite's primary result codes."""


@define(eq=False)
class Database:
    """A database whose tables are what this version needs. Made by `open_database`."""

    location: Location
    wait_ms: int
    _engine: Engine
    _file_id: tuple[int, int] | None = field(default=None, init=False)
    _closed: bool = field(default=False, init=False)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that changes nothing. Raises `StorageError`."""
        with told(self.location), self._connected("BEGIN") as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is committed with the block. Raises `StorageError`.

        In SQLite it has the only right to write from the beginning: one that asks for it later may be refused
        at once, however long it was to wait.
        """
        with told(self.location), self._connected("BEGIN IMMEDIATE") as connection:
            yield connection

    @contextmanager
    def _connected(self, begin: str) -> Iterator[Connection]:
        self._leave_another_file()
        pool = self._engine.pool
        try:
            with (
                self._engine.connect().execution_options(**{_BEGIN: begin}) as connection,
                connection.begin(),
            ):
                if self.location.file is None:
                    connection.execute(_PATIENCE, {"wait": str(self.wait_ms)})
                yield connection
        finally:
            # Whoever is last closes the connections of a pool that was given up while this one was in use.
            if self._closed or self._engine.pool is not pool:
                pool.dispose()

    def _leave_another_file(self) -> None:
        """Connections to a file that was moved away or replaced go on with it, as if nothing had happened."""
        if self.location.file is None:
            return
        found = self.location.file.stat()
        current = (found.st_dev, found.st_ino)
        if self._file_id not in (None, current):
            self._engine.dispose()
        self._file_id = current

    def bring_up_to_date(self) -> None:
        """Migrate, if that is needed. Raises `StorageError`."""
        with self.reading() as connection:
            if is_current(connection):
                return
        with self.writing() as connection:
            if self.location.file is None:
                connection.execute(_PATIENCE, {"wait": "0"})
            migrate(connection)

    def close(self) -> None:
        """Close all connections: those in use as soon as they are not."""
        self._closed = True
        self._engine.dispose()


def open_database(location: Location, wait_ms: int = WAIT_MS) -> Database:
    """Connect, make SQLite's file if need be, and bring the tables up to date. Raises `StorageError`."""
    with told(location):
        if location.file is not None:
            _make(location.file)
        database = Database(location, wait_ms, _engine(location, wait_ms))
    try:
        database.bring_up_to_date()
    except StorageError:
        database.close()
        raise
    return database


def is_up_to_date(location: Location) -> bool:
    """Whether the tables of a database that exists are what this version needs. Changes nothing.

    Raises `StorageError`.
    """
    with told(location):
        database = Database(location, WAIT_MS, _engine(location, WAIT_MS))
    try:
        with database.reading() as connection:
            return is_current(connection)
    finally:
        database.close()


def _make(file: Path) -> None:
    """An empty file, which is an empty database, for its user's eyes only. SQLite would ask the umask."""
    if not file.exists():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))


def _engine(location: Location, wait_ms: int) -> Engine:
    url = _url(location)
    options = {} if location.file else _postgres_options(wait_ms)
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_size=POOL,
        max_overflow=0,
        pool_timeout=wait_ms / 1000,
        pool_pre_ping=location.file is None,
        connect_args=options,
    )
    if location.file is not None:
        event.listen(engine, "connect", partial(_prepare, wait_ms))
        event.listen(engine, "begin", _begin)
    return engine


def _url(location: Location) -> URL:
    if location.file is not None:
        return URL.create("sqlite", database=str(location.file))
    try:
        return make_url(location.address)
    except (ArgumentError, ValueError):
        raise UnusableError("its address cannot be read") from None


def _postgres_options(wait_ms: int) -> dict[str, Any]:
    return {
        "connect_timeout": max(2, wait_ms // 1000),
        # Of a machine that is gone, nothing comes any more, not even that it is gone.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 2 * wait_ms,
        # Poolers that give each transaction another connection know no prepared statements.
        "prepare_threshold": None,
        "application_name": "vantum",
    }


def _prepare(wait_ms: int, connection: sqlite3.Connection, record: object) -> None:
    """Prepare a new connection to SQLite."""
    # The driver begins no transactions of its own: `_begin` does.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {wait_ms}")
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))


# --- errors -----------------------------------------------------------------------------------------------


@contextmanager
def told(location: Location) -> Iterator[None]:
    """Errors of the block come out as `StorageError`, in one sentence each."""
    try:
        yield
    except StorageError as error:
        raise type(error)(_sentence(location, str(error))) from None
    except ImportError as error:
        needed = f"psycopg cannot be loaded ({error}); the extra `postgres` of vantum brings it"
        raise UnusableError(_sentence(location, needed)) from None
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise _kind_of(error)(_sentence(location, _reason(error))) from None


def _sentence(location: Location, reason: str) -> str:
    beginning = f"The database {location} cannot be used: "
    return reason if reason.startswith(beginning) else location.without_secrets(f"{beginning}{reason}.")


def _kind_of(error: Exception) -> type[StorageError]:
    if _sqlite_code(error) in ("SQLITE_CORRUPT", "SQLITE_NOTADB") or isinstance(error, ArgumentError):
        return UnusableError
    # Whatever else is wrong may be mended without this process: a table that is missing, a right, a disk.
    return RefusedWriteError if isinstance(error, IntegrityError | DataError) else UnavailableError


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    original = error.orig if isinstance(error, DBAPIError) else error
    known = _REASONS.get(_sqlite_code(error))
    return known or neutral(str(original).strip().partition("\n")[0].rstrip("."))


def _sqlite_code(error: Exception) -> str:
    """The name of SQLite's primary result code, such as SQLITE_BUSY; empty for another error."""
    original = error.orig if isinstance(error, DBAPIError) else error
    name: str = getattr(original, "sqlite_errorname", "")
    return "_".join(name.split("_")[:2])
