"""Timing of the embedded models: a record for each piece of work, for measurements."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from attrs import frozen

T = TypeVar("T")


@frozen
class Timing:
    """A model worked for `ms` on `audio_ms` of audio, its input or its output.

    `stage` is "voice_activity", "turn_model", "speech_to_text" or "text_to_speech". Waiting for a free worker
    is not counted.
    """

    stage: str
    ms: float
    audio_ms: float


ReportTiming = Callable[[Timing], None]
"""Takes a timing, in the Trio thread. Must not block."""


def discard(timing: Timing) -> None:
    """Ignore the timing."""


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """The work's result, and the ms it took."""
    started = time.perf_counter()
    result = work()
    return result, (time.perf_counter() - started) * 1000
