"""Tools: functions of the host program that the language model may call.

The machines know of a tool what decides about calls of it; what it does, and with which arguments, is known
outside.
"""

from __future__ import annotations

import enum

from attrs import field, frozen

from machines.checked_fields import check_fields


class OnInterruption(enum.Enum):
    """What becomes of a call that is under way when the caller goes on."""

    CANCEL = "cancel"
    """It is cancelled: nobody needs its result."""
    FINISH = "finish"
    """It goes on silently, and the model is told its result at the next occasion."""
    BLOCK = "block"
    """The caller's voice interrupts nothing as long as it runs; what is said meanwhile is answered later."""


@frozen
class ToolPolicy:
    """What the conversation machine must know of a tool."""

    name: str
    timeout_ms: float = 10_000
    """A call that takes longer has failed."""
    on_interruption: OnInterruption = OnInterruption.FINISH
    reply: bool = True
    """The model is asked to speak about the result. If not, the call is all the answer there is, unless it
    fails."""
    filler: str = ""
    """Said when a call takes long; empty: what the policy says for all tools."""

    def __attrs_post_init__(self) -> None:
        check_fields(self)


@frozen
class ToolCall:
    """The model asks for a call of a tool."""

    id: str
    """The model's, which names the result to it."""
    name: str
    arguments: str
    """A JSON object as the model wrote it, valid or not."""


@frozen
class CallRecord:
    """A call in the history. Numbers are the conversation's, from 1."""

    number: int
    call: ToolCall
    result: str | None = None
    """For the model to read; None: not there yet."""
    failed: bool = field(default=False, kw_only=True)
    """`result` says why there is no result."""
