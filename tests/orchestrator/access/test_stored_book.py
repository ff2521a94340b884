"""The key book of a server, beside `vantum keys` and beside databases that do not answer."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog
import trio
from attrs import frozen
from pydantic import SecretStr

from adapters.storage.errors import UnusableError
from adapters.storage.location import Location
from adapters.storage.store import Store, open_store
from orchestrator.access.grants import KeyLimits, Scope
from orchestrator.access.stored_book import StoredKeyBook, open_key_book
from orchestrator.cli.keys import Made, all_keys, create_key, revoke
from orchestrator.settings.settings import Settings
from tests.adapters.storage.test_store import tokens, written
from tests.databases import PostgresServer
from tests.orchestrator.real_servers import eventually

LATER_MS = 4_000_000_000_000


@frozen
class Kept:
    """An open key book."""

    book: StoredKeyBook
    store: Store

    def knows(self, made: Made) -> bool:
        digest = self.book.digest(made.secret)
        return digest is not None and self.book.find(digest) is not None


@asynccontextmanager
async def keeping(settings: Settings) -> AsyncIterator[Kept]:
    async with (
        open_store(settings.database, wait_ms=50) as store,
        open_key_book(settings, store) as book,
    ):
        yield Kept(book, store)


@pytest.fixture
def settings(location: Location, tmp_path: Path) -> Settings:
    address = f"sqlite:///{location.file}" if location.file else location.address
    return Settings(data_dir=tmp_path / "data", database_url=SecretStr(address))


def new_key(settings: Settings, name: str = "") -> Made:
    return create_key(settings, name, ["call", "dial"], KeyLimits(calls_at_once=3))


async def test_a_key_that_was_made_before_the_start_is_known(settings: Settings) -> None:
    made = await trio.to_thread.run_sync(new_key, settings, "Ann's shop")
    async with keeping(settings) as kept:
        digest = kept.book.digest(made.secret)
        assert digest is not None
        found = kept.book.find(digest)
        assert found == made.key
        assert found.scopes == {Scope.CALL, Scope.DIAL}
        assert found.limits == KeyLimits(calls_at_once=3)
        assert kept.book.has_keys()


async def test_keys_come_and_go_while_the_server_runs(settings: Settings) -> None:
    async with keeping(settings) as kept:
        assert not kept.book.has_keys()
        assert not kept.book.had_keys()
        made = await trio.to_thread.run_sync(new_key, settings)
        await eventually(lambda: kept.knows(made))
        assert kept.book.has_keys()
        await trio.to_thread.run_sync(revoke, settings, made.key.key_id)
        await eventually(lambda: not kept.knows(made))
        assert not kept.book.has_keys()
        assert kept.book.had_keys()


async def test_when_a_key_was_used_is_kept(settings: Settings) -> None:
    made = await trio.to_thread.run_sync(new_key, settings)
    async with keeping(settings) as kept:
        kept.book.used(made.key.key_id, 1_700_000_000_000)
    assert [key.last_used_ms for key in all_keys(settings)] == [1_700_000_000_000]


async def test_a_token_that_was_used_before_the_server_stopped_is_not_taken_again(settings: Settings) -> None:
    for taken in ([True, False], [False, False]):
        async with keeping(settings) as kept:
            assert [kept.book.spend("t", LATER_MS, 1) for _ in range(2)] == taken
            assert not kept.book.has_keys()


async def test_servers_that_share_a_database_count_uses_each_and_know_what_was_used_before_they_started(
    settings: Settings,
) -> None:
    async with keeping(settings) as one, keeping(settings) as other:
        assert [each.book.spend("t", LATER_MS, 1) for each in (one, other, one, other)] == [True] * 2 + [
            False
        ] * 2
        await written(one.store)
        async with keeping(settings) as later:
            assert not later.book.spend("t", LATER_MS, 1)


async def test_a_use_that_was_given_back_is_not_counted_after_a_start_either(settings: Settings) -> None:
    async with keeping(settings) as kept:
        assert kept.book.spend("t", LATER_MS, 1)
        kept.book.give_back("t", LATER_MS)
    async with keeping(settings) as kept:
        assert [kept.book.spend("t", LATER_MS, 1) for _ in range(2)] == [True, False]


async def test_tokens_that_have_expired_are_not_kept_for_ever(settings: Settings) -> None:
    async with keeping(settings) as kept:
        assert kept.book.spend("old", 1000, 1)
        assert kept.book.spend("new", LATER_MS, 1)
        await written(kept.store)
        kept.book.forget_tokens()
        await written(kept.store)
        assert await kept.store.read(tokens) == {"new": 1}


async def test_a_key_of_another_pepper_is_told(settings: Settings, tmp_path: Path) -> None:
    made = await trio.to_thread.run_sync(new_key, settings)
    elsewhere = settings.model_copy(update={"data_dir": tmp_path / "another machine"})
    with structlog.testing.capture_logs() as lines:
        async with keeping(elsewhere) as kept:
            assert not kept.knows(made)
            assert kept.book.has_keys()
    [told] = [line for line in lines if "another pepper; set KEY_PEPPER" in line["event"]]
    assert told["keys"] == [made.key.key_id]
    assert not (tmp_path / "another machine").exists()


async def test_a_server_that_cannot_read_its_keys_lets_nobody_in(tmp_path: Path) -> None:
    address = f"postgresql://me:hunter2@/calls?host={tmp_path}"
    settings = Settings(data_dir=tmp_path / "data", database_url=SecretStr(address))
    async with keeping(settings) as kept:
        assert kept.book.has_keys()
        assert kept.book.had_keys()
        assert kept.book.digest("vsk_") is None
        assert kept.store.report()["state"] == "unavailable"


async def test_what_was_known_holds_while_the_file_is_gone(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    made = await trio.to_thread.run_sync(new_key, settings)
    async with keeping(settings) as kept:
        (tmp_path / "vantum.db").rename(tmp_path / "away.db")
        await eventually(lambda: kept.store.report()["state"] == "unavailable")
        assert kept.knows(made)
        assert kept.book.has_keys()


async def test_a_disk_that_cannot_be_looked_at_any_more_ends_nothing(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    settings = Settings(data_dir=directory)
    made = await trio.to_thread.run_sync(new_key, settings)
    async with keeping(settings) as kept:
        directory.rename(tmp_path / "away")
        directory.symlink_to("x" * 300)  # as if it were a disk that answers with errors
        await eventually(lambda: kept.store.report()["state"] == "unavailable")
        kept.book.forget_tokens()  # as it does each minute
        assert kept.knows(made)


async def test_a_disk_that_cannot_be_looked_at_at_the_start_lets_nobody_in(tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to("x" * 300)
    async with keeping(Settings(data_dir=tmp_path / "data")) as kept:
        assert kept.book.has_keys()
        assert kept.store.report()["state"] == "unavailable"


async def test_a_damaged_database_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "vantum.db").write_text("this is no database, and is long enough to be looked at" * 100)
    with pytest.raises(UnusableError, match=r"vantum.db cannot be used: it is damaged; put a backup"):
        async with keeping(Settings(data_dir=tmp_path)):
            pass


@pytest.mark.postgres
async def test_keys_outlive_a_database_that_is_killed(postgres: PostgresServer, tmp_path: Path) -> None:
    location = await trio.to_thread.run_sync(postgres.new_database)
    settings = Settings(data_dir=tmp_path, database_url=SecretStr(location.address))
    made = await trio.to_thread.run_sync(new_key, settings)
    async with keeping(settings) as kept:
        await trio.to_thread.run_sync(postgres.stop, "immediate")
        await eventually(lambda: kept.store.report()["state"] == "unavailable")
        assert kept.knows(made)
        assert kept.book.spend("t", LATER_MS, 1)
        kept.book.used(made.key.key_id, 1_700_000_000_000)
        await trio.to_thread.run_sync(postgres.start)
        await eventually(lambda: kept.store.report() == {"state": "ok", "pending": 0, "dropped": 0})
        other = await trio.to_thread.run_sync(new_key, settings)
        await eventually(lambda: kept.knows(other))
    async with keeping(settings) as kept:
        assert not kept.book.spend("t", LATER_MS, 1)
    assert all_keys(settings)[0].last_used_ms == 1_700_000_000_000


def vantum(settings: Settings, *arguments: str) -> str:
    """What a command prints, as a process of its own."""
    url = settings.database_url
    environment = {
        **os.environ,
        "VANTUM_DATA_DIR": str(settings.data_dir),
        "VANTUM_DATABASE_URL": url.get_secret_value() if url else "",
    }
    command = [sys.executable, "-m", "orchestrator.cli", *arguments]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.slow
async def test_what_another_process_does_to_keys_is_seen(settings: Settings) -> None:
    async with keeping(settings) as kept:
        secret = await trio.to_thread.run_sync(vantum, settings, "keys", "create", "--name", "a program")
        [key] = await trio.to_thread.run_sync(all_keys, settings)
        made = Made(key, secret)
        await eventually(lambda: kept.knows(made))
        await trio.to_thread.run_sync(vantum, settings, "keys", "revoke", key.key_id)
        await eventually(lambda: not kept.knows(made))
