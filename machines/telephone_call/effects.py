"""Effects of a telephone call: what is asked of the carrier and of the conversation."""

from __future__ import annotations

from attrs import frozen

from machines.effects import Effect
from machines.telephone_call.facts import CallOutcome


@frozen
class PlaceCall(Effect):
    """Order the carrier to dial."""


@frozen
class BeginConversation(Effect):
    """Begin a conversation over the open media stream."""


@frozen
class LeaveMessage(Effect):
    """Say `text` to the answering machine, instead of all else. Begin a conversation for that if there is
    none yet."""

    text: str
    listen: bool = False
    """Then go on as a conversation; else it ends."""


@frozen
class PressKeys(Effect):
    """Have the carrier press `keys` and then open another media stream. It closes the present one."""

    keys: str


@frozen
class EndConversation(Effect):
    """End the conversation, once it has said what it is saying."""


@frozen
class CutConversation(Effect):
    """End the conversation at once: nobody hears it, or has to."""


@frozen
class SayLastWords(Effect):
    """Have the conversation say `text` and then end as handed over."""

    text: str


@frozen
class TransferCall(Effect):
    """Have the carrier connect the caller to `to`."""

    to: str


@frozen
class HangUpCall(Effect):
    """Have the carrier end the call."""


@frozen
class RecordOutcome(Effect):
    """Keep how the call ended. This effect is asked for exactly once."""

    outcome: CallOutcome
    reason: str


@frozen
class ArmCallDeadline(Effect):
    """Report `CallDeadlinePassed(number)` in `delay_ms`. The deadline armed before is forgotten."""

    number: int
    delay_ms: float


@frozen
class DisarmCallDeadline(Effect):
    """Forget the armed deadline."""
