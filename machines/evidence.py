"""Evidence: whether what speech to text heard are words at all.

A laugh, a cough or voices in the background become words, too: with little confidence, or as one word again
and again. Calibrated with the embedded models (`benchmarks/sounds.py`): clean speech got 0.71 to 0.99, other
sounds 0.23 to 0.58.
"""

from __future__ import annotations

import enum
from collections import Counter

from machines.phrases import words_of

FEW_WORDS = 3
"""So few words need more confidence."""
REPEATED = 3
"""A word, or two words in a row, that often is a repetition."""
MOSTLY = 0.6
"""Words that consist of one repetition by more than this were not said."""
VERY_SURE = 0.9
"""Repeated words of this confidence were said."""


class Evidence(enum.Enum):
    """How sure it is that words are words."""

    SURE = "sure"
    UNSURE = "unsure"
    NOISE = "noise"


def judge(text: str, confidence: float, least: float, sure: float) -> Evidence:
    """Whether `text`, of this confidence from 0 to 1, was said. A confidence of 0 is not known.

    Below `least` it was not; from `sure` on it was, also if it is short. Repetition speaks against it.
    """
    words = words_of(text)
    if not words or confidence <= 0:
        return Evidence.SURE
    if confidence < least or (confidence < VERY_SURE and least > 0 and _repeats(words)):
        return Evidence.NOISE
    return Evidence.UNSURE if confidence < sure and len(words) <= FEW_WORDS else Evidence.SURE


def _repeats(words: tuple[str, ...]) -> bool:
    """Whether most of the words are one word, or one pair of words, again and again."""
    for length in (1, 2):
        grams = Counter(tuple(words[at : at + length]) for at in range(len(words) - length + 1))
        gram, times = grams.most_common(1)[0] if grams else ((), 0)
        if times >= REPEATED and times * len(gram) > MOSTLY * len(words):
            return True
    return False
