"""The directory of journals: whether they can be written there. Imports nothing that takes time."""

from __future__ import annotations

import os
from pathlib import Path


class JournalError(Exception):
    """A journal cannot be read or written. The text is one sentence."""


def check_directory(directory: Path) -> None:
    """Make the directory if need be, and try to write a file into it. Raises `JournalError`."""
    trial = directory / f".trial-{os.getpid()}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        trial.write_bytes(b"")
        trial.unlink()
    except OSError as error:
        raise JournalError(
            f"JOURNAL_DIR is {str(directory)!r}, but journals cannot be written there: {error.strerror}."
        ) from None
