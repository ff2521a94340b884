"""Evidence: whether a transcript is words that somebody said.

Speech to text makes words of a laugh, a cough or voices in the background, too: with little confidence, or
one word again and again. Words of a voice that is clearly speech were said even if speech to text is not sure
of them, as with short answers and noise; of any other sound only sure words count. Calibrated with the
embedded models: docs/sounds.md.
"""

from __future__ import annotations

import enum
from collections import Counter
from functools import lru_cache

from attrs import frozen

from machines.phrases import is_digit, words_of

LEAST_VOICE_MS = 64
"""Words with less voice than this have none: voice activity detection needs as much to notice it."""
LOUD_MS = 300
"""Words without voice need this much sound that is as loud as somebody who speaks."""
SURE_WITHOUT_VOICE = 0.85
"""Words without voice need this confidence, and there must be two of them: "Okay." is what speech to text
makes of silence, with 0.965 (deepgram-js-sdk#327)."""
REPEATED = 3
"""A word, or two words in a row, said this often is a repetition."""
MOSTLY = 0.6
"""If one repetition makes up more than this share of the words, they were not said."""
VERY_SURE = 0.9
"""With this confidence, even repeated words were said."""


@frozen
class VoiceHeard:
    """What was heard in a turn so far, whatever speech to text makes of it.

    Facts about words get it on their way from the adapter; None: it is not known.
    """

    ms: float
    """Audio that voice activity detection took for voice."""
    clarity: float
    """The mean probability of speech, from 0 to 1, of that audio."""
    loud_ms: float
    """Audio as loud as somebody who speaks, taken for voice or not."""


class Evidence(enum.Enum):
    """Whether a transcript was said."""

    SURE = "sure"
    UNSURE = "unsure"
    """Something was said, but perhaps not this."""
    NOISE = "noise"


def judge(
    text: str,
    confidence: float,
    voice: VoiceHeard | None,
    *,
    least: float,
    sure: float,
    clear: float,
    language: str = "",
) -> Evidence:
    """Whether `text`, of this confidence from 0 to 1, was said. A confidence of 0 is not known.

    `voice` is what was heard in its turn; None: not known. From a clarity of `clear` on it is speech, and
    then a confidence of `least` is enough; of other sounds `sure` is needed. With a `least` of 0 every text
    was said. `language` is the call's: digits said again and again are not a repetition ("five five five").
    """
    words = words_of(text)
    if not words or least <= 0:
        return Evidence.SURE
    if voice is not None and voice.ms < LEAST_VOICE_MS:
        certain = sure_without_voice(text, confidence, voice, language)
        return Evidence.SURE if certain else Evidence.NOISE
    if not confidence > 0:
        return Evidence.SURE
    repeated = _repeats(words, language)
    if voice is not None and voice.clarity >= clear:
        return Evidence.SURE if confidence >= (sure if repeated else least) else Evidence.UNSURE
    return Evidence.SURE if confidence >= (VERY_SURE if repeated else sure) else Evidence.NOISE


def sure_without_voice(text: str, confidence: float, voice: VoiceHeard, language: str = "") -> bool:
    """Whether `text` was said although voice activity detection noticed no voice.

    It does not notice whispers, or speech into a microphone under a closed lid.
    """
    words = words_of(text)
    certain = confidence >= SURE_WITHOUT_VOICE and len(words) > 1 and not _repeats(words, language)
    return certain and voice.loud_ms >= LOUD_MS


@lru_cache(maxsize=256)
def _repeats(words: tuple[str, ...], language: str) -> bool:
    """Whether most of the words are one word, or one pair of words, again and again."""
    for length in (1, 2):
        grams = Counter(tuple(words[at : at + length]) for at in range(len(words) - length + 1))
        gram, times = grams.most_common(1)[0] if grams else ((), 0)
        often = times >= REPEATED and times * len(gram) > MOSTLY * len(words)
        if often and not all(is_digit(word, language) for word in gram):
            return True
    return False
