"""Simulated speech: each word of a small vocabulary is audio at a level of its own.

A simulated caller sends such audio, which is cut, resampled, dropped and muted like any other. Simulated
speech to text then recognises the words that arrived. Noise is a voice without words: a cough, or somebody
else in the room.
"""

from __future__ import annotations

from itertools import groupby

import numpy as np
from attrs import Factory, define

from adapters.interfaces import LISTENING_RATE, Samples

VOCABULARY = (
    *("yes", "no", "hello", "how", "what", "is", "your", "name", "the", "weather", "today", "please"),
    *("stop", "wait", "tell", "me", "a", "joke", "thanks", "bye"),
    *("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
)
WORD_MS = 320
"""Length of a word."""

_LEVEL_STEP = 1000
_FRAME = LISTENING_RATE // 100


def spoken(words: str, rate: int = LISTENING_RATE) -> Samples:
    """The audio of words of `VOCABULARY`, at `rate` Hz."""
    length = rate * WORD_MS // 1000
    audio = [np.full(length, _level(word), np.int16) for word in words.split()]
    return np.concatenate([np.empty(0, np.int16), *audio])


def noise(ms: float, rate: int = LISTENING_RATE) -> Samples:
    """A voice without words, for `ms`. Its level is negative, which no word has."""
    return np.full(int(rate * ms / 1000), -_LEVEL_STEP, np.int16)


def silence(ms: float, rate: int = LISTENING_RATE) -> Samples:
    """Silence, for `ms`."""
    return np.zeros(int(rate * ms / 1000), np.int16)


def understood(samples: Samples) -> str:
    """The words in audio at `LISTENING_RATE`. A word that was cut counts if more than half of it is there."""
    heard = Heard()
    heard.add(samples)
    return heard.words()


@define
class Heard:
    """Audio at `LISTENING_RATE` that was received so far, and the words in it."""

    _pieces: list[Samples] = Factory(list)
    _rest: Samples = Factory(lambda: np.empty(0, np.int16))
    """The end of the audio, which does not fill a frame yet."""
    _runs: list[tuple[int, int]] = Factory(list)
    """(level, how many frames in a row have it)."""

    def add(self, samples: Samples) -> None:
        """Receive more audio."""
        self._pieces.append(samples)
        audio = np.concatenate([self._rest, samples]) if len(self._rest) else samples
        whole = len(audio) // _FRAME * _FRAME
        self._rest = audio[whole:]
        levels = np.rint(_medians(audio[:whole].reshape(-1, _FRAME)) / _LEVEL_STEP).astype(int)
        for level, run in groupby(levels.tolist()):
            self._add_run(level, sum(1 for _ in run))

    def _add_run(self, level: int, frames: int) -> None:
        if self._runs and self._runs[-1][0] == level:
            frames += self._runs.pop()[1]
        self._runs.append((level, frames))

    def last(self, ms: int) -> Samples:
        """The last `ms` of the audio."""
        count = ms * LISTENING_RATE // 1000
        return np.concatenate([np.empty(0, np.int16), *self._pieces])[-count:]

    def words(self) -> str:
        """The words in all the audio."""
        words: list[str] = []
        for level, frames in self._runs:
            if 1 <= level <= len(VOCABULARY):
                words += [VOCABULARY[level - 1]] * round(frames * 10 / WORD_MS)
        return " ".join(words)


def is_voice(window: Samples) -> bool:
    """Whether a window of audio holds a voice."""
    return bool(_medians(np.abs(window)[np.newaxis])[0] >= _LEVEL_STEP / 2)


def _medians(frames: Samples) -> Samples:
    """The median of each row, the upper one of two. Much faster than `np.median` on small arrays."""
    middle = frames.shape[1] // 2
    medians: Samples = np.partition(frames, middle, axis=1)[:, middle]
    return medians


def _level(word: str) -> int:
    return (VOCABULARY.index(word) + 1) * _LEVEL_STEP
