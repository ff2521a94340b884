"""Calls beside a database that is slow, locked, full or gone; starting without one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio
from pydantic import SecretStr

from adapters.storage.location import Location
from adapters.storage.store import open_store
from orchestrator.access.keys import new_secret
from orchestrator.access.stored_book import open_key_book
from orchestrator.audio.pcm import pcm_to_bytes
from orchestrator.cli.keys import all_keys
from orchestrator.journal.format import read_journal
from orchestrator.settings.settings import Settings
from orchestrator.simulation.speech import spoken
from tests.adapters.storage.test_faults import full, locked
from tests.databases import PostgresServer
from tests.orchestrator.access.test_stored_book import vantum
from tests.orchestrator.journal.journals import replays
from tests.orchestrator.real_servers import Running, eventually, get, serving
from tests.orchestrator.server_process import SERVER
from tests.orchestrator.wire_clients import ShippedClient, connect

LATER_MS = 4_000_000_000_000


@asynccontextmanager
async def keeping(location: Location, wait_ms: int = 50, **chosen: Any) -> AsyncIterator[Running]:
    """A server that keeps its keys in a database."""
    address = f"sqlite:///{location.file}" if location.file else location.address
    settings = Settings(database_url=SecretStr(address))
    async with (
        serving(**chosen) as running,
        open_store(location, wait_ms=wait_ms) as store,
        open_key_book(settings, store) as book,
    ):
        running.server.store = store
        running.server.doors.use(book)
        yield running


async def database_of(running: Running) -> dict[str, object]:
    told: dict[str, object] = (await get(running, "/health")).json()["database"]
    return told


async def all_is_written(running: Running) -> None:
    """The database is well, and nothing was lost. A last slow write is mended by the next look at it."""
    well = {"state": "ok", "pending": 0, "dropped": 0}
    await eventually(lambda: running.server.health()["database"] == well)
    assert await database_of(running) == well


async def takes_a_turn(running: Running) -> None:
    async with connect(running.port, client=ShippedClient) as client:
        await client.start()
        await client.chunk(pcm_to_bytes(spoken("tell me a joke")))
        await client.stop()
        await client.until(lambda: client.named("voicechat.response.complete"))


@pytest.mark.slow
async def test_calls_do_not_notice_a_database_that_is_locked(location: Location) -> None:
    async with keeping(location) as running:
        assert running.server.doors.book.spend("before", LATER_MS, 1)
        await eventually(lambda: running.server.health()["database"]["pending"] == 0)
        with locked(location):
            assert running.server.doors.book.spend("token", LATER_MS, 1)
            await takes_a_turn(running)
            await eventually(lambda: running.server.health()["database"]["state"] == "unavailable")
            assert await database_of(running) == {"state": "unavailable", "pending": 1, "dropped": 0}
            assert not running.server.doors.book.spend("token", LATER_MS, 1)
            await takes_a_turn(running)
        await all_is_written(running)


@pytest.mark.slow
@pytest.mark.postgres
async def test_calls_do_not_notice_a_database_that_is_killed(postgres: PostgresServer) -> None:
    async with keeping(await trio.to_thread.run_sync(postgres.new_database)) as running:
        await trio.to_thread.run_sync(postgres.stop, "immediate")
        assert running.server.doors.book.spend("token", LATER_MS, 1)
        await takes_a_turn(running)
        await eventually(lambda: running.server.health()["database"]["state"] == "unavailable")
        await takes_a_turn(running)
        await trio.to_thread.run_sync(postgres.start)
        await all_is_written(running)


@contextmanager
def away(location: Location) -> Iterator[None]:
    """The file has another name for a while."""
    assert location.file is not None
    elsewhere = location.file.with_name("elsewhere.db")
    location.file.rename(elsewhere)
    yield
    elsewhere.rename(location.file)


def no_room(location: Location) -> AbstractContextManager[None]:
    """No file can grow beyond a size that the database's next rows need. Journals are shorter."""
    return full(300_000)


