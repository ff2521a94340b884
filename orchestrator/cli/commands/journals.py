"""`vantum replay` and `vantum export-test`: what can be done with the journal of a call."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.commands.usage import UnreadableFile

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
