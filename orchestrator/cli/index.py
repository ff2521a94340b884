"""The body of `vantum index`: the rows of calls are made anew of their journals, with a bar that moves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from adapters.storage.database import open_database
from adapters.storage.location import Location
from orchestrator.calls.indexing import Indexed, index, journals_in
from orchestrator.calls.prices import Prices
from orchestrator.cli.printing import print_plain


def index_directory(
    directory: Path, location: Location, prices: Prices, console: Console | None = None
) -> Indexed:
    """Index all journals in a directory. Raises `JournalError` or `StorageError`."""
    console = console or Console(stderr=True)
    paths = journals_in(directory)
    if not paths:
        return Indexed()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    database = open_database(location)
    try:
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("journals", total=len(paths))
            return index(paths, database, lambda: bar.advance(task), prices)
    finally:
        database.close()


def tell(done: Indexed, console: Console) -> None:
    """Print what came of it, and name the journals that something is wrong with."""
    _list(console, done.skipped, "Skipped:")
    _list(console, done.without_end, "Indexed as far as they go:")
    if done.refused:
        print_plain(console, f"Rows that the database refused, as the log says: {done.refused}.")
    print_plain(console, f"Calls indexed: {done.calls}. Journals skipped: {len(done.skipped)}.")


def _list(console: Console, sentences: Sequence[str], heading: str) -> None:
    if sentences:
        print_plain(console, heading)
    for sentence in sentences:
        print_plain(console, f"  {sentence}")
