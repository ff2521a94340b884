"""Secrets in files that only this process's user can read, and that are never half written."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def write_secret(path: Path, text: str) -> None:
    """Write this into the file, whatever it held. ASCII only. Raises `OSError`."""
    with _beside(path, text) as new:
        new.replace(path)


def keep_first_secret(path: Path, text: str) -> None:
    """Write this into the file unless there is one: of several processes that try, the first one's is kept.

    ASCII only. Raises `OSError`.
    """
    with _beside(path, text) as new, suppress(FileExistsError):
        # Unlike a renaming, it fails if the file is there.
        path.hardlink_to(new)


@contextmanager
def _beside(path: Path, text: str) -> Iterator[Path]:
    """A file with this text in the same directory, which is made if need be. It is gone after the block."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        new.touch(mode=0o600, exist_ok=False)
        new.write_text(text, encoding="ascii")
        yield new
    finally:
        new.unlink(missing_ok=True)
