"""Requests to say something: a text of a host or a tool, and keys of the telephone to press."""

from __future__ import annotations

from adapters.twilio.dtmf import as_keys
from machines.checked_fields import check_value
from machines.facts import EndReason, SayMode, SayRequested
from machines.language.scripts import has_sound


def require_words(text: str) -> None:
    """Raise `ValueError` for a text without words."""
    if not has_sound(text):
        raise ValueError(f"there is nothing to say in {text!r}")


def words_to_say(text: str, mode: SayMode, *, interruptible: bool, then: EndReason | None) -> SayRequested:
    """The request of `Conversation.say`.

    Raises `ValueError` for a text without words, and `TypeError` for an argument of another type.
    """
    check_value("text", "say()", text, str)
    check_value("mode", "say()", mode, SayMode)
    check_value("interruptible", "say()", interruptible, bool)
    check_value("then", "say()", then, EndReason | None)
    require_words(text)
    return SayRequested(text, mode, interruptible, then)


def keys_to_press(digits: str) -> SayRequested:
    """The request of `Conversation.send_digits`. Raises `ValueError` for anything but keys, `TypeError` for
    anything but a text."""
    check_value("digits", "send_digits()", digits, str)
    return SayRequested(as_keys(digits), interruptible=False, tones=True)
