"""What the telephone call remembers beside its state."""

from __future__ import annotations

from typing import Any

from attrs import Factory, define, field

from machines.effects import Effect
from machines.facts import Fact
from machines.telephone_call.facts import CallOutcome
from machines.telephone_call.policy import CallPolicy


@define
class CallContext:
    """The call's memory."""

    policy: CallPolicy = field(factory=CallPolicy)
    state: Any = None
    effects: list[Effect] = Factory(list)
    outcome: CallOutcome | None = None
    """The call's outcome, as soon as it is known. The first one that is noted counts."""
    reason: str = ""
    """More about the outcome, for people."""
    transfer_to: str = ""
    """The telephone number that takes over after the conversation; empty: none does."""
    voicemail_text: str = ""
    """What is said to an answering machine once it records; empty: it is hung up on."""
    answered_by: Fact | None = None
    """Who answered, as soon as the carrier has told."""
    message_left: bool = False
    """`voicemail_text` was said."""
    in_dialogue: bool = False
    """The other side has said words, and has heard the answer to its end."""
    keys: str = ""
    """The keys that are being pressed."""
    ended_by_carrier: bool = False
    """The carrier has ended the call. The conversation may not have ended yet."""
    deadline_number: int = 0
    deadline_armed: int | None = None

    def note(self, outcome: CallOutcome, reason: str = "") -> None:
        """Note how the call ends, unless that was noted before."""
        if self.outcome is None:
            self.outcome, self.reason = outcome, reason
