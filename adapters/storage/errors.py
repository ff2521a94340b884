"""What can be wrong with a database, each in one sentence."""

from __future__ import annotations


class StorageError(Exception):
    """The database cannot be used. The text is one sentence, without secrets."""


class UnavailableError(StorageError):
    """Not now: it is gone, locked, full or may not be written. The same may succeed later."""


class UnusableError(StorageError):
    """Not before somebody mends it: it is damaged, another program's or a newer version's, or a package is
    missing."""


class RefusedWriteError(StorageError):
    """It works, and refuses what is to be written: that is at fault."""
