"""The history: what the language model is told was said.

An assistant message holds what the caller *heard*, not what was generated or sent. The unheard rest is kept
beside it for insight only, and is never sent to a model.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable

from attrs import evolve, frozen

from machines.tools import CallRecord


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
    calls: tuple[CallRecord, ...] = ()
    """The tool calls that the model asked for after `text`, which may be empty. What it says about the
    results is another message."""
    withheld: bool = False
    """A model's filter refused what was said: it is remembered, and not sent to any model again."""


CHARACTERS_PER_TOKEN = 4
"""The average for English text, by OpenAI. Other scripts have fewer."""
TOKENS_PER_MESSAGE = 4
"""What a message costs besides its text. The result of a tool call is a message to the model, too."""


def tokens(message: Message) -> int:
    """The estimated number of tokens of a message. It is an estimate because tokenizers differ."""
    asked = (part for record in message.calls for part in (record.call.name, record.call.arguments))
    results = (record.result or "" for record in message.calls)
    text = "".join((message.text, *asked, *results))
    plain = sum(character.isascii() for character in text)
    each = TOKENS_PER_MESSAGE * (1 + len(message.calls))
    return each + math.ceil(plain / CHARACTERS_PER_TOKEN) + len(text) - plain


def within_budget(history: tuple[Message, ...], now: tuple[Message, ...], budget: int) -> tuple[Message, ...]:
    """The newest whole exchanges that fit in `budget` tokens together with the messages `now`; 0: all."""
    if budget == 0:
        return history
    return _newest(history, budget - sum(map(tokens, now)), lambda exchange: sum(map(tokens, exchange)))


def newest(history: tuple[Message, ...], most: int) -> tuple[Message, ...]:
    """The newest whole exchanges that are at most `most` messages together."""
    return _newest(history, most, len)


def _newest(
    history: tuple[Message, ...], room: int, size: Callable[[tuple[Message, ...]], int]
) -> tuple[Message, ...]:
    """The newest whole exchanges that fit. An exchange goes from the caller's words to the next ones."""
    first = end = len(history)
    while first > 0:
        first -= 1
        if history[first].speaker is Speaker.USER:
            room -= size(history[first:end])
            if room < 0:
                break
            end = first
    return history[end:]


def newest_exchange(history: tuple[Message, ...]) -> int:
    """The index of the caller's last words, with which the newest exchange begins. There must be some."""
    return max(place for place, each in enumerate(history) if each.speaker is Speaker.USER)


def with_result(
    history: tuple[Message, ...], number: int, result: str, *, failed: bool
) -> tuple[Message, ...]:
    """The history with the result of call `number`, unchanged if it does not hold this call any more."""

    def entered(record: CallRecord) -> CallRecord:
        return evolve(record, result=result, failed=failed) if record.number == number else record

    return tuple(
        evolve(message, calls=tuple(map(entered, message.calls))) if message.calls else message
        for message in history
    )
