"""What a host may give to a conversation, checked before it begins. Hosts may use no type checker."""

from __future__ import annotations

import re

from machines.checked_fields import check_value
from machines.facts import TurnMode
from machines.policy import ConversationPolicy
from orchestrator.audio.utterance import Pacing
from orchestrator.settings.types import LANGUAGE

_OF = "conversation()"
_METHODS = ("receive", "send", "close")


def check_transport(transport: object) -> None:
    """Raise `TypeError` for what cannot be a `Transport`."""
    lacking = [name for name in _METHODS if not callable(getattr(transport, name, None))]
    if lacking or not hasattr(transport, "pacing"):
        raise TypeError(
            f"transport of {_OF} is an object of {type(transport).__name__}, "
            "but must have the methods receive, send and close, and a pacing"
        )
    check_value("pacing", type(transport).__name__, transport.pacing, Pacing)


def check_wishes(
    policy: ConversationPolicy | None, turn_mode: TurnMode, language: str | None, voice_id: str | None
) -> None:
    """Raise `TypeError` or `ValueError` for what a conversation cannot be."""
    check_value("policy", _OF, policy, ConversationPolicy | None)
    check_value("turn_mode", _OF, turn_mode, TurnMode)
    check_value("language", _OF, language, str | None)
    check_value("voice_id", _OF, voice_id, str | None)
    if language is not None and not re.fullmatch(LANGUAGE, language):
        raise ValueError(
            f"language of {_OF} is {language!r}, but must be a language's code, such as en-US, or multi"
        )
