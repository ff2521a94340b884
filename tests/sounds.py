"""Sounds that are not words, made by arithmetic: laughs, coughs, breath, knocks, babble, music and tones.

All are samples at `LISTENING_RATE`. The same seed gives the same sound.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from adapters.interfaces import LISTENING_RATE, Samples

Signal = npt.NDArray[np.float64]

VOWELS = {"a": (800, 1200, 2500), "e": (500, 1800, 2500), "i": (300, 2200, 3000), "o": (500, 900, 2400)}
"""Formants in Hz."""


def _time(seconds: float) -> Signal:
    return np.arange(int(seconds * LISTENING_RATE)) / LISTENING_RATE


def _resonant(source: Signal, formants: tuple[int, ...]) -> Signal:
    """The source through resonances of 100 Hz width."""
    spectrum = np.fft.rfft(source)
    hz = np.fft.rfftfreq(len(source), 1 / LISTENING_RATE)
    gain = sum(1 / (1 + ((hz - formant) / 100) ** 2) for formant in formants)
    shaped: Signal = np.fft.irfft(spectrum * gain, len(source))
    scaled: Signal = shaped / (np.abs(shaped).max() + 1e-9)
    return scaled


def _voice(
    random: np.random.Generator, seconds: float, pitch_hz: float, vowel: str, breathy: float
) -> Signal:
    """A vowel: pulses of the vocal cords and breath, in a hump."""
    time = _time(seconds)
    phase = np.cumsum(pitch_hz * (1 - 0.2 * time / seconds) / LISTENING_RATE)
    source = np.diff(np.floor(phase), prepend=0) + breathy * random.normal(size=len(time)) * 0.1
    return _resonant(source, VOWELS[vowel]) * np.sin(np.pi * time / seconds) ** 0.5


def laugh(random: np.random.Generator) -> Signal:
    """Six to nine bursts of "ha", each lower and softer than the one before."""
    pieces = []
    vowel, pitch_hz = str(random.choice(list("aeo"))), random.uniform(160, 320)
    for burst in range(random.integers(6, 10)):
        pieces.append(
            _voice(random, random.uniform(0.1, 0.15), pitch_hz * 0.97**burst, vowel, 2) * 0.95**burst
        )
        pieces.append(np.zeros(int(random.uniform(0.06, 0.11) * LISTENING_RATE)))
    return np.concatenate(pieces)


def cough(random: np.random.Generator) -> Signal:
    """Two or three voiced coughs: a burst of noise, then a short low vowel."""
    pieces = []
    for _ in range(random.integers(2, 4)):
        time = _time(0.08)
        pieces.append(random.normal(size=len(time)) * np.exp(-time * 30) * 0.4)
        pieces.append(_voice(random, random.uniform(0.2, 0.35), random.uniform(90, 140), "a", 3))
        pieces.append(np.zeros(int(0.2 * LISTENING_RATE)))
    return np.concatenate(pieces)


def breath(random: np.random.Generator) -> Signal:
    """Breathing into the microphone."""
    time = _time(2.5)
    return _resonant(random.normal(size=len(time)), (500, 1500, 3500)) * np.abs(np.sin(np.pi * time / 1.25))


def sigh(random: np.random.Generator) -> Signal:
    """One short breath."""
    return breath(random)[: int(LISTENING_RATE * random.uniform(0.25, 0.6))]


def hum(random: np.random.Generator) -> Signal:
    """A vowel with the mouth nearly closed."""
    return _voice(random, random.uniform(0.3, 0.8), random.uniform(90, 220), "o", 0.5)


def knocks(random: np.random.Generator) -> Signal:
    """Two to four knocks on wood."""
    pieces = []
    for _ in range(random.integers(2, 5)):
        time = _time(0.12)
        pieces.append(np.sin(2 * np.pi * random.uniform(80, 250) * time) * np.exp(-time * 40))
        pieces[-1] += random.normal(size=len(time)) * np.exp(-time * 120) * 0.5
        pieces.append(np.zeros(int(0.15 * LISTENING_RATE)))
    return np.concatenate(pieces)


def babble(random: np.random.Generator) -> Signal:
    """Six voices at once that say nothing."""
    mixed = np.zeros(3 * LISTENING_RATE)
    for _ in range(6):
        at, pitch_hz = random.integers(0, LISTENING_RATE // 4), random.uniform(90, 240)
        while at < len(mixed) - LISTENING_RATE // 2:
            vowel = str(random.choice(list(VOWELS)))
            syllable = _voice(random, random.uniform(0.1, 0.3), pitch_hz * random.uniform(0.9, 1.1), vowel, 1)
            mixed[at : at + len(syllable)] += syllable
            at += len(syllable) + random.integers(400, 3000)
    return mixed


def hold_music(random: np.random.Generator) -> Signal:
    """Plucked chords, two a second."""
    pieces = []
    for _ in range(7):
        time, root = _time(0.5), 220 * 2 ** (random.integers(0, 12) / 12)
        notes = [root * 2 ** (step / 12) for step in (0, 4, 7, 12)]
        chord = sum(np.sin(2 * np.pi * hz * time) + 0.4 * np.sin(4 * np.pi * hz * time) for hz in notes)
        pieces.append(chord * np.exp(-time * 4))
    return np.concatenate(pieces)


def tones(random: np.random.Generator) -> Signal:
    """Keys of a telephone, and its dial tone."""
    time, silence = _time(0.12), np.zeros(LISTENING_RATE // 12)
    keys: list[Signal] = []
    for _ in range(6):
        low, high = random.choice([697, 770, 852, 941]), random.choice([1209, 1336, 1477])
        keys.extend((np.sin(2 * np.pi * low * time) + np.sin(2 * np.pi * high * time), silence))
    dial = np.sin(2 * np.pi * 425 * _time(1))
    return np.concatenate([*keys, dial])


SOUNDS: Mapping[str, Callable[[np.random.Generator], Signal]] = {
    each.__name__: each for each in (laugh, cough, breath, sigh, hum, knocks, babble, hold_music, tones)
}


def sound(name: str, seed: int, level: float = 0.3) -> Samples:
    """One of `SOUNDS`, with half a second of near silence on both sides; `level` is its peak, up to 1."""
    random = np.random.default_rng(seed)
    signal = SOUNDS[name](random)
    around = np.zeros(LISTENING_RATE // 2)
    whole = np.concatenate([around, signal / np.abs(signal).max() * level, around])
    samples: Samples = (np.clip(whole + random.normal(size=len(whole)) * 1e-4, -1, 1) * 32767).astype(
        np.int16
    )
    return samples
