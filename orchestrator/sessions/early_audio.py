"""A client's audio that comes before its recording starts: kept for a while, as the start tells its rate."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator

import trio
from attrs import define, field, frozen

from adapters.interfaces import Samples
from protocol import DEFAULT_RATE

EARLY_MS = 10_000
"""This much audio is kept that comes before `audio.input.start`, which tells its rate."""
EARLY_CHUNKS = 1000
"""The limit on the number of its chunks."""
EARLY_AGE_S = 3
"""Audio that is older than this when the recording starts does not belong to it."""
EARLY_LOSS_S = 0.1
"""Early audio that was dropped within so long is counted together."""


@frozen(eq=False)
class EarlyChunk:
    """A chunk that came before its rate was known."""

    samples: Samples
    at: float


@define(eq=False)
class EarlyLoss:
    """Early audio that was dropped for want of room: how many samples, and when the first of them came."""

    at: float
    samples: int


@define(eq=False)
class EarlyAudio:
    """The latest audio of a client that records nothing yet."""

    counts: Counter[str]
    _chunks: deque[EarlyChunk] = field(factory=deque, init=False)
    _samples: int = field(default=0, init=False)
    _lost: deque[EarlyLoss] = field(factory=deque, init=False)
    """What was dropped for want of room and may belong to the recording that will begin."""
    _lost_before: int = field(default=0, init=False)
    """Samples that were dropped and are older than that."""

    def keep(self, samples: Samples) -> None:
        """Keep a chunk; the oldest ones are dropped for it."""
        self._chunks.append(EarlyChunk(samples, trio.current_time()))
        self._samples += len(samples)
        while self._samples > EARLY_MS * DEFAULT_RATE // 1000 or len(self._chunks) > EARLY_CHUNKS:
            self._lose(self._chunks.popleft())

    def _lose(self, chunk: EarlyChunk) -> None:
        self._samples -= len(chunk.samples)
        self.counts["early chunks dropped"] += 1
        if self._lost and chunk.at < self._lost[-1].at + EARLY_LOSS_S:
            self._lost[-1].samples += len(chunk.samples)
        else:
            self._lost.append(EarlyLoss(chunk.at, len(chunk.samples)))
        while self._lost and self._lost[0].at < trio.current_time() - EARLY_AGE_S:
            self._lost_before += self._lost.popleft().samples

    def lost_since(self, since: float) -> int:
        """How many samples were dropped that came since then; 0: all that were."""
        lost = sum(each.samples for each in self._lost if each.at >= since)
        return lost + (0 if since else self._lost_before)

    def take(self, since: float) -> Iterator[Samples]:
        """The chunks that came since then. The others are forgotten."""
        for chunk in self._chunks:
            if chunk.at >= since and len(chunk.samples):
                yield chunk.samples
        self._chunks.clear()
        self._lost.clear()
        self._samples = self._lost_before = 0
