"""What can be said to a caller."""

from __future__ import annotations

from adapters.dtmf import KEYS


def has_words(text: str) -> bool:
    """There is something to say in it."""
    return any(character.isalnum() for character in text)


def require_keys(digits: str) -> None:
    """Raise `ValueError` for anything but keys of a telephone."""
    if not KEYS.fullmatch(digits):
        raise ValueError(f"{digits!r} cannot be pressed: the keys are 0 to 9, *, # and A to D")


def require_words(text: str) -> None:
    """Raise `ValueError` for a text in which there is nothing to say."""
    if not has_words(text):
        raise ValueError(f"there is nothing to say in {text!r}")
