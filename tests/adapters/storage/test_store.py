"""What is written arrives, in order, without anybody waiting; what cannot be written is counted."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import trio
from sqlalchemy import Connection, text

from adapters.storage.location import Location
from adapters.storage.store import Store, open_store
from adapters.storage.writes import Forget, Put, Raise
from tests.orchestrator.real_servers import eventually


def token(name: str, expires_ms: Any = 1000, uses: int = 1) -> Put:
    return Put("used_tokens", {"token_id": name, "expires_ms": expires_ms, "uses": uses})


def key(name: str) -> Put:
    row: dict[str, Any] = {"key_id": name, "digest": name.encode(), "pepper": "", "name": "", "shown": ""}
    return Put("api_keys", {**row, "scopes": "call", "created_ms": 1})


def tokens(connection: Connection) -> dict[str, int]:
    rows = connection.execute(text("select token_id, uses from used_tokens order by token_id"))
    return {row.token_id: row.uses for row in rows}


async def written(store: Store) -> None:
    with trio.fail_after(120):
        await store.writer.written()


async def test_what_is_put_is_there_later(location: Location) -> None:
    async with open_store(location) as store:
        store.writer.put(token("a"), token("b", uses=2))
        store.writer.put(token("a", uses=3))
        await written(store)
        assert await store.read(tokens) == {"a": 3, "b": 2}
        assert store.report() == {"state": "ok", "pending": 0, "dropped": 0}


async def test_what_is_put_last_is_written_before_the_process_ends(location: Location) -> None:
    async with open_store(location) as store:
        store.writer.put(*(token(f"{number:04}") for number in range(1000)))
    async with open_store(location) as store:
        assert len(await store.read(tokens) or ()) == 1000


async def test_a_number_is_raised_and_never_lowered(location: Location) -> None:
    def last_used(connection: Connection) -> list[int | None]:
        return list(connection.execute(text("select last_used_ms from api_keys order by key_id")).scalars())

    async with open_store(location) as store:
        store.writer.put(key("k"), key("l"), Raise("api_keys", "k", "last_used_ms", 7))
        store.writer.put(
            Raise("api_keys", "k", "last_used_ms", 5), Raise("api_keys", "none", "last_used_ms", 5)
        )
        await written(store)
        assert await store.read(last_used) == [7, None]


async def test_what_is_over_can_be_forgotten(location: Location) -> None:
    async with open_store(location) as store:
        store.writer.put(token("old", 10), token("new", 20), Forget("used_tokens", "expires_ms", 20))
        await written(store)
        assert await store.read(tokens) == {"new": 1}


@pytest.mark.parametrize("wrong", [token("wrong", None), token("wrong", 10**30), token("wr\udc00ng")])
async def test_a_row_that_the_database_refuses_takes_no_other_with_it(location: Location, wrong: Put) -> None:
    async with open_store(location) as store:
        store.writer.put(token("a"), wrong, token("b"))
        await written(store)
        assert await store.read(tokens) == {"a": 1, "b": 1}
        assert store.report() == {"state": "ok", "pending": 0, "dropped": 1}


async def test_more_than_may_wait_is_dropped_and_counted(location: Location) -> None:
    async with open_store(location, most_pending=10) as store:
        store.writer.put(*(token(f"{number:02}") for number in range(25)))
        assert store.report()["dropped"] == 15
        await written(store)
        assert list(await store.read(tokens) or ()) == [f"{number:02}" for number in range(10)]


async def test_reading_where_nothing_was_kept_makes_no_file(tmp_path: Path) -> None:
    async with open_store(Location(tmp_path / "data" / "vantum.db")) as store:
        assert await store.read(tokens) is None
        assert store.report()["state"] == "ok"
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240


async def test_a_file_is_read_by_its_user_alone(tmp_path: Path) -> None:
    async with open_store(Location(tmp_path / "data" / "vantum.db")) as store:
        store.writer.put(token("a"))
        await written(store)
        assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
        assert {file.stat().st_mode & 0o777 for file in (tmp_path / "data").iterdir()} == {0o600}


async def test_a_file_that_appears_later_is_read(tmp_path: Path) -> None:
    location = Location(tmp_path / "vantum.db")
    async with open_store(location) as store:
        assert await store.read(tokens) is None
        async with open_store(location) as other:
            other.writer.put(token("a"))
        assert await store.read(tokens) == {"a": 1}


async def test_a_backup_that_is_put_in_place_is_what_is_read(tmp_path: Path) -> None:
    location, backup = Location(tmp_path / "vantum.db"), Location(tmp_path / "backup.db")
    for at, name in ((location, "now"), (backup, "then")):
        async with open_store(at) as store:
            store.writer.put(token(name))
    async with open_store(location) as store:
        assert await store.read(tokens) == {"now": 1}
        (tmp_path / "backup.db").replace(tmp_path / "vantum.db")
        assert await store.read(tokens) == {"then": 1}


async def test_who_still_reads_when_the_store_is_closed_leaves_no_connection_open(location: Location) -> None:
    held: list[Any] = []
    begun, may_end = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        held.append(connection.connection.dbapi_connection)
        begun.set()
        may_end.wait()

    async with open_store(location) as store:
        store.writer.put(token("a"))
        await written(store)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.read, slow)
            await trio.to_thread.run_sync(begun.wait)
            nursery.cancel_scope.cancel()
    may_end.set()
    await eventually(lambda: is_closed(held[0]))


def is_closed(driver: Any) -> bool:
    """Whether a connection of the driver's is closed, which each driver tells in its own way."""
    if isinstance(driver, sqlite3.Connection):
        try:
            driver.total_changes  # noqa: B018 - raises for a closed one
        except sqlite3.ProgrammingError:
            return True
        return False
    return bool(driver.closed)


async def test_a_store_leaves_nothing_running(location: Location, leaves_nothing: Any) -> None:
    async with open_store(location) as store:
        store.writer.put(token("a"))
    with leaves_nothing():
        async with open_store(location) as store:
            store.writer.put(token("b"))
            await eventually(lambda: store.writer.pending == 0)


def test_sqlalchemy_is_loaded_by_nobody_who_keeps_nothing(tmp_path: Path) -> None:
    program = f"""
import sys, trio
from pathlib import Path
import orchestrator.server.startup
from adapters.storage.location import Location
from adapters.storage.store import open_store
from orchestrator.access.stored_book import open_key_book
from orchestrator.settings.settings import Settings

async def main():
    settings = Settings(data_dir={str(tmp_path)!r})
    async with open_store(settings.database) as store, open_key_book(settings, store) as book:
        assert not book.has_keys()

trio.run(main)
print(*(name for name in ("sqlalchemy", "alembic", "psycopg", "sqlite3") if name in sys.modules))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ran.stdout, ran.stderr) == ("\n", "")