FAULTS = {"slow": (locked, 60_000), "full": (no_room, 50), "gone": (away, 50)}
"""What befalls the database, and how many ms its calls wait for a lock."""


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
async def test_calls_and_their_journals_do_not_notice_a_database_that_is(fault: str, tmp_path: Path) -> None:
    befalls, wait_ms = FAULTS[fault]
    location, journals = Location(tmp_path / "data" / "vantum.db"), tmp_path / "journals"
    journals.mkdir()
    async with keeping(location, wait_ms=wait_ms, journal_dir=journals) as running:
        book, health = running.server.doors.book, running.server.health
        assert book.spend("before", LATER_MS, 1)
        await eventually(lambda: health()["database"]["pending"] == 0)
        with befalls(location):
            for number in range(5000):
                assert book.spend(f"{number:04}" + "x" * 180, LATER_MS, 1)
            await eventually(lambda: health()["database"]["state"] != "ok")
            await takes_a_turn(running)
            assert health()["database"]["state"] != "ok"
            assert not book.spend("0000" + "x" * 180, LATER_MS, 1)
            await takes_a_turn(running)
        await all_is_written(running)
        await eventually(lambda: not running.server.sessions)
    replays(journals)
    assert [read_journal(each).torn_bytes for each in journals.glob("*.journal")] == [0, 0]
    assert all(read_journal(each).ended for each in journals.glob("*.journal"))


def started(data_dir: Path) -> subprocess.Popen[str]:
    """A server process with simulated providers, which prints its port when it is ready."""
    environment = {**os.environ, "DATA_DIR": str(data_dir), "PYTHONUNBUFFERED": "1"}
    program = SERVER.replace(
        'Settings(host="127.0.0.1", port=0)', f"Settings(port=0, data_dir={str(data_dir)!r})"
    )
    assert program != SERVER
    return subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[3],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_a_server_without_keys_leaves_no_file(tmp_path: Path) -> None:
    with started(tmp_path / "data") as process:
        assert process.stdout is not None
        while not process.stdout.readline().strip().isdigit():
            assert process.poll() is None
        process.terminate()
        assert process.wait(120) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
async def test_a_server_that_runs_sees_keys_come_and_go(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)

    async def asked(secret: str) -> int:
        headers = {"authorization": f"Bearer {secret}"}
        async with httpx2.AsyncClient(trust_env=False, timeout=120, headers=headers) as http:
            return (await http.post(f"http://127.0.0.1:{port}/v1/client-tokens", json={})).status_code

    async def comes_to(secret: str, status: int) -> None:
        with trio.fail_after(120):
            while await asked(secret) != status:  # noqa: ASYNC110
                await trio.sleep(0.05)

    with started(tmp_path) as process:
        assert process.stdout is not None
        while not (line := await trio.to_thread.run_sync(process.stdout.readline)).strip().isdigit():
            assert process.poll() is None
        port = int(line)
        secret = await trio.to_thread.run_sync(vantum, settings, "keys", "create", "--name", "a program")
        await comes_to(secret, 201)
        assert await asked(new_secret()) == 401
        [key] = await trio.to_thread.run_sync(all_keys, settings)
        await trio.to_thread.run_sync(vantum, settings, "keys", "revoke", key.key_id)
        await comes_to(secret, 401)
        process.terminate()
        assert await trio.to_thread.run_sync(process.wait) == 0
    [key] = all_keys(settings)
    assert key.last_used_ms is not None


@pytest.mark.slow
def test_a_damaged_database_is_told_in_one_sentence_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "vantum.db").write_bytes(b"no database " * 1000)
    command = [sys.executable, "-m", "orchestrator.cli", "serve", "--port", "0"]
    environment = {**os.environ, "DATA_DIR": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"Error: The database {tmp_path}/vantum.db cannot be used: it is damaged; put a backup in its place, "
        "or move it away."
    )
    assert "Traceback" not in done.stderr
