"""Where the pepper is kept: the setting KEY_PEPPER, or a file in DATA_DIR that is made with the first key."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from orchestrator.access.keys import Pepper
from orchestrator.secret_files import keep_first_secret
from orchestrator.settings.settings import Settings

FILE_NAME = "key-pepper"


class PepperError(Exception):
    """The file with the pepper cannot be read or made. The text is one sentence."""


def read_pepper(settings: Settings) -> Pepper | None:
    """The pepper of this installation; None if no key was ever made in it. Blocks; raises `PepperError`."""
    if settings.key_pepper is not None:
        return Pepper.of(settings.key_pepper.get_secret_value())
    with _told(settings):
        text = _read(settings.data_dir / FILE_NAME)
    return Pepper.of(text) if text else None


def kept_pepper(settings: Settings) -> Pepper:
    """The pepper of this installation; without one, it is made. Blocks; raises `PepperError`."""
    found = read_pepper(settings)
    if found is not None:
        return found
    with _told(settings):
        return Pepper.of(_made(settings.data_dir / FILE_NAME))


@contextmanager
def _told(settings: Settings) -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise PepperError(
            f"DATA_DIR is {str(settings.data_dir)!r}, but {FILE_NAME}, under which keys are hashed, cannot "
            f"be kept there: {reason}."
        ) from None


def _read(path: Path) -> str:
    with suppress(FileNotFoundError):
        return path.read_text(encoding="ascii").strip()
    return ""


def _made(path: Path) -> str:
    """A new one; or another process's, if that was sooner."""
    keep_first_secret(path, secrets.token_urlsafe(32))
    return _read(path)
