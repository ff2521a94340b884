"""What a server keeps of its calls by default, if somebody says so, and where it is impossible."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest
import trio

from adapters.storage.location import Location
from orchestrator.journal.directory import JournalError
from orchestrator.journal.format import read_journal
from orchestrator.server.keeping import usable_directory
from orchestrator.settings.settings import Settings
from tests.orchestrator.calls.kept import everything_in
from tests.orchestrator.real_servers import eventually
from tests.orchestrator.server.test_database import started
from tests.orchestrator.wire_clients import connect


def test_journals_are_kept_in_the_data_directory_and_it_is_not_made_before_a_call(tmp_path: Path) -> None:
    assert usable_directory(Settings(data_dir=tmp_path / "data")) == tmp_path / "data" / "journals"
    assert list(tmp_path.iterdir()) == []


def test_one_switch_turns_all_keeping_off(tmp_path: Path) -> None:
    off = Settings(data_dir=tmp_path, journal_dir=tmp_path / "journals", keep_calls=False)
    assert usable_directory(off) is None
    assert off.asked_journals is None


def test_where_nobody_asked_for_journals_a_server_starts_without(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert usable_directory(Settings(data_dir=tmp_path / "file" / "data")) is None
    assert f"reason='{tmp_path / 'file'} is not a directory'" in capsys.readouterr().out.replace('"', "'")


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_directory_that_may_not_be_written_is_seen(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o500)
    assert usable_directory(Settings(data_dir=tmp_path / "data")) is None


def test_where_somebody_asked_for_them_it_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match=r"^JOURNAL_DIR is "):
        usable_directory(Settings(journal_dir=tmp_path / "file" / "journals"))


def calls_in(file: Path) -> int:
    """How many calls have a row. As long as the file or its tables are being made, none has."""
    with (
        suppress(sqlite3.OperationalError),
        closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection,
    ):
        return int(connection.execute("select count(*) from calls").fetchone()[0])
    return 0


@pytest.mark.slow
async def test_a_server_keeps_its_calls_without_being_asked(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with started(data) as process:
        assert process.stdout is not None
        while not (line := await trio.to_thread.run_sync(process.stdout.readline)).strip().isdigit():
            assert process.poll() is None
        async with connect(int(line)) as client:
            await client.until(lambda: client.messages)
        # A process that ends does not wait for a database that is still being made.
        await eventually(lambda: calls_in(data / "vantum.db") == 1)
        process.terminate()
        assert await trio.to_thread.run_sync(process.wait, 120) == 0
    (path,) = (data / "journals").iterdir()
    assert data.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600
    kept = await trio.to_thread.run_sync(everything_in, Location(data / "vantum.db"))
    assert [row[0] for row in kept["calls"]] == [path.stem]
    assert kept["edges"]
    assert read_journal(path).end is not None
