"""Helpers for tests of speech-to-text links: audio to send, and the facts that come."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import trio
from attrs import define, field

from adapters.interfaces import LISTENING_RATE, Samples, Transcriber
from machines.facts import Fact, TranscriptFinal, TranscriptInterim

_WINDOW = 512
_QUIET = 300


@define(eq=False)
class Emitted:
    """Collects the emitted facts, in order. Is called like `Emit`."""

    facts: list[Fact] = field(factory=list)
    _changed: trio.Event = field(factory=trio.Event)

    def __call__(self, fact: Fact) -> None:
        self.facts.append(fact)
        self._changed.set()
        self._changed = trio.Event()

    async def until(self, condition: Callable[[], object]) -> None:
        with trio.fail_after(60):
            while not condition():
                await self._changed.wait()

    async def final(self, turn: int) -> TranscriptFinal:
        """Wait for the final transcript of a turn."""
        await self.until(lambda: self.finals(turn))
        (final,) = self.finals(turn)
        return final

    def finals(self, turn: int) -> list[TranscriptFinal]:
        return [one for one in self.facts if isinstance(one, TranscriptFinal) and one.turn == turn]

    def interims(self, turn: int) -> list[str]:
        return [one.text for one in self.facts if isinstance(one, TranscriptInterim) and one.turn == turn]


async def speak(transcriber: Transcriber, seconds: float) -> None:
    """Send loud audio that is voice, in real time."""
    await send(transcriber, loud(seconds))


async def speak_turn(transcriber: Transcriber, turn: int, seconds: float = 1) -> None:
    """Begin a turn, speak, and finalize it."""
    transcriber.begin_turn(turn)
    await speak(transcriber, seconds)
    transcriber.finalize(turn)


async def be_silent(transcriber: Transcriber, seconds: float) -> None:
    await send(transcriber, np.zeros(int(seconds * LISTENING_RATE), np.int16))


def loud(seconds: float) -> Samples:
    """Loud audio that is voice but holds no words itself."""
    time = np.arange(int(seconds * LISTENING_RATE))
    samples: Samples = (np.sin(time * 0.1) * 8000).astype(np.int16)
    return samples


async def send(transcriber: Transcriber, samples: Samples, speed: float = 1.0) -> None:
    """Send audio with its voice activity, `speed` times faster than real time (0: all at once)."""
    for start in range(0, len(samples), _WINDOW):
        window = samples[start : start + _WINDOW]
        await transcriber.send(window, 0.9 if np.abs(window).max() > _QUIET else 0.0)
        if speed:
            await trio.sleep(len(window) / LISTENING_RATE / speed)
