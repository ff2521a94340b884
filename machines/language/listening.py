"""Sounds of a listener: hums, words said again and again, and the spellings of one word.

Speech to text writes them in endless ways: "mhmm", "Mm-hm", "Mmmm", "jaja", "네네네", "へー", "ค่ะๆ". These
are a kind, not a list: a hum is made of hum sounds alone, and words are compared without repeated letters.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from machines.language.pack import phrases
from machines.language.scripts import script_of

EVERYWHERE = phrases(
    "ok, okay, okey, oke, okei, o k, mkay, m kay, ah, aha, oh, oho, uh, uh huh, ha, eh, wow, mm, hm, mhm"
)
"""What listeners of every language say, as speech to text spells it in Latin letters."""
REPEATS = frozenset("ーｰ〜ๆ々ゝゞっッ")
"""These lengthen or repeat what stands before them."""

_HUM = re.compile(
    r"(?=h*m)(?=..)[mh]+"  # mm, hm, mhm
    r"|(?:[uüöäəıy]h+)+m*"  # uh, uhuh, ähm, yhm
    r"|h[uıü]m+"  # hum, hım
    r"|(?=[хг]*м)(?=..)[мхг]+"
    r"|(?=χ*μ)(?=..)[μχ]+"
    r"|[הא]?מ{2,}|[הא]ממ+"
    r"|[اه]?م{2,}"
    r"|ह?(?:म्)+म|म्ह्?म|ह[ूु][ँं]"
    r"|[음흠응흐]{1,3}"
)
_LONGEST = 24
"""Longer words are not sounds of a listener."""


@lru_cache(maxsize=4096)
def folded(word: str) -> str:
    """A word as it is compared: without repeated letters, repetitions of itself, and marks of length."""
    if len(word) > 2 * _LONGEST:
        return word
    word = unicodedata.normalize("NFKC", word)
    word = "".join(map(_plain, word))
    # A letter alone is not a hum: "M" may be spelled, "mm" is one.
    single = re.fullmatch(r"(.)\1+", word)
    if single is not None and not _is_syllable(word[0]):
        return word[0] * 2
    word = re.sub(r"(.)\1+", r"\1", word)
    repeated = re.fullmatch(r"(.{1,8}?)\1+", word) if len(word) <= _LONGEST else None
    return repeated[1] if repeated is not None else word


def is_hum(word: str) -> bool:
    """Whether a word is a sound of somebody who listens or thinks, and no word."""
    return len(word) <= _LONGEST and bool(_HUM.fullmatch(word) or _HUM.fullmatch(folded(word)))


def _plain(character: str) -> str:
    """A character without what does not matter to a comparison."""
    if "ァ" <= character <= "ヶ":  # Katakana as Hiragana
        return chr(ord(character) - 0x60)
    if character in _SMALL:
        return _SMALL[character]
    if character == "\u0640" or "\u064b" <= character <= "\u0652":  # Arabic lengthening, vowels
        return ""
    return {"أ": "ا", "إ": "ا", "آ": "ا", "ى": "ي"}.get(character, character)


_SMALL = dict(zip("ぁぃぅぇぉ", "あいうえお", strict=True))


def _is_syllable(character: str) -> bool:
    script = script_of(character)
    return script is not None and script.name in ("Hangul", "Han", "Kana")
