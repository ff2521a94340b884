"""Facts of a telephone call: what the carrier, its conversation and whoever runs the server report."""

from __future__ import annotations

import enum

from attrs import frozen

from machines.facts import Fact


class CallOutcome(enum.Enum):
    """How a call ended. The value is what logs and clients see."""

    COMPLETED = "completed"
    """There was a conversation, and it ended."""
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    FAILED = "failed"
    """The call could not be placed, or its conversation broke."""
    CANCELLED = "cancelled"
    """Whoever placed the call hung up before there was a conversation."""
    MACHINE_ANSWERED = "machine_answered"
    HANDED_OVER = "handed_over"
    """There was a conversation, and then the carrier connected the caller to somebody else."""


@frozen
class DialWanted(Fact):
    """The server is asked to call somebody."""


@frozen
class CallOffered(Fact):
    """Somebody calls the server."""


@frozen
class CallPlaced(Fact):
    """The carrier has accepted the order to dial, and has given the call an id."""


@frozen
class PlacingFailed(Fact):
    """The carrier has refused the order to dial, or could not be asked."""

    message: str


@frozen
class CallRinging(Fact):
    """The other side's telephone rings."""


@frozen
class CallAnswered(Fact):
    """Somebody, or an answering machine, has picked up."""


@frozen
class MachineAnswered(Fact):
    """The carrier reports that an answering machine picked up."""

    records: bool = False
    """It has said its greeting, and records what is said now."""
    beeped: bool = False
    """It has beeped before that. One that has not may screen the call for a person."""


@frozen
class HumanAnswered(Fact):
    """The carrier reports that no answering machine picked up, as far as it can tell."""


@frozen
class StreamOpened(Fact):
    """The call's media stream is open: a conversation can begin."""


@frozen
class WordsHeard(Fact):
    """The other side has said words, after something of ours was heard."""

    answered: bool = False
    """They were answered, and the answer was heard to its end."""


@frozen
class KeysWanted(Fact):
    """The agent wants keys pressed. Nothing is being said."""

    keys: str
    """As the carrier takes them: `w` is a pause."""


@frozen
class KeysFailed(Fact):
    """The carrier has not pressed the keys, or could not be asked."""

    stream_open: bool
    """The media stream is as it was."""


@frozen
class ConversationEnded(Fact):
    """The conversation is over, all its audio was played, and its media stream is closed."""

    broken: bool = False
    """The conversation ended by a fault of ours, or could not begin because the server is full."""
    handed_over: bool = False
    """A person is to take over. The media stream is still open: the carrier closes it when it connects the
    caller elsewhere."""


@frozen
class TransferWanted(Fact):
    """Whoever runs the server wants the caller connected to `to`, after the conversation has said `text`."""

    to: str
    text: str


@frozen
class CallTransferred(Fact):
    """The carrier connects the caller elsewhere."""


@frozen
class TransferFailed(Fact):
    """The carrier has not connected the caller elsewhere, or could not be asked."""

    message: str


@frozen
class HangUpWanted(Fact):
    """Whoever placed the call, or the server that is stopping, wants it ended."""


@frozen
class CarrierEnded(Fact):
    """The carrier reports that the call is over."""

    outcome: CallOutcome


@frozen
class CallAbandoned(Fact):
    """The server stops, and will hear nothing more of the call."""


@frozen
class CallDeadlinePassed(Fact):
    """The deadline that the call armed under this number has passed."""

    number: int
