"""Embedded text to speech by hibari: 24 kHz, sentence by sentence, about 100 times faster than real time.

It uses the voice inside the package ("heart"), or one from a file. Nothing is ever downloaded.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import hibari  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
import trio

from adapters.embedded.english import is_english, require_english
from adapters.embedded.inference_timing import ReportTiming, Timing, discard, timed
from adapters.embedded.models import ModelsError, require
from adapters.interfaces import ProviderError, Samples, SegmentEnd, SpeechStream, SpokenAudio, Voice
from adapters.spoken_text import spoken_text
from machines.facts import ErrorClass

SAMPLE_RATE: int = hibari.SAMPLE_RATE
_PIECE = SAMPLE_RATE // 10
"""Samples in a piece of audio: 100 ms."""
_LONGEST_SENTENCE = 300
"""Characters synthesized at once, about 20 s of speech; longer sentences are cut between words."""
_WAITING_SEGMENTS = 64
"""Segments that may wait to be synthesized before `say` blocks."""


class HibariTextToSpeech:
    """The model, loaded once per process. Loading blocks for about 600 ms: construct it in a worker thread.

    `model_path` is another ONNX voice of the same kind. With a `seed` the same text gives the same samples.
    English only. One sentence is synthesized at a time. Raises `ModelsError` if there is no such voice at
    `model_path`.
    """

    name = "hibari"

    def __init__(
        self,
        model_path: Path | None = None,
        threads: int = 1,
        *,
        seed: int | None = None,
        report: ReportTiming = discard,
    ) -> None:
        own_file = str(require(model_path)) if model_path else None
        self._seed = seed
        self._limiter = trio.CapacityLimiter(1)
        self._report = report
        try:
            self._model = hibari.Hibari(model=own_file, threads=threads)
            self._model("Warm up.")  # loads the pronunciation dictionaries
        except Exception as error:
            raise ModelsError(f"The voice file {own_file} cannot be used: {error}") from error

    def knows(self, language: str) -> bool:
        """As `KnowsLanguages.knows`."""
        return is_english(language)

    def open(self, language: str) -> AbstractAsyncContextManager[Voice]:
        """As `TextToSpeech.open`. Raises `ProviderError` for a language other than English."""
        return self._open(language)

    @asynccontextmanager
    async def _open(self, language: str) -> AsyncIterator[Voice]:
        require_english(self.name, language)
        await trio.lowlevel.checkpoint()
        yield HibariVoice(self)

    async def synthesize(self, sentence: str) -> Samples:
        """The sentence's audio at 24 kHz. Cannot be cancelled while it runs, about 10 ms per second of audio.

        Raises `ProviderError`.
        """
        try:
            samples, ms = await trio.to_thread.run_sync(
                timed, lambda: self._synthesize(sentence), limiter=self._limiter
            )
        except Exception as error:
            message = f"{self.name}: {type(error).__name__}: {error}"
            raise ProviderError(ErrorClass.TRANSIENT, message) from error
        self._report(Timing("text_to_speech", ms, len(samples) * 1000 / SAMPLE_RATE))
        return samples

    def _synthesize(self, sentence: str) -> Samples:
        audio: npt.NDArray[np.float32] = self._model(sentence, seed=self._seed)
        return (np.clip(audio, -1.0, 1.0) * 32767).astype(np.int16)


class HibariVoice:
    """A text-to-speech link of one conversation."""

    def __init__(self, model: HibariTextToSpeech) -> None:
        self._model = model

    @asynccontextmanager
    async def speak(self, sample_rate: int, voice_id: str | None) -> AsyncIterator[SpeechStream]:
        """As `Voice.speak`. The audio is always at 24 kHz, and always of the same voice."""
        stream = HibariSpeechStream(self._model)
        with stream:
            yield stream


class HibariSpeechStream:
    """The speech of one answer. A sentence is synthesized once the one before it has been consumed."""

    sample_rate = SAMPLE_RATE

    def __init__(self, model: HibariTextToSpeech) -> None:
        self._model = model
        self._texts_in, self._texts = trio.open_memory_channel[tuple[int, str]](_WAITING_SEGMENTS)
        self._ready: deque[SpokenAudio | SegmentEnd] = deque()
        self._sentences: Iterator[str] = iter(())
        self._segment: int | None = None
        """The segment that `_sentences` belong to."""
        self._silent = False
        """It has sentences, and none of them had audio: the model knows no word of it."""

    def __enter__(self) -> HibariSpeechStream:
        return self

    def __exit__(self, *exception: object) -> None:
        self._texts_in.close()
        self._texts.close()

    async def say(self, segment: int, text: str) -> None:
        """As `SpeechStream.say`. Tags, break markers and Markdown marks in the text are not spoken."""
        await self._texts_in.send((segment, text))

    async def end(self) -> None:
        """As `SpeechStream.end`."""
        self._texts_in.close()
        await trio.lowlevel.checkpoint()

    def __aiter__(self) -> HibariSpeechStream:
        return self

    async def __anext__(self) -> SpokenAudio | SegmentEnd:
        """The next piece of audio, at most 100 ms, or the end of a segment."""
        while not self._ready:
            await self._go_on()
        await trio.lowlevel.checkpoint()
        return self._ready.popleft()

    async def _go_on(self) -> None:
        """Synthesize the next sentence, or receive the next segment."""
        if self._segment is None:
            try:
                self._segment, text = await self._texts.receive()
            except trio.EndOfChannel:
                raise StopAsyncIteration from None
            sentences = list(_sentences(digit_by_digit(spoken_text(text))))
            self._sentences, self._silent = iter(sentences), bool(sentences)
        sentence = next(self._sentences, None)
        if sentence is None:
            self._ready.append(SegmentEnd(self._segment, unsayable=self._silent))
            self._segment = None
        else:
            samples = await self._model.synthesize(sentence)
            self._silent = self._silent and not len(samples)
            self._ready.extend(SpokenAudio(self._segment, piece) for piece in _pieces(samples))


_NUMBER = re.compile(r"(?<![\w.,:/$€£-])[+(]?\d[\d ().-]{5,24}\d(?![\w:/-]|[.,]\d)")
"""Groups of digits."""
_TELEPHONE = re.compile(r"\+[\d ().-]+|\(\d+\)[\d .-]+|\d+(?:[ ]?-[ ]?\d+)+|\d+(?:\.\d+){2,}")
_NO_TELEPHONE = re.compile(r"\d{4}-\d\d-\d\d|\d{1,2}[.-]\d{1,2}[.-]\d{2,4}|\d{4} ?- ?\d{4}")
"""Dates, and from one year to another."""
_LEAST_DIGITS = 7


def digit_by_digit(text: str) -> str:
    """The text with the digits of telephone numbers apart: the model says "555-123" as two large numbers.

    Money, times, dates and ordinals it says right by itself.
    """
    return _NUMBER.sub(lambda found: _apart(found[0]), text)


def _apart(number: str) -> str:
    groups = re.findall(r"\d+", number)
    known = _TELEPHONE.fullmatch(number) and not _NO_TELEPHONE.fullmatch(number)
    if not known or sum(map(len, groups)) < _LEAST_DIGITS:
        return number
    plus = "plus " if number.startswith("+") else ""
    return plus + ", ".join(" ".join(group) for group in groups)


def _sentences(text: str) -> Iterator[str]:
    for sentence in hibari.Hibari.split_sentences(text):
        yield from _shorter(sentence)


def _shorter(sentence: str) -> Iterator[str]:
    """The sentence, cut between words if it is too long to be synthesized at once."""
    while len(sentence) > _LONGEST_SENTENCE:
        cut = max(sentence.rfind(mark, 1, _LONGEST_SENTENCE) for mark in (", ", "; ", ": "))
        if cut < _LONGEST_SENTENCE // 2:
            cut = sentence.rfind(" ", 1, _LONGEST_SENTENCE)
        end = cut + 1 if cut > 0 else _LONGEST_SENTENCE
        yield sentence[:end]
        sentence = sentence[end:].strip()
    if sentence:
        yield sentence


def _pieces(samples: Samples) -> list[Samples]:
    return np.array_split(samples, math.ceil(len(samples) / _PIECE)) if len(samples) else []
