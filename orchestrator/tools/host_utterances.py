"""What can be said to a caller."""

from __future__ import annotations

from adapters.twilio.dtmf import KEYS
from machines.facts import EndReason, SayMode, SayRequested


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


def words_to_say(text: str, mode: SayMode, *, interruptible: bool, then: EndReason | None) -> SayRequested:
    """What `Conversation.say` asks for. Raises `ValueError` for a text without words."""
    require_words(text)
    return SayRequested(text, mode, interruptible, then)


def keys_to_press(digits: str) -> SayRequested:
    """What `Conversation.send_digits` asks for. Raises `ValueError` for what is no key."""
    require_keys(digits)
    return SayRequested(digits, interruptible=False, tones=True)
