"""Simulated text to speech, whose answers are spoken as planned."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import numpy as np
import trio
from attrs import Factory, define, field, frozen

from adapters.interfaces import SegmentEnd, SpeechStream, SpokenAudio, Voice
from machines.facts import Word
from orchestrator.simulation.behaviour import AT_ONCE, Delay, Fault, Opening, Plan, script, strike

VOICE_RATE = 24_000


@frozen
class Synthesis:
    """How one answer is synthesized."""

    first: Delay = AT_ONCE
    """Before the first audio of each segment."""
    between: Delay = AT_ONCE
    """Before each further piece of audio."""
    piece_ms: int = 100
    """Length of the pieces that audio comes in."""
    ms_per_character: float = 60
    rate: int = VOICE_RATE
    words: bool = True
    """Whether word times are reported."""
    misnumbered: bool = False
    """`SegmentEnd`s name segments that do not exist."""
    fault: Fault | None = None
    after: int = 0
    """Pieces of audio that come before the fault."""

    def duration_ms(self, text: str) -> float:
        """The duration of a text's audio."""
        return len(text) * self.ms_per_character


class SimulatedTextToSpeech:
    """Text to speech. The samples of segment n are all (n + 1) * 1000."""

    name = "simulated text to speech"

    def __init__(
        self,
        speaking: Plan[Synthesis] | None = None,
        openings: Plan[Opening] | None = None,
        random: Random | None = None,
    ) -> None:
        self.open_links = 0
        self.running = 0
        """Answers that are being spoken now."""
        self.voices: list[str | None] = []
        """The voice id that each answer was asked for with."""
        self._speaking = speaking or script(then=Synthesis())
        self._openings = openings or script(then=Opening())
        self._next_openings: list[Opening] = []
        self._random = random or Random(0)

    def opens_with(self, *openings: Opening) -> None:
        """Let the next openings go like this, before those that are planned."""
        self._next_openings.extend(openings)

    def _next_opening(self) -> Opening:
        return self._next_openings.pop(0) if self._next_openings else self._openings()

    @asynccontextmanager
    async def open(self, language: str) -> AsyncIterator[Voice]:
        """As `TextToSpeech.open`, as planned."""
        opening = self._next_opening()
        await opening.open(self._random)
        self.open_links += 1
        try:
            async with opening.lifetime():
                yield _Voice(self)
        finally:
            self.open_links -= 1

    @asynccontextmanager
    async def speak(self, voice_id: str | None) -> AsyncIterator[SpeechStream]:
        """As `Voice.speak`, as planned."""
        self.voices.append(voice_id)
        self.running += 1
        stream = _Stream(self._speaking(), self._random)
        try:
            yield stream
        finally:
            self.running -= 1
            await stream.aclose()


@frozen
class _Voice:
    _provider: SimulatedTextToSpeech

    @asynccontextmanager
    async def speak(self, sample_rate: int, voice_id: str | None) -> AsyncIterator[SpeechStream]:
        async with self._provider.speak(voice_id) as stream:
            yield stream


@define
class _Stream:
    _how: Synthesis
    _random: Random
    sample_rate: int = field(init=False)
    _pieces: int = 0
    _channels: tuple[trio.MemorySendChannel[tuple[int, str]], trio.MemoryReceiveChannel[tuple[int, str]]] = (
        Factory(lambda: trio.open_memory_channel[tuple[int, str]](math.inf))
    )

    _audio: AsyncGenerator[SpokenAudio | SegmentEnd, None] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.sample_rate = self._how.rate
        self._audio = self._synthesize()

    def __aiter__(self) -> AsyncIterator[SpokenAudio | SegmentEnd]:
        return self._audio

    async def aclose(self) -> None:
        await self._audio.aclose()

    async def say(self, segment: int, text: str) -> None:
        await self._channels[0].send((segment, text))

    async def end(self) -> None:
        await self._channels[0].aclose()

    async def _synthesize(self) -> AsyncGenerator[SpokenAudio | SegmentEnd, None]:
        async for segment, text in self._channels[1]:
            left = round(self._how.duration_ms(text) * self.sample_rate / 1000)
            await self._how.first.wait(self._random)
            while left > 0:
                if self._strikes_now() and await strike(self._how.fault):
                    return
                count = min(left, self.sample_rate * self._how.piece_ms // 1000)
                yield SpokenAudio(segment, np.full(count, (segment % 30 + 1) * 1000, np.int16))
                left -= count
                self._pieces += 1
                await self._how.between.wait(self._random)
            yield SegmentEnd(segment + 100 * self._how.misnumbered, self._words(text))
        if self._how.fault is not None and self._pieces <= self._how.after:
            await strike(self._how.fault)

    def _strikes_now(self) -> bool:
        return self._how.fault is not None and self._pieces == self._how.after

    def _words(self, text: str) -> tuple[Word, ...]:
        if not self._how.words:
            return ()
        found, start = [], 0.0
        for word in text.split():
            end = start + self._how.duration_ms(word + " ")
            found.append(Word(word, start, min(end, self._how.duration_ms(text))))
            start = end
        return tuple(found)
