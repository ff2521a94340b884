"""Databases that are slow, locked, full, gone or damaged: what waits for them is bounded, and all is told."""

from __future__ import annotations

import logging
import os
import resource
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from sqlalchemy import text

from adapters.storage.database import open_database
from adapters.storage.errors import StorageError, UnavailableError, UnusableError
from adapters.storage.location import Location, location_of
from adapters.storage.store import Store, open_store
from tests.adapters.storage.test_store import token, tokens, written
from tests.databases import PostgresServer
from tests.orchestrator.real_servers import eventually

IMPATIENT_MS = 50


async def comes_to(store: Store, state: str) -> None:
    await eventually(lambda: store.report()["state"] == state)


@contextmanager
def locked(location: Location) -> Iterator[None]:
    """Another process has locked the database, or the table."""
    database = open_database(location)
    with database.writing() as connection:
        if location.file is None:
            connection.execute(text("lock table used_tokens in access exclusive mode"))
        else:
            connection.execute(text("delete from used_tokens where uses < 0"))
        yield
    database.close()


async def test_while_it_is_locked_rows_wait_and_then_they_are_written(location: Location) -> None:
    async with open_store(location, wait_ms=IMPATIENT_MS) as store:
        store.writer.put(token("before"))
        await written(store)
        with locked(location):
            store.writer.put(token("a"), token("b"))
            await comes_to(store, "unavailable")
            assert store.report() == {"state": "unavailable", "pending": 2, "dropped": 0}
        await written(store)
        assert await store.read(tokens) == {"a": 1, "b": 1, "before": 1}
        assert store.report() == {"state": "ok", "pending": 0, "dropped": 0}


async def test_of_what_comes_while_it_is_locked_only_so_much_waits(location: Location) -> None:
    async with open_store(location, most_pending=20, wait_ms=IMPATIENT_MS) as store:
        store.writer.put(token("before"))
        await written(store)
        with locked(location):
            for number in range(100):
                store.writer.put(token(f"{number:03}"))
            await comes_to(store, "unavailable")
            assert store.report() == {"state": "unavailable", "pending": 20, "dropped": 80}
        await written(store)
        assert len(await store.read(tokens) or ()) == 21


async def test_a_database_that_takes_long_is_called_slow(location: Location) -> None:
    async with open_store(location) as store:
        store.writer.put(token("before"))
        await written(store)
        with locked(location):
            store.writer.put(token("a"))
            await comes_to(store, "slow")
        await written(store)
        assert await store.read(tokens) == {"a": 1, "before": 1}


async def test_the_process_ends_though_it_is_locked(
    location: Location, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_store(location, wait_ms=IMPATIENT_MS) as store:
        store.writer.put(token("before"))
        await written(store)
        with locked(location):
            store.writer.put(token("a"))
            store.writer.close()
            await eventually(lambda: store.report()["dropped"] == 1)
    assert "rows are not written" in caplog.text


@contextmanager
def full(size: int) -> Iterator[None]:
    """No file can be made longer than `size` bytes, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_disk_that_is_full_is_told_and_nothing_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with open_store(Location(tmp_path / "vantum.db")) as store:
        store.writer.put(token("before"))
        await written(store)
        with full(300_000):
            store.writer.put(*(token(f"{number:05}" + "x" * 180) for number in range(5000)))
            await comes_to(store, "unavailable")
            assert store.report()["dropped"] == 0
        await written(store)
        assert len(await store.read(tokens) or ()) == 5001
    assert "the disk does not take it" in caplog.text
    assert "can be used again" in caplog.text


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
def test_a_directory_in_which_nothing_can_be_made_is_told_in_a_sentence(tmp_path: Path) -> None:
    # Root may write into every directory but those of the kernel.
    closed = Path("/proc/self") if os.getuid() == 0 else tmp_path / "closed"
    if os.getuid() != 0:
        closed.mkdir(mode=0o500)
    with pytest.raises(UnavailableError, match=rf"^The database {closed}/\S+ cannot be used: [^.]+\.$"):
        open_database(Location(closed / "data" / "vantum.db"))


@pytest.mark.parametrize("damage", ["no database", "a broken page"])
def test_a_damaged_file_is_told_in_a_sentence(damage: str, tmp_path: Path) -> None:
    file = tmp_path / "vantum.db"
    database = open_database(Location(file))
    database.close()
    with file.open("r+b") as opened:
        if damage == "a broken page":
            opened.seek(100)
        opened.write(b"\xff" * 4000)
    sentence = (
        f"The database {file} cannot be used: it is damaged; put a backup in its place, or move it away."
    )
    with pytest.raises(UnusableError) as raised:
        open_database(Location(file))
    assert str(raised.value) == sentence


async def test_a_file_that_is_taken_away_is_not_made_anew(tmp_path: Path) -> None:
    location = Location(tmp_path / "vantum.db")
    async with open_store(location) as store:
        store.writer.put(token("a"))
        await written(store)
        (tmp_path / "vantum.db").rename(tmp_path / "elsewhere.db")
        with pytest.raises(UnavailableError, match="No such file"):
            await store.read(tokens)
        store.writer.put(token("b"))
        await comes_to(store, "unavailable")
        (tmp_path / "elsewhere.db").rename(tmp_path / "vantum.db")
        await written(store)
        assert await store.read(tokens) == {"a": 1, "b": 1}


def test_a_file_of_another_program_is_told(tmp_path: Path) -> None:
    file = tmp_path / "photos.db"
    with sqlite3.connect(file) as connection:
        connection.execute("create table api_keys (photo blob)")
    connection.close()
    with pytest.raises(StorageError, match=rf"^The database {file} cannot be used: "):
        open_database(Location(file))


@pytest.mark.postgres
async def test_postgresql_may_be_killed_and_started_again(postgres: PostgresServer) -> None:
    async with open_store(postgres.new_database()) as store:
        store.writer.put(token("before"))
        await written(store)
        await trio.to_thread.run_sync(postgres.stop, "immediate")
        store.writer.put(token("a"))
        await comes_to(store, "unavailable")
        with pytest.raises(UnavailableError):
            await store.read(tokens)
        store.writer.put(token("b"))
        assert store.report() == {"state": "unavailable", "pending": 2, "dropped": 0}
        await trio.to_thread.run_sync(postgres.start)
        await written(store)
        assert await store.read(tokens) == {"a": 1, "b": 1, "before": 1}


@pytest.mark.postgres
async def test_postgresql_may_be_away_when_a_store_is_opened(postgres: PostgresServer) -> None:
    location = postgres.new_database()
    await trio.to_thread.run_sync(postgres.stop)
    async with open_store(location) as store:
        with pytest.raises(UnavailableError) as raised:
            await store.read(tokens)
        assert "p@ss" not in str(raised.value)
        assert "p%40ss" not in str(raised.value)
        store.writer.put(token("a"))
        await trio.to_thread.run_sync(postgres.start)
        await written(store)
        assert await store.read(tokens) == {"a": 1}


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me:hunter2@127.0.0.1:1/calls",
        "postgresql://me:hunter2@127.0.0.1:port/calls",
        "postgresql://me:hunter2@/calls?host=/none&sslmode=hunter2",
    ],
)
def test_what_is_told_of_an_address_that_does_not_work_holds_no_password(address: str) -> None:
    with pytest.raises(StorageError) as raised:
        open_database(location_of(address))
    assert "hunter2" not in str(raised.value)
    assert str(raised.value).startswith("The database postgresql://")


def test_without_the_driver_the_extra_that_brings_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(UnusableError, match="the extra `postgres` of vantum brings it"):
        open_database(location_of("postgresql://me@db/calls"))
