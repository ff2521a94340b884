"""Rows that are written as calls end are those that `vantum index` makes of the journals, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import structlog
import trio
from attrs import evolve
from click.testing import CliRunner

from adapters.storage.database import open_database
from adapters.storage.location import Location
from adapters.storage.statements import carry_out
from adapters.storage.store import open_store
from orchestrator.calls.following import WITHOUT_ROWS
from orchestrator.calls.indexing import Indexed, index, journals_in
from orchestrator.cli.main import main
from orchestrator.journal.format import Head, Record, read_journal
from tests.orchestrator.calls.kept import (
    Rows,
    everything_in,
    hostile_calls,
    keep,
    kept_by_server,
    rows_of,
    written,
)


def calls(count: int = 12) -> list[Sequence[Record]]:
    """Journals with names that files can have."""
    found: list[Sequence[Record]] = []
    for call in hostile_calls()[:count]:
        head, *others = call.records
        assert isinstance(head, Head)
        found.append([evolve(head, about=evolve(head.about, session_id=f"call-{call.number}")), *others])
    return found


def indexed(directory: Path, location: Location) -> tuple[Indexed, Rows]:
    database = open_database(location)
    done = index(journals_in(directory), database)
    database.close()
    return done, everything_in(location)


@pytest.mark.parametrize("redacted", [False, True], ids=["full", "redacted"])
async def test_rows_made_anew_are_those_that_were_written(
    redacted: bool, location: Location, tmp_path: Path
) -> None:
    journals = tmp_path / "journals"
    live = await kept_by_server(calls(), journals, location, redacted=redacted)
    assert len(live["calls"]) == 12 and live["turns"] and live["edges"]
    done, anew = await trio.to_thread.run_sync(indexed, journals, Location(tmp_path / "anew.db"))
    assert (done.calls, done.skipped, done.without_end) == (12, [], [])
    for name, rows in live.items():
        assert rows == anew[name], name
    _, again = await trio.to_thread.run_sync(indexed, journals, location)
    assert again == live


async def test_what_a_full_queue_loses_is_counted_and_made_anew(tmp_path: Path) -> None:
    journals, small = tmp_path / "journals", Location(tmp_path / "small.db")
    async with open_store(small, most_pending=100) as store:
        await keep(calls(), journals, store)
        assert store.report()["dropped"] > 0
        await written(store)
    _, mended = await trio.to_thread.run_sync(indexed, journals, small)
    whole = await kept_by_server(calls(), tmp_path / "again", Location(tmp_path / "whole.db"))
    assert mended == whole


async def test_what_cannot_be_a_row_does_not_end_the_journal(tmp_path: Path) -> None:
    head, *others = calls(3)[2]
    assert isinstance(head, Head)
    timeless = [evolve(head, about=evolve(head.about, began_at=float("inf"))), *others]
    async with open_store(Location(tmp_path / "kept.db")) as store:
        counts = await keep([timeless], tmp_path / "journals", store)
        assert store.writer.pending == 0
    assert counts == {WITHOUT_ROWS: 1}
    (path,) = journals_in(tmp_path / "journals")
    assert read_journal(path).end is not None
    done, _ = indexed(tmp_path / "journals", Location(tmp_path / "anew.db"))
    assert done.calls == 0
    assert done.skipped[0].startswith(f"{path} was written by Vantum")


def test_a_call_that_is_put_by_many_at_once_is_counted_once(location: Location) -> None:
    """Two servers and `vantum index` may do so."""
    writes = [rows_of(call) for call in calls(3)]
    database = open_database(location)
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda _: carry_out(database, [*writes, *writes]), range(8))) == [0] * 8
    database.close()
    counted = {edge[:-2]: edge[-2:] for edge in everything_in(location)["edges"]}
    wanted: dict[tuple[object, ...], tuple[int, int]] = {}
    for write in writes:
        for edge, (count, dwell) in write.edges.items():
            before = wanted.get(edge, (0, 0))
            wanted[edge] = (before[0] + count, before[1] + dwell)
    assert counted == wanted


def test_a_call_of_which_other_rows_are_made_loses_the_earlier_ones(location: Location) -> None:
    whole = calls(3)[2]
    database = open_database(location)
    assert carry_out(database, [rows_of(whole)]) == 0
    first = rows_of(whole[:12])
    assert carry_out(database, [first]) == 0
    database.close()
    left = everything_in(location)
    assert len(left["turns"]) == len(first.parts["turns"])
    assert len(left["edges"]) == len(first.edges)


# --- the command ------------------------------------------------------------------------------------------


@pytest.fixture
def logs_of_commands(plain_logs: None) -> None:
    structlog.reset_defaults()


@pytest.fixture
def journals(tmp_path: Path) -> Path:
    """A directory with three journals: whole, torn, and damaged."""
    directory = tmp_path / "data" / "journals"

    async def make() -> None:
        await kept_by_server(calls(4)[1:], directory, Location(tmp_path / "other.db"))

    trio.run(make)
    whole, torn, damaged = journals_in(directory)
    assert whole.name == "call-2.journal"
    torn.write_bytes(torn.read_bytes()[:-20])
    data = damaged.read_bytes()
    damaged.write_bytes(data[:2000] + b"\0" + data[2001:])
    return directory


def test_the_command_names_journals_that_are_torn_or_damaged(
    logs_of_commands: None, journals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    done = CliRunner().invoke(main, ["index"])
    assert done.exit_code == 1, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == "Skipped:"
    assert lines[1].startswith(f"  {journals / 'call-4.journal'} is damaged at byte ")
    assert lines[2] == "Indexed as far as they go:"
    assert lines[3].startswith(f"  {journals / 'call-3.journal'} breaks off in the middle of a record (")
    assert lines[4:] == ["Calls indexed: 2. Journals skipped: 1."]
    kept = everything_in(Location(tmp_path / "data" / "vantum.db"))
    assert len(kept["calls"]) == 2
    (journals / "call-4.journal").unlink()
    assert CliRunner().invoke(main, ["index", str(journals)]).exit_code == 0
    assert everything_in(Location(tmp_path / "data" / "vantum.db")) == kept


@pytest.mark.parametrize("place", ["nowhere", "a file"])
def test_a_directory_that_cannot_be_read_is_an_error(place: str, tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("")
    done = CliRunner().invoke(main, ["index", str(tmp_path / place)])
    assert done.exit_code == 2
    assert done.stderr.startswith(f"Error: {tmp_path / place} cannot be read: ")


def test_a_directory_without_journals_needs_no_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    done = CliRunner().invoke(main, ["index", str(tmp_path)])
    assert (done.exit_code, done.stdout) == (0, "Calls indexed: 0. Journals skipped: 0.\n")
    assert not (tmp_path / "data").exists()
