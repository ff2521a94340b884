"""The directory of journals: whether they can be written there. Imports nothing that takes time."""

from __future__ import annotations

import os
from pathlib import Path


class JournalError(Exception):
    """A journal cannot be read or written. The text is one sentence."""


def obstacle(directory: Path) -> str | None:
    """Why no journal can be written there, as far as can be seen without making it; None if nothing shows."""
    existing = next(each for each in (directory, *directory.absolute().parents) if each.exists())
    if not existing.is_dir():
        return f"{existing} is not a directory"
    return None if os.access(existing, os.W_OK | os.X_OK) else f"{existing} may not be written"


def make_directory(directory: Path) -> None:
    """Make it, and those around it that are missing, for their user's eyes only. Raises `OSError`."""
    missing = [each for each in (directory, *directory.parents) if not each.exists()]
    for each in reversed(missing or [directory]):
        each.mkdir(mode=0o700, exist_ok=True)


def check_directory(directory: Path) -> None:
    """Make the directory if need be, and try to write a file into it. Raises `JournalError`."""
    trial = directory / f".trial-{os.getpid()}"
    try:
        make_directory(directory)
        trial.write_bytes(b"")
        trial.unlink()
    except OSError as error:
        raise JournalError(
            f"JOURNAL_DIR is {str(directory)!r}, but journals cannot be written there: {error.strerror}."
        ) from None
