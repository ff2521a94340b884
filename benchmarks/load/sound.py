"""What callers say and what the simulated voice answers: real speech, made once by the embedded voice.

Utterances begin and end with voice, to the frame, so that "onset" and "end of speech" are moments that all
servers could have heard. Their pauses are shorter than any endpoint delay.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import samplerate  # type: ignore[import-not-found, unused-ignore]
from hibari import SAMPLE_RATE, Hibari  # type: ignore[import-untyped, unused-ignore]

from adapters.interfaces import Samples
from adapters.mulaw import from_mulaw

LOUD = 800
"""A frame holds voice if its loudest sample is at least this, 32 dB below full scale."""
FRAME_MS = 20
_PEAK = 20_000
MULAW_LEVEL = bytes(
    min(255, abs(int(each)) // 128) for each in from_mulaw(bytes(range(256))).astype(np.int32)
)
"""For each µ-law byte the level of its sample in 128ths, to find the loudest one by `bytes.translate`."""

QUESTIONS = (
    "What are your opening hours on Saturday?",
    "Can I book a table for two people tonight?",
    "Do you have a menu for little children?",
    "How much do you charge for delivery?",
)
INTERRUPTIONS = (
    "Please tell me about the garden first.",
    "My friend wants to know your address.",
    "I really meant to ask about the parking.",
    "Excuse me but when is the kitchen open?",
)
_ANSWER = (
    "We are open from nine to five every day. The garden opens at noon, when the weather is fine. You are "
    "welcome to bring your dog, and there is room for all of your friends at the long table by the river."
)


@cache
def _voice() -> Hibari:
    return Hibari(threads=1)


def spoken(text: str, rate: int, seed: int = 1) -> Samples:
    """The text, said at this rate, without the silence around it."""
    sound = np.asarray(_voice()(text, seed=seed), np.float32)
    if rate != SAMPLE_RATE:
        sound = samplerate.resample(sound, rate / SAMPLE_RATE, "sinc_fastest")
    scaled: Samples = np.clip(sound / np.abs(sound).max() * _PEAK, -32_768, 32_767).astype(np.int16)
    return _trimmed(scaled, rate)


def _trimmed(samples: Samples, rate: int) -> Samples:
    """From the first loud sample to the end of the last loud frame."""
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) >= LOUD)
    begun = samples[loud[0] :]
    frame = rate * FRAME_MS // 1000
    voiced = np.flatnonzero(_frames(begun, frame).max(axis=1) >= LOUD)
    end = (voiced[-1] + 1) * frame
    return np.pad(begun, (0, max(0, end - len(begun))))[:end]


def _frames(samples: Samples, frame: int) -> npt.NDArray[np.int32]:
    """The levels of the samples, one row for each frame; the last one filled with silence."""
    count = -(-len(samples) // frame)
    padded = np.pad(np.abs(samples.astype(np.int32)), (0, count * frame - len(samples)))
    return padded.reshape(count, frame)


def longest_pause_ms(samples: Samples, rate: int) -> float:
    """The longest silence within an utterance."""
    frame = rate * FRAME_MS // 1000
    longest = run = 0
    for voiced in _frames(samples, frame).max(axis=1) >= LOUD:
        run = 0 if voiced else run + 1
        longest = max(longest, run)
    return longest * FRAME_MS


def answer_audio(rate: int) -> Samples:
    """Speech to answer with, which begins with voice at once."""
    return spoken(_ANSWER, rate, seed=3)
