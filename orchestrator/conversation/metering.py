"""What a call's providers were used for, as its journal is told."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import trio
from attrs import define

from adapters.interfaces import CountsTokens
from machines.effects import StartGeneration
from machines.facts import Role
from machines.history import CHARACTERS_PER_TOKEN, Message, tokens
from machines.tools import ToolCall
from orchestrator.audio.stt_feed import SentAudio
from orchestrator.clock import now_ms
from orchestrator.journal.format import CallJournal, Used


@define
class TokenMeter:
    """Counts the tokens of one request to a language model, where its server does not, by their letters."""

    messages: Sequence[Message]
    pieces: object = None
    """The answer as it comes; None: the server has not answered."""
    asked: bool = False
    """The server reads the request, as far as we know. If it refused it, it did not."""
    _plain: int = 0
    _other: int = 0
    """Characters of the answer in and outside of ASCII, of which those are several to a token."""

    def came(self, piece: str | ToolCall) -> None:
        """Note a piece of the answer."""
        text = f"{piece.name}{piece.arguments}" if isinstance(piece, ToolCall) else piece
        plain = len(text) if text.isascii() else sum(map(str.isascii, text))
        self._plain += plain
        self._other += len(text) - plain

    def used(self, provider: int, generation: int) -> Used | None:
        """What was used so far; None if nothing was, as far as we know."""
        if self.pieces is None and not self.asked:
            return None
        told = self.pieces.used if isinstance(self.pieces, CountsTokens) else None
        if told is not None:
            amounts = _amounts(told.prompt, told.cached, told.answer)
        else:
            answer = math.ceil(self._plain / CHARACTERS_PER_TOKEN) + self._other
            amounts = _amounts(sum(map(tokens, self.messages)), 0, answer)
        return Used(Role.LLM, provider, now_ms(), amounts, generation, estimated=told is None)


def _amounts(prompt: int, cached: int, answer: int) -> dict[str, float]:
    found = {"input_tokens": prompt - cached, "cached_tokens": cached, "output_tokens": answer}
    return {unit: amount for unit, amount in found.items() if amount}


@contextmanager
def metered_audio(journal: CallJournal | None, provider: int) -> Iterator[SentAudio]:
    """Have the journal told how much audio was sent to speech to text in the block."""
    sent = SentAudio()
    try:
        yield sent
    finally:
        if journal is not None and sent.ms > 0:
            journal.used(Used(Role.STT, provider, now_ms(), {"seconds": sent.ms / 1000}))


@contextmanager
def metered_tokens(
    journal: CallJournal | None, provider: int, wanted: StartGeneration
) -> Iterator[TokenMeter]:
    """Have the journal told how many tokens a request took, however the block is left."""
    meter = TokenMeter(wanted.messages)
    try:
        yield meter
    except trio.Cancelled:
        # Whoever does not wait for an answer pays for the question all the same.
        meter.asked = True
        raise
    finally:
        used = meter.used(provider, wanted.generation)
        if journal is not None and used is not None:
            journal.used(used)
