"""Speech that carries its own words: each word of a small vocabulary is audio at a level of its own.

So a simulated caller sends samples, which are cut, resampled, dropped and muted like any other, and a
simulated transcriber understands the words that truly arrived. Noise is a voice without words: a cough, or
somebody else in the room.
"""

from __future__ import annotations

from itertools import groupby

import numpy as np

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


def silence(ms: float, rate: int = LISTENING_RATE) -> Samples:
    """Nothing, for `ms`."""
    return np.zeros(int(rate * ms / 1000), np.int16)


def noise(ms: float, rate: int = LISTENING_RATE) -> Samples:
    """What sounds like a voice and holds no words, for `ms`: no word has a negative level."""
    return np.full(int(rate * ms / 1000), -_LEVEL_STEP, np.int16)


def understood(samples: Samples) -> str:
    """The words in audio at `LISTENING_RATE`; of a word that is cut, more than half must be there."""
    frames = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME)
    levels = np.rint(np.median(frames, axis=1) / _LEVEL_STEP).astype(int)
    words: list[str] = []
    for level, run in groupby(levels.tolist()):
        if 1 <= level <= len(VOCABULARY):
            count = round(sum(1 for _ in run) * 10 / WORD_MS)
            words += [VOCABULARY[level - 1]] * count
    return " ".join(words)


def is_voice(window: Samples) -> bool:
    """Whether a window of audio holds a voice."""
    return bool(np.median(np.abs(window)) >= _LEVEL_STEP / 2)


def _level(word: str) -> int:
    return (VOCABULARY.index(word) + 1) * _LEVEL_STEP
