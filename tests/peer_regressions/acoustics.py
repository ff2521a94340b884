"""A room in which the caller's microphone hears the loudspeaker, and speech to text for the loudest words.

Each word is a tone of its own, so that it is the same word however loud it is, and the louder of two at once
is the one that is understood.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import groupby

import numpy as np
import trio
from attrs import Factory, define, field, frozen

from adapters.interfaces import (
    LISTENING_RATE,
    Emit,
    Samples,
    SegmentEnd,
    Settled,
    SpeechStream,
    SpokenAudio,
    Transcriber,
    Voice,
)
from machines.facts import TranscriptFinal, TranscriptInterim, Word
from orchestrator.simulation import (
    SimulatedCall,
    SimulatedCaller,
    SimulatedSpeechToText,
    SimulatedTextToSpeech,
)
from orchestrator.simulation.call import BLOCK_MS

WORD_MS = 320
LOUDNESS = 12_000
"""Amplitude of speech; voice activity hears a twentieth of it."""
LOWEST_HZ, STEP_HZ = 200, 100
FRAME = LISTENING_RATE * 20 // 1000
FAINTEST = 300
"""The lowest amplitude that speech to text recognizes."""


@frozen
class Language:
    """Words, each with its tone."""

    words: tuple[str, ...]

    def spoken(self, text: str, rate: int) -> Samples:
        """The audio of a text."""
        times = np.arange(rate * WORD_MS // 1000) / rate
        tones = [np.sin(2 * np.pi * self._hz(word) * times) for word in text.split()]
        return (np.concatenate([np.empty(0), *tones]) * LOUDNESS).astype(np.int16)

    def understood(self, samples: Samples) -> str:
        """The words in audio at `LISTENING_RATE`."""
        frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME).astype(float)
        spectra = np.abs(np.fft.rfft(frames * np.hanning(FRAME), axis=1)) * 4 / FRAME
        loudest = np.argmax(spectra, axis=1) * LISTENING_RATE / FRAME
        numbers = np.rint((loudest - LOWEST_HZ) / STEP_HZ).astype(int)
        numbers[np.max(spectra, axis=1) < FAINTEST] = -1
        found: list[str] = []
        for number, run in groupby(numbers.tolist()):
            count = round(sum(1 for _ in run) * FRAME * 1000 / LISTENING_RATE / WORD_MS)
            if 0 <= number < len(self.words):
                found += [self.words[number]] * count
        return " ".join(found)

    def _hz(self, word: str) -> int:
        return LOWEST_HZ + STEP_HZ * self.words.index(word.strip(".?!,").lower())


# --- our side ---------------------------------------------------------------------------------------------


class Loudspeaker(SimulatedTextToSpeech):
    """A voice that says words in this language, at once."""

    def __init__(self, language: Language) -> None:
        super().__init__()
        self._language = language

    @asynccontextmanager
    async def open(self, language: str) -> AsyncIterator[Voice]:
        """A link."""
        async with super().open(language):
            yield _Voice(self._language)


@frozen
class _Voice:
    _language: Language

    @asynccontextmanager
    async def speak(self, sample_rate: int, voice_id: str | None) -> AsyncIterator[SpeechStream]:
        yield _Speech(self._language, sample_rate)


@define
class _Speech:
    _language: Language
    sample_rate: int
    _texts: tuple[trio.MemorySendChannel[tuple[int, str]], trio.MemoryReceiveChannel[tuple[int, str]]] = (
        Factory(lambda: trio.open_memory_channel[tuple[int, str]](100))
    )

    async def say(self, segment: int, text: str) -> None:
        await self._texts[0].send((segment, text))

    async def end(self) -> None:
        await self._texts[0].aclose()

    async def __aiter__(self) -> AsyncIterator[SpokenAudio | SegmentEnd]:
        async for segment, text in self._texts[1]:
            yield SpokenAudio(segment, self._language.spoken(text, self.sample_rate))
            times = (Word(word, n * WORD_MS, (n + 1) * WORD_MS) for n, word in enumerate(text.split()))
            yield SegmentEnd(segment, tuple(times))


class LoudestWordsSTT(SimulatedSpeechToText):
    """Speech to text for this language, `late_ms` behind."""

    def __init__(self, language: Language, late_ms: float = 100) -> None:
        super().__init__()
        self._language = language
        self._late_ms = late_ms

    @asynccontextmanager
    async def open(self, emit: Emit, language: str) -> AsyncIterator[Transcriber]:
        """A link."""
        async with super().open(emit, language), trio.open_nursery() as nursery:
            yield _Listener(self._language, emit, nursery, self._late_ms / 1000)
            nursery.cancel_scope.cancel()


@define
class _Listener:
    _language: Language
    _emit: Emit
    _nursery: trio.Nursery
    _late_s: float
    _turn: int = 0
    _heard: list[Samples] = Factory(list)
    _told: str = ""

    def settled(self, turn: int) -> Settled:
        return Settled()

    def begin_turn(self, turn: int) -> None:
        self._turn, self._told, self._heard = turn, "", self._heard[-10:]

    async def send(self, samples: Samples, speech_probability: float) -> None:
        await trio.lowlevel.checkpoint()
        self._heard.append(samples)
        words = self._words()
        if words != self._told:
            self._told = words
            self._nursery.start_soon(self._report, TranscriptInterim(self._turn, words, 0.8))

    def finalize(self, turn: int) -> None:
        words = self._words() if turn == self._turn else ""
        fact = TranscriptFinal(turn, words, 0.9, float(WORD_MS * len(words.split())))
        self._heard = []
        self._nursery.start_soon(self._report, fact)

    async def _report(self, fact: TranscriptInterim | TranscriptFinal) -> None:
        await trio.sleep(self._late_s)
        self._emit(fact)

    def _words(self) -> str:
        return self._language.understood(np.concatenate([np.empty(0, np.int16), *self._heard]))


# --- the caller's side ------------------------------------------------------------------------------------


@define
class Room:
    """The caller's room: the microphone hears the caller, and the loudspeaker a little later and softer."""

    call: SimulatedCall
    language: Language
    attenuation_db: float
    delay_ms: float
    _speech: Samples = field(factory=lambda: np.empty(0, np.int16))
    _said: trio.Event = Factory(trio.Event)

    async def say(self, words: str) -> None:
        """The caller speaks."""
        self._speech, self._said = self.language.spoken(words, LISTENING_RATE), trio.Event()
        await self._said.wait()

    async def listen(self) -> None:
        """The microphone, until cancelled."""
        count = LISTENING_RATE * BLOCK_MS // 1000
        while True:
            await trio.sleep(BLOCK_MS / 1000)
            own, self._speech = self._speech[:count], self._speech[count:]
            mixed = np.zeros(count)
            mixed[: len(own)] += own
            mixed += self._echo(trio.current_time() * 1000 - BLOCK_MS - self.delay_ms, count)
            self.call.audio.push(np.clip(mixed, -32_768, 32_767).astype(np.int16), LISTENING_RATE)
            if not len(self._speech):
                self._said.set()

    def _echo(self, at_ms: float, count: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """What the loudspeaker gave from `at_ms` on."""
        times = at_ms + np.arange(count) * 1000 / LISTENING_RATE
        return loudspeaker(self.call.caller, times) * 10 ** (self.attenuation_db / 20)


def loudspeaker(
    caller: SimulatedCaller, times_ms: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """What sounded at these times."""
    sound = np.zeros(len(times_ms))
    for playback in caller.playbacks[-2:]:
        until = float("inf") if playback.stopped_at_ms is None else playback.stopped_at_ms
        free_at = 0.0
        for chunk in playback.chunks:
            start = max(chunk.at_ms, free_at)
            free_at = start + chunk.duration_ms
            inside = (times_ms >= start) & (times_ms < min(free_at, until))
            places = ((times_ms[inside] - start) * chunk.rate / 1000).astype(int)
            sound[inside] = chunk.samples[np.minimum(places, len(chunk.samples) - 1)]
    return sound
