"""A socket's share of the machine: how many messages and bytes it may bring.

What audio may come ahead of time is bounded by its duration (`audio/real_time_share.py`). This bounds all
that a socket brings, whatever it says: small messages cost almost as much as large ones. Nothing is lost, it
is only read at a pace: a peer that sends faster has to wait.
"""

from __future__ import annotations

import trio
from attrs import define, field

from orchestrator.leaky_bucket import LeakyBucket

MESSAGES_AT_ONCE = 4000
MESSAGES_PER_S = 400
"""Eight times as many as audio in real time has, and ten seconds of that at once, as for audio."""
BYTES_AT_ONCE = 10 * 1024 * 1024
BYTES_PER_S = 1024 * 1024
"""Audio at 48 kHz that comes eight times faster than real time has less."""


@define
class MessageShare:
    """Lets in what one socket brings."""

    _messages: LeakyBucket = field(factory=lambda: LeakyBucket(MESSAGES_AT_ONCE, MESSAGES_PER_S))
    _bytes: LeakyBucket = field(factory=lambda: LeakyBucket(BYTES_AT_ONCE, BYTES_PER_S))

    async def take(self, size: int) -> None:
        """Return when a message of so many bytes or characters may be handled."""
        for bucket, amount in ((self._messages, 1), (self._bytes, size)):
            excess = amount - bucket.room
            if excess > 0:
                await trio.sleep(excess / bucket.per_s)
            bucket.add(amount)
