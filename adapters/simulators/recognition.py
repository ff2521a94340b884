"""Simulated speech recognition: speech by its energy, words from the script, times from the audio.

Pure: samples in, events out, on the clock of the audio itself. Both interfaces of the simulated Deepgram use
it.

Audio can also hold its words, so that it means the same on every connection: the n-th of the script's
`words_by_level` is `WORD_SECONDS` of samples that are all n times `LEVEL`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from itertools import groupby

import numpy as np
import numpy.typing as npt
from attrs import define, field, frozen

from adapters.simulators.script import Script

WORD_SECONDS = 0.32
LEVEL = 1000

_WINDOW_SECONDS = 0.02
_LOUD = 300.0
"""Root mean square from which a window is voice, about -40 dB of full scale."""
_ONSET_WINDOWS = 3
_SECONDS_PER_WORD = 0.3
"""Words are recognised one after the other, about 200 a minute."""


@frozen
class RecognizedWord:
    """A word with its times in seconds of audio."""

    text: str
    start: float
    end: float


class SpeechEvent(enum.Enum):
    """What can happen in the audio."""

    BEGAN = enum.auto()
    """Speech began."""
    GOES_ON = enum.auto()
    """Another window of audio was processed."""
    PAUSED = enum.auto()
    """Speech stopped just now; it may go on."""
    RESUMED = enum.auto()
    """Speech goes on, in the same utterance."""


@define
class Recognizer:
    """Recognises one stream of 16-bit PCM. An utterance is open from `BEGAN` until `end_utterance`."""

    rate: int
    script: Script
    now: float = field(default=0.0, init=False)
    """Seconds of audio processed."""
    silence: float = field(default=0.0, init=False)
    """Seconds since the last voice."""
    began: float | None = field(default=None, init=False)
    """When the open utterance began; None if none is open."""
    _voiced_until: float = field(default=0.0, init=False)
    _loud_windows: int = field(default=0, init=False)
    _number: int = field(default=0, init=False)
    _paused: bool = field(default=False, init=False)
    _levels: list[int] = field(factory=list, init=False)
    """The levels of the windows since the last utterance ended."""
    _levels_from: float = field(default=0.0, init=False)
    _rest: bytes = field(default=b"", init=False)

    def feed(self, data: bytes) -> Iterator[SpeechEvent]:
        """Process audio. The caller must handle each event before it asks for the next."""
        size = round(self.rate * _WINDOW_SECONDS) * 2
        self._rest += data
        while len(self._rest) >= size:
            window, self._rest = self._rest[:size], self._rest[size:]
            self.now += _WINDOW_SECONDS
            samples = np.frombuffer(window, "<i2")
            if self.script.words_by_level:
                self._levels.append(round(float(np.median(samples)) / LEVEL))
            yield from self._events_of(_is_loud(samples))

    def _events_of(self, loud: bool) -> Iterator[SpeechEvent]:
        self._loud_windows = self._loud_windows + 1 if loud else 0
        if loud and self.began is not None:
            self._voiced_until, self.silence = self.now, 0.0
            if self._paused:
                self._paused = False
                yield SpeechEvent.RESUMED
        elif self._loud_windows >= _ONSET_WINDOWS:
            self.began = self.now - _ONSET_WINDOWS * _WINDOW_SECONDS
            self._voiced_until, self.silence, self._paused = self.now, 0.0, False
            yield SpeechEvent.BEGAN
        elif not loud:
            self.silence += _WINDOW_SECONDS
            if self.began is not None and not self._paused:
                self._paused = True
                yield SpeechEvent.PAUSED
        yield SpeechEvent.GOES_ON

    def words_so_far(self) -> tuple[RecognizedWord, ...]:
        """The words of the open utterance that are recognised by now, at least the first."""
        whole = self.all_words()
        if self.began is None or self.script.words_by_level:
            return whole
        return whole[: max(1, int((self._voiced_until - self.began) / _SECONDS_PER_WORD))]

    def all_words(self) -> tuple[RecognizedWord, ...]:
        """All words of the open utterance by the script, spread over the voice so far."""
        if self.began is None:
            return ()
        if self.script.words_by_level:
            return tuple(self._words_of_levels())
        texts = self.script.utterance(self._number).split()
        length = (self._voiced_until - self.began) / max(1, len(texts))
        return tuple(
            RecognizedWord(text, self.began + index * length, self.began + (index + 1) * length)
            for index, text in enumerate(texts)
        )

    def _words_of_levels(self) -> Iterator[RecognizedWord]:
        """The words in the audio itself. A word that was cut counts if more than half of it is there."""
        at, known = self._levels_from, self.script.words_by_level
        for level, run in groupby(self._levels):
            start, at = at, at + sum(1 for _ in run) * _WINDOW_SECONDS
            count = round((at - start) / WORD_SECONDS) if 1 <= level <= len(known) else 0
            for index in range(count):
                length = (at - start) / count
                yield RecognizedWord(known[level - 1], start + index * length, start + (index + 1) * length)

    def end_utterance(self) -> None:
        """End the open utterance. The next one gets the next words of the script."""
        if self.began is not None:
            self._number += 1
        self.began = None
        self._paused = False
        self._levels, self._levels_from = [], self.now


def _is_loud(samples: npt.NDArray[np.int16]) -> bool:
    return bool(np.sqrt(np.mean(samples.astype(np.float64) ** 2)) >= _LOUD)
