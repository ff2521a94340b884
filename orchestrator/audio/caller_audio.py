"""The bounded queue of the caller's audio, between the socket and speech to text.

The oldest audio is dropped first, and counted. Turn marks travel in the same queue, so that a turn holds
exactly the audio that came before its mark.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np
from attrs import define, frozen

from adapters.interfaces import Samples
from adapters.tasks import Signal

MAX_QUEUED_MS = 10_000
"""Audio kept while nobody takes it (before the first turn begins). Older audio is dropped."""
BACKLOG_MS = 5_000
"""There is room for more audio while less than this waits to be taken, here or by a link."""
STALLED_AFTER_S = 2.0
"""Whoever has audio waits for room, unless nothing is taken for so long."""
JOINED_MS = 30
"""Shorter blocks are joined and wait for more: a window of voice activity is about as long. So the limit of
the queue in ms also limits its memory."""


@frozen
class TurnBegins:
    """Mark: the audio after it belongs to `turn`."""

    turn: int


@frozen
class TurnEnds:
    """Mark: `turn` ends here."""

    turn: int


@frozen
class AudioBlock:
    """Audio as the client sent it, at `rate` Hz."""

    samples: Samples
    rate: int

    @property
    def duration_ms(self) -> float:
        """Its length in ms."""
        return len(self.samples) * 1000 / self.rate


@define
class CallerAudioCounts:
    """How much of the caller's audio was received, dropped and replayed."""

    received_ms: float = 0.0
    dropped_ms: float = 0.0
    """Dropped for want of room before it was sent on any link."""
    replayed_ms: float = 0.0
    """Sent on a further link; each time counts."""


QueueItem = AudioBlock | TurnBegins | TurnEnds


class CallerAudio:
    """The queue of audio and turn marks. Nothing leaves it before the first turn begins."""

    def __init__(self, *, telephone: bool = False) -> None:
        """`telephone`: all audio will be pushed at `TELEPHONE_RATE`."""
        self.telephone = telephone
        self.counts = CallerAudioCounts()
        self._items: deque[QueueItem] = deque()
        self._queued_ms = 0.0
        self._first_turn_begun = False
        self._arrived = Signal()
        self._taken = Signal()

    def push(self, samples: Samples, rate: int) -> None:
        """Add audio at `rate` Hz. Never blocks; drops the oldest audio beyond `MAX_QUEUED_MS`."""
        block = AudioBlock(samples, rate)
        self.counts.received_ms += block.duration_ms
        self._queued_ms += block.duration_ms
        self._append(block)
        while self._queued_ms > MAX_QUEUED_MS:
            self._drop_oldest()
        if self._ready():
            self._arrived.wake_all()

    def _append(self, block: AudioBlock) -> None:
        last = self._items[-1] if self._items else None
        if isinstance(last, AudioBlock) and last.rate == block.rate and last.duration_ms < JOINED_MS:
            self._items[-1] = AudioBlock(np.concatenate([last.samples, block.samples]), block.rate)
        else:
            self._items.append(block)

    def drop(self, duration_ms: float) -> None:
        """Count audio that came and was not pushed."""
        self.counts.received_ms += duration_ms
        self.counts.dropped_ms += duration_ms

    def begin_turn(self, turn: int) -> None:
        """Mark the beginning of a turn here. The first turn also gets all audio that came before it."""
        if self._first_turn_begun:
            self._items.append(TurnBegins(turn))
        else:
            self._items.appendleft(TurnBegins(turn))
            self._first_turn_begun = True
        self._arrived.wake_all()

    def end_turn(self, turn: int) -> None:
        """Mark the end of a turn here."""
        self._items.append(TurnEnds(turn))
        self._arrived.wake_all()

    async def take(self) -> QueueItem:
        """Wait for the next item and return it. Audio waits until there are `JOINED_MS` of it, or a mark."""
        while not self._ready():
            await self._arrived.wait()
        return self._take_first()

    def take_short(self) -> AudioBlock | None:
        """The audio that `take` would wait to be longer; None if there is none."""
        if not (self._first_turn_begun and self._items):
            return None
        assert isinstance(self._items[0], AudioBlock), "a mark never waits"
        block = self._take_first()
        assert isinstance(block, AudioBlock)
        return block

    def _ready(self) -> bool:
        """Whether there is something to take: a mark, or audio that is long enough or before a mark."""
        if not (self._first_turn_begun and self._items):
            return False
        first = self._items[0]
        return not isinstance(first, AudioBlock) or len(self._items) > 1 or first.duration_ms >= JOINED_MS

    def _take_first(self) -> QueueItem:
        item = self._items.popleft()
        if isinstance(item, AudioBlock):
            self._queued_ms -= item.duration_ms
            self._taken.wake_all()
        return item

    async def room(self) -> None:
        """Wait until there is room for more audio. Nobody waits before the first turn: none is taken then."""
        while self._first_turn_begun and self._queued_ms > BACKLOG_MS:
            await self._taken.wait()

    def _drop_oldest(self) -> None:
        """Drop what is above the limit, but no more than one block."""
        for index, item in enumerate(self._items):
            if isinstance(item, AudioBlock):
                excess = math.ceil((self._queued_ms - MAX_QUEUED_MS) * item.rate / 1000)
                kept = AudioBlock(item.samples[excess:], item.rate)
                if len(kept.samples):
                    self._items[index] = kept
                else:
                    del self._items[index]
                self._queued_ms -= item.duration_ms - kept.duration_ms
                self.counts.dropped_ms += item.duration_ms - kept.duration_ms
                return
