"""A caller of the speech-to-text adapters, and what a conversation hears from them."""

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
class Heard:
    """The facts that were emitted, in order. It is called as `Emit` is."""

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
        """The final transcript of a turn, when it has come."""
        await self.until(lambda: self.finals(turn))
        (final,) = self.finals(turn)
        return final

    def finals(self, turn: int) -> list[TranscriptFinal]:
        return [one for one in self.facts if isinstance(one, TranscriptFinal) and one.turn == turn]

    def interims(self, turn: int) -> list[str]:
        return [one.text for one in self.facts if isinstance(one, TranscriptInterim) and one.turn == turn]


async def speak(transcriber: Transcriber, seconds: float) -> None:
    """The caller speaks: loud audio that voice activity calls voice, in real time."""
    await send(transcriber, loud(seconds))


async def be_silent(transcriber: Transcriber, seconds: float) -> None:
    await send(transcriber, np.zeros(int(seconds * LISTENING_RATE), np.int16))


def loud(seconds: float) -> Samples:
    """Audio that is voice, and says nothing by itself."""
    time = np.arange(int(seconds * LISTENING_RATE))
    samples: Samples = (np.sin(time * 0.1) * 8000).astype(np.int16)
    return samples


async def send(transcriber: Transcriber, samples: Samples, speed: float = 1.0) -> None:
    """Audio with the voice activity that it has, `speed` times as fast as it was spoken (0: all at once)."""
    for start in range(0, len(samples), _WINDOW):
        window = samples[start : start + _WINDOW]
        await transcriber.send(window, 0.9 if np.abs(window).max() > _QUIET else 0.0)
        if speed:
            await trio.sleep(len(window) / LISTENING_RATE / speed)
