"""The conversation's memory: what the language model is told was said.

An assistant message holds what the caller *heard*, never what was generated or sent. The rest that went
unheard is kept beside it for insight only and is never sent to a model.
"""

from __future__ import annotations

import enum

from attrs import frozen


class Speaker(enum.Enum):
    """The author of a message, in the language model's vocabulary."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


@frozen
class Message:
    """One entry of the history."""

    speaker: Speaker
    text: str
    interrupted: bool = False
    """The caller cut this answer off; `text` is the part that was heard."""
    heard_ms: float | None = None
    """How much of the answer's audio was heard; None for messages that were not spoken by us."""
    unheard: str = ""
    """What was generated and not heard."""
