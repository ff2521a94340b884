"""Speech that carries its own words: each word of a small vocabulary is audio at a level of its own.

So a simulated caller sends samples, which are cut, resampled, dropped and muted like any other, and a
simulated transcriber understands the words that truly arrived. Noise is a voice without words: a cough, or
somebody else in the room.
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
"""How long a word is spoken."""

_LEVEL_STEP = 1000
_FRAME = LISTENING_RATE // 100


def spoken(words: str, rate: int = LISTENING_RATE) -> Samples:
    """The audio of words out of `VOCABULARY`, at `rate` Hz."""
    length = rate * WORD_MS // 1000
    audio = [np.full(length, _level(word), np.int16) for word in words.split()]
    return np.concatenate([np.empty(0, np.int16), *audio])


def noise(ms: float, rate: int = LISTENING_RATE) -> Samples:
    """What sounds like a voice and holds no words, for `ms`: no word has a negative level."""
    return np.full(int(rate * ms / 1000), -_LEVEL_STEP, np.int16)


def silence(ms: float, rate: int = LISTENING_RATE) -> Samples:
    """Nothing, for `ms`."""
    return np.zeros(int(rate * ms / 1000), np.int16)


def understood(samples: Samples) -> str:
    """The words in audio at `LISTENING_RATE`; of a word that is cut, more than half must be there."""
    heard = Heard()
    heard.add(samples)
    return heard.words()


@define
class Heard:
    """What is understood of audio at `LISTENING_RATE` while it comes."""

    _pieces: list[Samples] = Factory(list)
    _rest: Samples = Factory(lambda: np.empty(0, np.int16))
    """Of the last piece, what fills no frame yet."""
    _runs: list[tuple[int, int]] = Factory(list)
    """Levels, each with the number of frames in a row that have it."""

    def add(self, samples: Samples) -> None:
        """Hear more."""
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
        """The audio that came last."""
        count = ms * LISTENING_RATE // 1000
        return np.concatenate([np.empty(0, np.int16), *self._pieces])[-count:]

    def words(self) -> str:
        """The words in all of it."""
        words: list[str] = []
        for level, frames in self._runs:
            if 1 <= level <= len(VOCABULARY):
                words += [VOCABULARY[level - 1]] * round(frames * 10 / WORD_MS)
        return " ".join(words)


def is_voice(window: Samples) -> bool:
    """Whether a window of audio holds a voice."""
    return bool(_medians(np.abs(window)[np.newaxis])[0] >= _LEVEL_STEP / 2)


def _medians(frames: Samples) -> Samples:
    """Of each row, the upper one where there are two; `np.median` asks too many questions first."""
    middle = frames.shape[1] // 2
    medians: Samples = np.partition(frames, middle, axis=1)[:, middle]
    return medians


def _level(word: str) -> int:
    return (VOCABULARY.index(word) + 1) * _LEVEL_STEP
