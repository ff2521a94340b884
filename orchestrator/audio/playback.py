"""An answer's audio on its way out: what waits, what was sent last, and where in it the caller is."""

from __future__ import annotations

from collections import deque
from math import inf

import numpy as np
import trio

from adapters.interfaces import Samples
from adapters.tasks import Signal

MOST_UNPLAYED_S = 3.0
"""More than any caller's side has waiting to be played, or is late to say that it was."""
UNPLAYED = inf
"""Ms that a caller's side has dropped which does not know how many: all that it had not played."""


class PlaybackClock:
    """Where a caller is who plays audio in real time from the moment it is sent."""

    def __init__(self) -> None:
        self.sent_ms = 0.0
        self.playing = False
        self.plays_out_at = 0.0
        self._rewound = Signal()

    @property
    def heard_ms(self) -> float:
        """How much the caller has heard."""
        left_s = self.plays_out_at - trio.current_time() if self.playing else 0.0
        return self.sent_ms - max(0.0, left_s * 1000)

    def sent(self, duration_ms: float) -> None:
        """Another chunk is on its way; it plays after those before it, or at once."""
        start = self.plays_out_at if self.playing else trio.current_time()
        self.plays_out_at = start + duration_ms / 1000
        self.sent_ms += duration_ms
        self.playing = True

    def stop(self) -> None:
        """The caller ran out of audio."""
        self.playing = False

    def rewind(self, dropped_ms: float) -> float:
        """The caller's side dropped so much, or `UNPLAYED`: returns how many ms that were."""
        if dropped_ms == UNPLAYED:
            dropped_ms = self.sent_ms - self.heard_ms
        if dropped_ms > 0:
            self.sent_ms -= dropped_ms
            self.plays_out_at = trio.current_time()
            self.playing = False
            self._rewound.wake_all()
        return dropped_ms

    async def wait_until_left(self, ms: float) -> None:
        """Return once at most `ms` of what was sent are still to be played: at once when it is dropped."""
        with trio.move_on_at(self.plays_out_at - ms / 1000):
            await self._rewound.wait()


class Unplayed:
    """The audio that was sent last, for as long as the caller may not have played it."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._pieces: deque[Samples] = deque()
        self._length = 0

    def add(self, samples: Samples) -> None:
        """It was sent. No more is kept than a caller can have waiting."""
        self._pieces.append(samples)
        self._length += len(samples)
        while self._length - len(self._pieces[0]) >= self._rate * MOST_UNPLAYED_S:
            self._length -= len(self._pieces.popleft())

    def last(self, ms: float) -> Samples:
        """The last of it, which is sent again and no longer counts as sent."""
        sent = np.concatenate([np.empty(0, np.int16), *self._pieces])
        count = min(len(sent), round(ms * self._rate / 1000))
        self._pieces, self._length = deque([sent[: len(sent) - count]]), len(sent) - count
        return sent[len(sent) - count :]


class SampleBuffer:
    """Samples in, chunks out, none of which goes over an `end_segment`. Bounded: `put` waits for room."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._pieces: deque[Samples] = deque()
        self._length = 0
        self._taken = 0
        """Samples taken and not put back."""
        self._ends: list[int] = []
        """Of segments, in samples since the first."""
        self._closed = False
        self._changed = Signal()

    async def put(self, samples: Samples) -> None:
        """Add samples; waits while the buffer is full."""
        while self._length >= self._capacity:
            await self._change()
        if len(samples):
            self._pieces.append(samples)
            self._length += len(samples)
            self._announce()

    def put_back(self, samples: Samples) -> None:
        """Add samples that were taken before all others. Never waits."""
        if len(samples):
            self._pieces.appendleft(samples)
            self._length += len(samples)
            self._taken -= len(samples)
            self._announce()

    def end_segment(self) -> None:
        """What comes next begins another chunk."""
        self._ends.append(self._taken + self._length)
        self._announce()

    @property
    def empty(self) -> bool:
        """Nothing is left to be taken."""
        return not self._length

    def close(self) -> None:
        """No more samples will come."""
        self._closed = True
        self._announce()

    async def take(self, count: int, at_least: int) -> Samples:
        """Up to `count` samples as soon as there are `at_least`; fewer, or none, once no more will come.

        Fewer before the end of a segment, too.
        """
        while self._length < min(at_least, self._left_of_segment()) and not self._closed:
            await self._change()
        return self._take(int(min(count, self._length, self._left_of_segment())))

    def _left_of_segment(self) -> float:
        """Samples up to the next end of a segment; infinite where none is known."""
        return next((end - self._taken for end in self._ends if end > self._taken), inf)

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
        self._announce()
        return np.concatenate(taken)

    async def _change(self) -> None:
        await self._changed.wait()

    def _announce(self) -> None:
        self._changed.wake_all()
