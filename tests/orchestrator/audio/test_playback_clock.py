"""The playback clock."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from orchestrator.audio.playback_clock import PlaybackClock


async def test_a_playback_clock_follows_chunks_and_gaps(autojump_clock: MockClock) -> None:
    clock = PlaybackClock()
    began = trio.current_time()
    clock.sent(100)
    clock.sent(100)
    assert clock.plays_out_at - began == pytest.approx(0.2)
    await clock.wait_until_left(50)
    assert trio.current_time() - began == pytest.approx(0.15)
    await trio.sleep(1)
    clock.stop()
    clock.sent(100)
    assert clock.plays_out_at - trio.current_time() == pytest.approx(0.1)
    assert clock.sent_ms == 300
