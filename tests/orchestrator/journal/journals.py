"""Helpers for tests of journals: journals of simulated calls, in memory or in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from machines.facts import Role, SegmentVoiced
from machines.system import Charts
from orchestrator.conversation.charts import charts_of_this_thread
from orchestrator.journal.format import SUFFIX, About, CallJournal, End, Journal, Record, frame, read_journal
from orchestrator.journal.redaction import Redactor
from orchestrator.journal.replay import Replayed, replay
from orchestrator.simulation import simulated_call

ABOUT = About("0198-call", "vantum.v2", 1_790_000_000_000.0, dict.fromkeys(Role, ("simulated",)))


def kept_in(records: list[Record]) -> CallJournal:
    """A journal that puts its records into a list."""
    return CallJournal(ABOUT, records.append)


async def broken_call() -> list[Record]:
    """The records of a call in which a fact makes a machine raise `IndexError`."""
    records: list[Record] = []
    with pytest.RaisesGroup(IndexError, flatten_subgroups=True):
        async with simulated_call(journal=kept_in(records)) as call:
            await call.take_turn("hello")
            await call.reaches("speaking")
            call.inbox.put(SegmentVoiced(utterance=1, segment=99, duration_ms=5))
            await call.over.wait()
    return records


def write(path: Path, records: list[Record], redactor: Redactor | None = None) -> Path:
    """Write the records of a call that has ended to a file."""
    path.write_bytes(b"".join(frame(record, redactor) for record in [*records, End()]))
    return path


def journal_of(path: Path, records: list[Record], redactor: Redactor | None = None) -> Journal:
    """The journal in a file of these records."""
    return read_journal(write(path, records, redactor))


def differences(journal: Journal, charts: Charts | None = None) -> list[Replayed]:
    """The facts for which a replay differs from the journal."""
    return [fact for fact in replay(journal, charts) if not fact.same]


def replays(directory: Path) -> None:
    """Check that a replay of every journal in the directory is without a difference."""
    charts = charts_of_this_thread()
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        assert differences(read_journal(path), charts) == [], path
