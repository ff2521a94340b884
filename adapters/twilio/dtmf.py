"""DTMF: the tones of a telephone's keys (ITU-T Q.23 and Q.24), as audio and as a `SpeechStream`."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import numpy as np
import trio
from attrs import Factory, define

from adapters.interfaces import Samples, SegmentEnd, SpokenAudio

KEYS = re.compile(r"w*[0-9A-D*#][0-9A-D*#w]*")
"""Keys that can be pressed, one after the other, as Twilio writes them: each `w` is a pause of 0.5 s."""
MOST_KEYS = 64
_PAUSE = "w"
_WRITTEN = {**dict.fromkeys("wp,", _PAUSE), "W": _PAUSE * 2, **{key: key.upper() for key in "abcd"}}
"""What models and carriers write. `W` is a pause of 1 s."""
_BETWEEN = re.compile(r"[\s().-]+")
"""What stands between keys in print, and is not a key."""
LONG_PAUSE_MS = 500
TONE_MS = 120
PAUSE_MS = 80
"""Length of the silence after each tone. A receiver needs 40 ms of tone and of silence; many are slow."""
AMPLITUDE = 0.3
"""Amplitude of each of the two tones of a key; 1 is full scale."""
_LOW = (697, 770, 852, 941)
_HIGH = (1209, 1336, 1477, 1633)
"""Frequencies of the rows and columns of the keypad, in Hz."""
_PAD = ("123A", "456B", "789C", "*0#D")
_FREQUENCIES = {
    key: (low, high)
    for row, low in zip(_PAD, _LOW, strict=True)
    for key, high in zip(row, _HIGH, strict=True)
}


def as_keys(text: str) -> str:
    """The keys and pauses in `text`, as `KEYS`. Raises `ValueError` for anything else."""
    keys = "".join(_WRITTEN.get(each, each) for each in _BETWEEN.sub("", text))
    if not KEYS.fullmatch(keys) or len(keys) > MOST_KEYS:
        raise ValueError(
            f"{text!r} cannot be pressed: the keys are 0 to 9, *, # and A to D, w is a pause of half a second"
            f" and W one of a second; {MOST_KEYS} at most"
        )
    return keys


def tones(keys: str, rate: int) -> Samples:
    """The tones of `KEYS` pressed one after the other, at `rate` Hz.

    Raises `KeyError` for a character that is not a key.
    """
    seconds = np.arange(rate * TONE_MS // 1000) / rate
    pause = np.zeros(rate * PAUSE_MS // 1000, np.int16)
    pieces: list[Samples] = []
    for key in keys:
        if key == _PAUSE:
            pieces.append(np.zeros(rate * LONG_PAUSE_MS // 1000, np.int16))
            continue
        low, high = _FREQUENCIES[key]
        sound = np.sin(2 * np.pi * low * seconds) + np.sin(2 * np.pi * high * seconds)
        pieces += [(sound * AMPLITUDE * np.iinfo(np.int16).max).astype(np.int16), pause]
    return np.concatenate(pieces) if pieces else np.zeros(0, np.int16)


@define(eq=False)
class ToneStream:
    """A `SpeechStream` whose segments are keys, at any rate in Hz."""

    sample_rate: int
    _texts: tuple[trio.MemorySendChannel[tuple[int, str]], trio.MemoryReceiveChannel[tuple[int, str]]] = (
        Factory(lambda: trio.open_memory_channel[tuple[int, str]](1))
    )

    async def say(self, segment: int, text: str) -> None:
        """As `SpeechStream.say`."""
        await self._texts[0].send((segment, text))

    async def end(self) -> None:
        """As `SpeechStream.end`."""
        await self._texts[0].aclose()

    async def __aiter__(self) -> AsyncIterator[SpokenAudio | SegmentEnd]:
        async for segment, keys in self._texts[1]:
            yield SpokenAudio(segment, tones(keys, self.sample_rate))
            yield SegmentEnd(segment)
