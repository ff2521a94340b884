"""`vantum replay`, `vantum export-test` and `vantum index`: what can be done with journals of calls."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.commands.usage import BadSetting, Complaint, UnreadableFile, read_settings

if TYPE_CHECKING:
    from orchestrator.journal.format import Journal

JOURNAL_FILE = click.argument("journal", metavar="FILE", type=click.Path(path_type=Path))


@click.command()
@JOURNAL_FILE
@click.option("--step", is_flag=True, help="Walk through it: Enter for the next fact, a number, or q.")
@click.option(
    "--diagram",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="SVG",
    help="Draw the way that was taken, with counts and times, into this file.",
)
def replay(journal: Path, step: bool, diagram: Path | None) -> None:
    """Run the journal of a call through the machines again; fail at the first difference."""
    recorded = _journal(journal)

    from orchestrator.cli.printing import say
    from orchestrator.journal import replay_report

    if diagram is not None:
        from orchestrator.journal.replay_diagram import draw

        _write_text(diagram, draw(recorded))
    if step:
        same = replay_report.walk(recorded, sys.stdin.readline, say)
    else:
        same = replay_report.tell_replay(recorded, say)
    raise SystemExit(0 if same else 1)


@click.command(name="export-test")
@JOURNAL_FILE
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The test file to write; without, it is printed.",
)
def export_test(journal: Path, out: Path | None) -> None:
    """Write a test that repeats the call of a journal in virtual time."""
    recorded = _journal(journal)

    from orchestrator.journal.exported_test import source_of_test

    source = source_of_test(recorded)
    if out is None:
        click.echo(source, nl=False)
    else:
        _write_text(out, source)


@click.command()
@click.argument("directory", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
def index(directory: Path | None) -> None:
    """Make the rows of calls anew, out of their journals; fail if a journal cannot be read.

    Without DIR, of the journals that `vantum serve` keeps. Nothing is there twice however often this is done,
    and servers may run meanwhile.
    """
    settings = read_settings()

    from rich.console import Console

    from adapters.storage.errors import StorageError
    from orchestrator.cli import index as body
    from orchestrator.journal.format import JournalError
    from orchestrator.server.keeping import known_prices
    from orchestrator.settings.settings import SettingsError

    try:
        prices = known_prices(settings)
        done = body.index_directory(directory or settings.journals_at, settings.database, prices)
    except SettingsError as error:
        raise BadSetting(str(error)) from None
    except JournalError as error:
        raise UnreadableFile(str(error)) from None
    except StorageError as error:
        raise Complaint(str(error)) from None
    body.tell(done, Console())
    raise SystemExit(1 if done.skipped or done.refused else 0)


def _journal(path: Path) -> Journal:
    from orchestrator.journal.format import JournalError, read_journal

    try:
        return read_journal(path)
    except JournalError as error:
        raise UnreadableFile(str(error)) from None


def _write_text(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UnreadableFile(f"{path} cannot be written: {error.strerror}.") from None
