"""How much of the caller's audio is gathered before it is sent to speech to text."""

from __future__ import annotations

import pytest

from adapters.gathering import GATHERED_MS, NO_VOICE, PAUSE_MS, goes_now
from adapters.interfaces import LISTENING_RATE

WINDOW = LISTENING_RATE * 32 // 1000


def positions(ms: float) -> int:
    return round(ms * LISTENING_RATE / 1000)


@pytest.mark.parametrize("voice_end", [NO_VOICE, WINDOW])
def test_before_and_during_voice_audio_waits_until_there_is_enough_for_a_message(voice_end: int) -> None:
    assert not goes_now(WINDOW, WINDOW, voice_end)
    assert goes_now(positions(GATHERED_MS), WINDOW, voice_end)


@pytest.mark.parametrize(("silent_ms", "at_once"), [(32, True), (PAUSE_MS - 32, True), (PAUSE_MS, False)])
def test_in_the_pause_after_voice_audio_goes_at_once(silent_ms: float, at_once: bool) -> None:
    voice_end = positions(3000)
    assert goes_now(WINDOW, voice_end + positions(silent_ms), voice_end) is at_once
