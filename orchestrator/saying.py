"""What can be said to a caller."""

from __future__ import annotations


def require_words(text: str) -> None:
    """Raise `ValueError` for a text in which there is nothing to say."""
    if not any(character.isalnum() for character in text):
        raise ValueError(f"there is nothing to say in {text!r}")
