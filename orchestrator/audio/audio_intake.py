"""How a call's audio gets in: as fast as it is taken, and no further ahead of time than its share. What is
dropped is told."""

from __future__ import annotations

import math
from collections.abc import Callable

import trio
from attrs import define, field

from adapters.interfaces import Samples
from adapters.logs import library_logger
from orchestrator.audio.caller_audio import STALLED_AFTER_S, CallerAudio
from orchestrator.audio.real_time_share import RealTimeShare

log = library_logger(__name__)

LEAST_DROPPED_MS = 20
"""Nobody is told of less dropped audio than this."""
TOLD_EVERY_S = 1.0
"""Nor more often than this."""


@define(eq=False)
class AudioIntake:
    """Passes one caller's audio on to `audio`. `tell` is told how many ms of it were dropped."""

    audio: CallerAudio
    tell: Callable[[float], None]
    _share: RealTimeShare = field(factory=RealTimeShare)
    _told_ms: float = 0.0
    _told_at: float = -math.inf

    async def push(self, samples: Samples, rate: int) -> None:
        """Pass audio on when there is room for it. What nobody takes, or is far ahead of time, is dropped."""
        for start in range(0, len(samples), rate):
            second = samples[start : start + rate]
            duration_ms = len(second) * 1000 / rate
            if not await self._share.admits(duration_ms):
                self.audio.drop(duration_ms)
                continue
            with trio.move_on_after(STALLED_AFTER_S):
                await self.audio.room()
            self.audio.push(second, rate)
        self.report_dropped()

    def report_dropped(self) -> None:
        """Tell how much audio was dropped since it was last told, unless that was a moment ago."""
        dropped_ms = self.audio.counts.dropped_ms - self._told_ms
        if dropped_ms < LEAST_DROPPED_MS or trio.current_time() < self._told_at + TOLD_EVERY_S:
            return
        if not self._told_ms:
            log.warning("audio dropped", dropped_ms=round(dropped_ms))
        self._told_ms += dropped_ms
        self._told_at = trio.current_time()
        self.tell(dropped_ms)
