"""The conversation's memory: what the language model is told was said.

An assistant message holds what the caller *heard*, never what was generated or sent. The rest that went
unheard is kept beside it for insight only and is never sent to a model.
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
    """An assistant's calls of tools, asked for after `text`, which may be empty. What the model makes of the
    results is another message."""
    withheld: bool = False
    """A model's filter refused what was said: it is remembered, and not sent to any model again."""


CHARACTERS_PER_TOKEN = 4
"""Of English text, as OpenAI states it; other scripts have fewer."""
TOKENS_PER_MESSAGE = 4
"""What a message costs beside its text. The results of calls are messages, too, to a model."""


def tokens(message: Message) -> int:
    """How many tokens a message is, by estimate: the tokenizers of models differ."""
    asked = (part for record in message.calls for part in (record.call.name, record.call.arguments))
    results = (record.result or "" for record in message.calls)
    text = "".join((message.text, *asked, *results))
    plain = sum(character.isascii() for character in text)
    each = TOKENS_PER_MESSAGE * (1 + len(message.calls))
    return each + math.ceil(plain / CHARACTERS_PER_TOKEN) + len(text) - plain


def within_budget(history: tuple[Message, ...], now: tuple[Message, ...], budget: int) -> tuple[Message, ...]:
    """The newest whole exchanges that, with the messages of `now`, fit in `budget` tokens; 0: all."""
    if budget == 0:
        return history
    return _newest(history, budget - sum(map(tokens, now)), lambda exchange: sum(map(tokens, exchange)))


def newest(history: tuple[Message, ...], most: int) -> tuple[Message, ...]:
    """The newest whole exchanges that are no more than `most` messages."""
    return _newest(history, most, len)


def _newest(
    history: tuple[Message, ...], room: int, size: Callable[[tuple[Message, ...]], int]
) -> tuple[Message, ...]:
    """An exchange is what the caller said, and everything up to what the caller said next."""
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
    """Where the newest exchange begins: at the caller's last words, which there must be."""
    return max(place for place, each in enumerate(history) if each.speaker is Speaker.USER)


def with_result(
    history: tuple[Message, ...], number: int, result: str, *, failed: bool
) -> tuple[Message, ...]:
    """The history with the result of call `number`; a call that is no longer in it is left alone."""

    def entered(record: CallRecord) -> CallRecord:
        return evolve(record, result=result, failed=failed) if record.number == number else record

    return tuple(
        evolve(message, calls=tuple(map(entered, message.calls))) if message.calls else message
        for message in history
    )
