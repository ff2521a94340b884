"""Tools: functions of the host program that the language model may call.

The machines know only what decides about calls of a tool. What the tool does, and with which arguments, is
known to the orchestrator.
"""

from __future__ import annotations

import enum

from attrs import field, frozen

from machines.checked_fields import check_fields


class OnInterruption(enum.Enum):
    """What becomes of a running tool call when the caller goes on."""

    CANCEL = "cancel"
    """The call is cancelled: its result is not needed."""
    FINISH = "finish"
    """The call goes on silently, and the model is told its result the next time it is asked."""
    BLOCK = "block"
    """While the call runs, the caller's voice interrupts nothing. What they say is answered afterwards."""


@frozen
class ToolPolicy:
    """What the conversation machine must know about a tool."""

    name: str
    timeout_ms: float = 10_000
    """A call that takes longer has failed."""
    on_interruption: OnInterruption = OnInterruption.FINISH
    reply: bool = True
    """The model is asked to speak about the result. If not, the call itself is the whole answer, unless it
    fails."""
    filler: str = ""
    """Said when a call takes long; empty: a filler of the policy for all tools."""
    silent: bool = False
    """Nothing is said while a call runs, however long it takes."""

    def __attrs_post_init__(self) -> None:
        check_fields(self)


@frozen
class ToolCall:
    """A tool call as the model asks for it."""

    id: str
    """The id that the model gave the call, and that its result must bear."""
    name: str
    arguments: str
    """A JSON object as the model wrote it, valid or not."""


@frozen
class CallRecord:
    """A tool call in the history. Numbers count from 1 in each conversation."""

    number: int
    call: ToolCall
    result: str | None = None
    """The result, for the model to read; None: not known yet."""
    failed: bool = field(default=False, kw_only=True)
    """`result` says why there is no result."""
