"""Buffers of an answer's audio: what waits to be sent, and what was sent and may not be played yet."""

from __future__ import annotations

from collections import deque
from math import inf

import numpy as np

from adapters.interfaces import Samples
from adapters.tasks import Signal

MOST_UNPLAYED_S = 3.0
"""Sent audio is kept this long: no caller's side has more of it to play or to report as played."""


class UnplayedAudio:
    """The audio that was sent last, kept as long as the caller may still have to play it."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._pieces: deque[Samples] = deque()
        self._length = 0

    def add(self, samples: Samples) -> None:
        """Add what was sent, and drop what is older than `MOST_UNPLAYED_S`."""
        self._pieces.append(samples)
        self._length += len(samples)
        while self._length - len(self._pieces[0]) >= self._rate * MOST_UNPLAYED_S:
            self._length -= len(self._pieces.popleft())

    def take_last(self, ms: float) -> Samples:
        """Remove the last `ms`, to be sent again, and return them."""
        sent = np.concatenate([np.empty(0, np.int16), *self._pieces])
        count = min(len(sent), round(ms * self._rate / 1000))
        self._pieces, self._length = deque([sent[: len(sent) - count]]), len(sent) - count
        return sent[len(sent) - count :]


class SampleBuffer:
    """Samples in, chunks out. No chunk spans two segments. Bounded: `put` waits for room."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._pieces: deque[Samples] = deque()
        self._length = 0
        self._taken = 0
        """Samples taken and not put back."""
        self._segment_ends: list[int] = []
        """In samples since the first."""
        self._closed = False
        self._changed = Signal()

    async def put(self, samples: Samples) -> None:
        """Add samples. Waits while the buffer is full."""
        while self._length >= self._capacity:
            await self._changed.wait()
        if len(samples):
            self._pieces.append(samples)
            self._length += len(samples)
            self._changed.wake_all()

    def put_back(self, samples: Samples) -> None:
        """Put samples that were taken back in front of all others. Never waits."""
        if len(samples):
            self._pieces.appendleft(samples)
            self._length += len(samples)
            self._taken -= len(samples)
            self._changed.wake_all()

    def end_segment(self) -> None:
        """The samples so far end a segment: the next ones begin another chunk."""
        self._segment_ends.append(self._taken + self._length)
        self._changed.wake_all()

    @property
    def empty(self) -> bool:
        """No samples are left to take."""
        return not self._length

    def close(self) -> None:
        """No more samples will come."""
        self._closed = True
        self._changed.wake_all()

    async def take(self, count: int, at_least: int) -> Samples:
        """Wait for `at_least` samples and take up to `count` of them.

        Fewer at the end of a segment; fewer or none once the buffer is closed.
        """
        while self._length < min(at_least, self._left_of_segment()) and not self._closed:
            await self._changed.wait()
        return self._take(int(min(count, self._length, self._left_of_segment())))

    def _left_of_segment(self) -> float:
        """Samples up to the next end of a segment; infinite if none is known."""
        return next((end - self._taken for end in self._segment_ends if end > self._taken), inf)

    def _take(self, count: int) -> Samples:
        taken = [np.empty(0, np.int16)]
        self._length -= count
        self._taken += count
        while count:
            piece = self._pieces.popleft()
            if len(piece) > count:
                self._pieces.appendleft(piece[count:])
                piece = piece[:count]
            taken.append(piece)
            count -= len(piece)
        self._changed.wake_all()
        return np.concatenate(taken)
