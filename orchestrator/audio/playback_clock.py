"""The playback clock: how much of an answer the caller has heard, if it is played in real time as sent."""

from __future__ import annotations

from math import inf

import trio

from adapters.tasks import Signal

UNPLAYED = inf
"""Ms dropped, for a caller's side that cannot count them: all audio that it had not played yet."""


class PlaybackClock:
    """The position of a caller who plays each chunk at once, or right after the chunks before it."""

    def __init__(self) -> None:
        self.sent_ms = 0.0
        self.playing = False
        self.plays_out_at = 0.0
        self._rewound = Signal()

    @property
    def heard_ms(self) -> float:
        """How much the caller has heard, in ms."""
        left_s = self.plays_out_at - trio.current_time() if self.playing else 0.0
        return self.sent_ms - max(0.0, left_s * 1000)

    def sent(self, duration_ms: float) -> None:
        """A chunk was sent. It plays after the chunks before it, or at once."""
        start = self.plays_out_at if self.playing else trio.current_time()
        self.plays_out_at = start + duration_ms / 1000
        self.sent_ms += duration_ms
        self.playing = True

    def stop(self) -> None:
        """The caller has played everything."""
        self.playing = False

    def rewind(self, dropped_ms: float) -> float:
        """The caller's side dropped its last `dropped_ms`, or `UNPLAYED`. Returns how many ms that was."""
        if dropped_ms == UNPLAYED:
            dropped_ms = self.sent_ms - self.heard_ms
        if dropped_ms > 0:
            self.sent_ms -= dropped_ms
            self.plays_out_at = trio.current_time()
            self.playing = False
            self._rewound.wake_all()
        return dropped_ms

    async def wait_until_left(self, ms: float) -> None:
        """Return when at most `ms` of what was sent remain to be played, or when the rest is dropped."""
        with trio.move_on_at(self.plays_out_at - ms / 1000):
            await self._rewound.wait()
