"""Evidence: whether a transcript is words that somebody said.

Speech to text makes words of a laugh, a cough or voices in the background, too: with little confidence, or
one word again and again. Calibrated with the embedded models (`benchmarks/sounds.py`): clean speech got a
confidence of 0.71 to 0.99, other sounds 0.23 to 0.58.
"""

from __future__ import annotations

import enum
from collections import Counter

from machines.phrases import words_of

FEW_WORDS = 3
"""Up to this many words need more confidence."""
REPEATED = 3
"""A word, or two words in a row, said this often is a repetition."""
MOSTLY = 0.6
"""If one repetition makes up more than this share of the words, they were not said."""
VERY_SURE = 0.9
"""With this confidence, even repeated words were said."""


class Evidence(enum.Enum):
    """Whether a transcript was said."""

    SURE = "sure"
    UNSURE = "unsure"
    NOISE = "noise"


def judge(text: str, confidence: float, least: float, sure: float) -> Evidence:
    """Judge a transcript. `confidence` is from 0 to 1; 0 means that it is not known.

    Below `least` the transcript is noise. A short one is unsure below `sure`. A repetition is noise, too.
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
