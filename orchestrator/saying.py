"""What can be said to a caller."""

from __future__ import annotations


def has_words(text: str) -> bool:
    """There is something to say in it."""
    return any(character.isalnum() for character in text)


def require_words(text: str) -> None:
    """Raise `ValueError` for a text in which there is nothing to say."""
    if not has_words(text):
        raise ValueError(f"there is nothing to say in {text!r}")
