"""The conformance kit detects faults of text to speech."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager

import numpy as np
import pytest
import trio
from trio.testing import MockClock

from adapters import conformance
from adapters.conformance import Check, NotConformant, TtsUnderTest
from adapters.interfaces import (
    ProviderError,
    SegmentEnd,
    SpeechStream,
    SpokenAudio,
    TextToSpeech,
    Voice,
)
from machines.facts import ErrorClass, Word
from orchestrator.simulation import (
    SimulatedTextToSpeech,
    Synthesis,
    script,
)
from tests.adapters.conformance.subjects import (
    named,
    tts_subject,
)

Items = AsyncGenerator[SpokenAudio | SegmentEnd, None]


class FaultyTts:
    """Text to speech with a fault, which subclasses add. It is its own link."""

    name = "broken voice"
    rate = 24_000
    waits_for_the_end = False

    def open(self, language: str) -> AbstractAsyncContextManager[Voice]:
        return self._link()

    @asynccontextmanager
    async def _link(self) -> AsyncIterator[Voice]:
        await trio.lowlevel.checkpoint()
        yield self

    @asynccontextmanager
    async def speak(self, sample_rate: int, voice_id: str | None) -> AsyncIterator[SpeechStream]:
        stream = Stream(self)
        async with aclosing(stream.items):
            yield stream

    def audio(self, segment: int, text: str) -> list[SpokenAudio]:
        samples = np.full(self.rate // 50 * len(text), 1000, np.int16)
        return [SpokenAudio(segment, samples)]

    def end(self, segment: int, text: str) -> list[SegmentEnd]:
        return [SegmentEnd(segment)]


class Stream:
    def __init__(self, mouth: FaultyTts) -> None:
        self.sample_rate = mouth.rate
        self._mouth = mouth
        self._send, self._texts = trio.open_memory_channel[tuple[int, str]](100)
        self.items = self._items()

    async def say(self, segment: int, text: str) -> None:
        await self._send.send((segment, text))

    async def end(self) -> None:
        await self._send.aclose()

    def __aiter__(self) -> AsyncIterator[SpokenAudio | SegmentEnd]:
        return self.items

    async def _items(self) -> Items:
        held: list[SpokenAudio | SegmentEnd] = []
        async for segment, text in self._texts:
            items: list[SpokenAudio | SegmentEnd] = [*self._mouth.audio(segment, text)]
            items += self._mouth.end(segment, text)
            if self._mouth.waits_for_the_end:
                held += items
                continue
            for item in items:
                yield item
        for item in held:
            yield item


class Waiting(FaultyTts):
    waits_for_the_end = True


class Endless(FaultyTts):
    def end(self, segment: int, text: str) -> list[SegmentEnd]:
        return []


class Quiet(FaultyTts):
    def audio(self, segment: int, text: str) -> list[SpokenAudio]:
        return [SpokenAudio(segment, each.samples * 0) for each in super().audio(segment, text)]


class Floating(FaultyTts):
    def audio(self, segment: int, text: str) -> list[SpokenAudio]:
        return [SpokenAudio(segment, np.zeros(2400, np.float32))]


class Numbered(FaultyTts):
    def audio(self, segment: int, text: str) -> list[SpokenAudio]:
        return super().audio(0, text)


class Talkative(FaultyTts):
    def end(self, segment: int, text: str) -> list[SegmentEnd]:
        return [SegmentEnd(segment, (Word("this", 0, 99_000),))]


class Choosy(FaultyTts):
    def audio(self, segment: int, text: str) -> list[SpokenAudio]:
        if not any(character.isalpha() for character in text):
            raise ProviderError(ErrorClass.FATAL, "nothing to say")
        return super().audio(segment, text)


class Deceiving(FaultyTts):
    """Claims the rate that it was asked for, but gives another."""

    @asynccontextmanager
    async def speak(self, sample_rate: int, voice_id: str | None) -> AsyncIterator[SpeechStream]:
        async with super().speak(sample_rate, voice_id) as stream:
            stream.sample_rate = sample_rate
            yield stream


class Particular(FaultyTts):
    @asynccontextmanager
    async def speak(self, sample_rate: int, voice_id: str | None) -> AsyncIterator[SpeechStream]:
        if voice_id is not None:
            raise ProviderError(ErrorClass.FATAL, "no such voice")
        async with super().speak(sample_rate, voice_id) as stream:
            yield stream


BROKEN_VOICES: list[tuple[str, TextToSpeech, str]] = [
    ("segments_are_spoken_in_order_each_with_its_end", Endless(), "audio of segment 1 came in segment 0"),
    ("segments_are_spoken_in_order_each_with_its_end", Numbered(), "audio of segment 0 came in segment 1"),
    ("segments_are_spoken_in_order_each_with_its_end", Quiet(), "not louder than 0"),
    ("segments_are_spoken_in_order_each_with_its_end", Floating(), "numpy array of int16"),
    (
        "segments_are_spoken_in_order_each_with_its_end",
        SimulatedTextToSpeech(script(then=Synthesis(misnumbered=True))),
        "segment 100 ended before 0",
    ),
    ("the_first_segment_is_spoken_before_the_next_is_known", Waiting(), "the first audio, with one segment"),
    ("words_lie_within_their_segment", Talkative(), "but words until"),
    ("what_cannot_be_spoken_ends_as_well", Choosy(), "raised ProviderError: nothing to say"),
    ("the_sample_rate_is_what_it_says", Deceiving(), "other lengths"),
    ("an_unknown_voice_is_the_default_one", Particular(), "no such voice"),
]


@pytest.mark.parametrize("check", conformance.TEXT_TO_SPEECH)
async def test_the_voice_whose_faults_are_tested_conforms_without_them(
    check: Check[TtsUnderTest], autojump_clock: MockClock
) -> None:
    await check(TtsUnderTest(FaultyTts()))


@pytest.mark.parametrize(("check", "broken", "complaint"), BROKEN_VOICES)
async def test_a_broken_voice_is_found(
    check: str, broken: TextToSpeech, complaint: str, autojump_clock: MockClock
) -> None:
    with pytest.raises(NotConformant, match=complaint):
        await named(conformance.TEXT_TO_SPEECH, check)(tts_subject(broken))
