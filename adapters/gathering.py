"""The caller's audio on its way to speech to text: how much of it is gathered before it is sent on.

Positions and lengths are samples at `LISTENING_RATE`, whatever the rate of the audio is.
"""

from __future__ import annotations

from adapters.interfaces import LISTENING_RATE

GATHERED_MS = 60
"""So much audio is sent together. Vendors ask for 20 to 100 ms, and each message costs time."""
PAUSE_MS = 1000
"""For so long after voice audio is sent at once: the end of a turn is about to be found."""
NO_VOICE = -PAUSE_MS * LISTENING_RATE // 1000
"""The end of the last voice, before there was any."""


def goes_now(gathered: int, end: int, voice_end: int) -> bool:
    """Whether audio is sent on now, instead of with what follows.

    Args:
        gathered: the length of what waits.
        end: the position of its end.
        voice_end: the position where the last voice ended.
    """
    pausing = 0 < (end - voice_end) * 1000 < PAUSE_MS * LISTENING_RATE
    return pausing or gathered * 1000 >= GATHERED_MS * LISTENING_RATE
