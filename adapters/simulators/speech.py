"""The voice of simulated text to speech: a local voice if one is installed, tones otherwise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import trio
from attrs import frozen

from adapters.interfaces import Samples

_MS_PER_CHARACTER = 60
"""About 170 words a minute."""
_SHORTEST_WORD_MS = 120
_GAP_MS = 40
"""Silence after the tone of each word."""
_HERTZ = 220
_LOUDNESS = 0.25

Synthesize = Callable[[str], tuple[Samples, int]]
"""Returns a text's audio and its rate in Hz. Runs in a worker thread."""


@frozen
class SpokenWord:
    """A word with its times in seconds from the start of the audio."""

    text: str
    start: float
    end: float


@frozen
class Speech:
    """A text as audio."""

    samples: Samples
    words: tuple[SpokenWord, ...]


class Tone:
    """A voice of tones: one for each word, as long as its letters suggest, with a short silence after it."""

    async def speak(self, text: str, rate: int) -> Speech:
        """The text's audio at `rate` Hz."""
        words, pieces, at = [], [np.empty(0, np.int16)], 0.0
        for word in text.split():
            seconds = max(_SHORTEST_WORD_MS, len(word) * _MS_PER_CHARACTER) / 1000
            words.append(SpokenWord(word, at, at + seconds))
            pieces.append(_tone(seconds, rate))
            at += seconds
        await trio.lowlevel.checkpoint()
        return Speech(np.concatenate(pieces), tuple(words))


def _tone(seconds: float, rate: int) -> Samples:
    samples = round(seconds * rate)
    sounding = samples - round(_GAP_MS * rate / 1000)
    wave: npt.NDArray[np.float64] = np.sin(np.arange(samples) * 2 * np.pi * _HERTZ / rate)
    wave[sounding:] = 0
    return (wave * _LOUDNESS * 32767).astype(np.int16)


class LocalVoice:
    """A voice inside the process. The times of words are estimated by their length."""

    def __init__(self, synthesize: Synthesize) -> None:
        self._synthesize = synthesize
        self._limiter = trio.CapacityLimiter(1)

    async def speak(self, text: str, rate: int) -> Speech:
        """The text's audio at `rate` Hz."""
        if not any(character.isalnum() for character in text):
            return Speech(np.empty(0, np.int16), ())
        samples, own_rate = await trio.to_thread.run_sync(self._synthesize, text, limiter=self._limiter)
        if rate != own_rate:
            samples = _at_rate(samples, own_rate, rate)
        return Speech(samples, _spread(text.split(), len(samples) / rate))


def _at_rate(samples: Samples, own_rate: int, rate: int) -> Samples:
    import samplerate  # type: ignore[import-not-found, unused-ignore]

    converted = samplerate.resample(samples.astype(np.float32), rate / own_rate, "sinc_fastest")
    clipped: Samples = np.clip(converted, -32768, 32767).astype(np.int16)
    return clipped


def _spread(words: list[str], seconds: float) -> tuple[SpokenWord, ...]:
    total = sum(map(len, words)) or 1
    spread, at = [], 0.0
    for word in words:
        length = seconds * len(word) / total
        spread.append(SpokenWord(word, at, at + length))
        at += length
    return tuple(spread)


Voice = Tone | LocalVoice


def best_voice() -> Voice:
    """The local voice if its package is installed, else tones. Takes about two seconds."""
    try:
        import hibari  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        return Tone()
    model = hibari.Hibari(threads=1)

    def synthesize(text: str) -> tuple[Samples, int]:
        audio = np.clip(model(text, seed=0), -1.0, 1.0)
        return (audio * 32767).astype(np.int16), int(hibari.SAMPLE_RATE)

    # The first text takes a second, or ten on a busy machine: no caller is to wait for that.
    synthesize("one")
    return LocalVoice(synthesize)
