"""What simulated speech to text hears: speech by its energy, words from the script, times from the audio.

Pure: samples in, occurrences out, on the clock of the audio itself. Both of Deepgram's interfaces use it.

Audio can also carry its words itself, so that it says the same on whatever connection it is heard: the n-th
of the script's `words_by_level` is `WORD_SECONDS` of samples that all are n times `LEVEL`.
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
"""Root mean square from which a window is voice: about -40 dB of full scale."""
_ONSET_WINDOWS = 3
_SECONDS_PER_WORD = 0.3
"""A caller is understood word by word, at about 200 words a minute."""


@frozen
class RecognizedWord:
    """A word with its times in seconds of audio."""

    text: str
    start: float
    end: float


class SpeechEvent(enum.Enum):
    """What can be noticed."""

    BEGAN = enum.auto()
    """Speech began."""
    GOES_ON = enum.auto()
    """Another window of the audio passed, in whatever state."""
    PAUSED = enum.auto()
    """Speech has just stopped; it may go on."""
    RESUMED = enum.auto()
    """It does, and the utterance is the same."""


@define
class Recognizer:
    """Hears one stream of 16-bit PCM. An utterance is open from `BEGAN` until `end_utterance`."""

    rate: int
    script: Script
    now: float = field(default=0.0, init=False)
    """Seconds of audio heard."""
    silence: float = field(default=0.0, init=False)
    """Seconds since the last voice."""
    began: float | None = field(default=None, init=False)
    """When the open utterance began."""
    _voiced_until: float = field(default=0.0, init=False)
    _loud_windows: int = field(default=0, init=False)
    _number: int = field(default=0, init=False)
    _paused: bool = field(default=False, init=False)
    _levels: list[int] = field(factory=list, init=False)
    """Of the windows since the last utterance ended."""
    _levels_from: float = field(default=0.0, init=False)
    _rest: bytes = field(default=b"", init=False)

    def feed(self, data: bytes) -> Iterator[SpeechEvent]:
        """Take in audio; each event is to be acted upon before the next is asked for."""
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
        """What of the open utterance can be understood by now: at least its first word."""
        whole = self.all_words()
        if self.began is None or self.script.words_by_level:
            return whole
        return whole[: max(1, int((self._voiced_until - self.began) / _SECONDS_PER_WORD))]

    def all_words(self) -> tuple[RecognizedWord, ...]:
        """All that the script has the caller say in the open utterance, spread over the voice so far."""
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
        """Of a word that is cut, more than half must be there."""
        at, known = self._levels_from, self.script.words_by_level
        for level, run in groupby(self._levels):
            start, at = at, at + sum(1 for _ in run) * _WINDOW_SECONDS
            count = round((at - start) / WORD_SECONDS) if 1 <= level <= len(known) else 0
            for index in range(count):
                length = (at - start) / count
                yield RecognizedWord(known[level - 1], start + index * length, start + (index + 1) * length)

    def end_utterance(self) -> None:
        """The open utterance is over; the next one says what comes next in the script."""
        if self.began is not None:
            self._number += 1
        self.began = None
        self._paused = False
        self._levels, self._levels_from = [], self.now


def _is_loud(samples: npt.NDArray[np.int16]) -> bool:
    return bool(np.sqrt(np.mean(samples.astype(np.float64) ** 2)) >= _LOUD)
