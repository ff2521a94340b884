"""Scripts: how text is cut, joined, counted and spoken, as far as its characters say it.

Each mark has its own rule, whatever the language of the text, so a Chinese sentence within an English answer
is cut right. What depends on the language is in `packs.py`. Sources: Unicode 16 (Scripts.txt,
Sentence_Terminal), UAX #29 for clusters, and CLDR for the marks of each script.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from functools import lru_cache

from attrs import frozen


@frozen
class Script:
    """A writing system."""

    name: str
    ranges: tuple[tuple[int, int], ...]
    """Code points, first and last."""
    weight: float = 1.0
    """How long a character takes to say. An English letter takes 1."""
    spaced: bool = True
    """Blanks divide words. If not, each cluster (a letter with its marks) counts as a word."""
    blank_is_clause: bool = False
    """A blank divides clauses."""


LATIN = Script("Latin", ((0x41, 0x24F), (0x1E00, 0x1EFF)))
GREEK = Script("Greek", ((0x370, 0x3FF), (0x1F00, 0x1FFF)))
HAN = Script(
    "Han",
    ((0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF)),
    3,
    False,
)
KANA = Script("Kana", ((0x3040, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9F)), 2, False)
HANGUL = Script("Hangul", ((0x1100, 0x11FF), (0x3130, 0x318F), (0xAC00, 0xD7FF)), 3)
THAI = Script("Thai", ((0x0E00, 0x0E7F),), 1.3, False, True)
SCRIPTS = (
    LATIN,
    GREEK,
    Script("Cyrillic", ((0x400, 0x52F), (0x1C80, 0x1C8F))),
    Script("Armenian", ((0x530, 0x58F),)),
    Script("Hebrew", ((0x590, 0x5FF),), 1.3),
    Script("Arabic", ((0x600, 0x77F), (0x8A0, 0x8FF), (0xFB50, 0xFDFF), (0xFE70, 0xFEFC)), 1.3),
    Script("Devanagari", ((0x900, 0x97F), (0xA8E0, 0xA8FF)), 1.3),
    Script("Indic", ((0x980, 0xDFF),), 1.3),
    THAI,
    Script("Lao", ((0xE80, 0xEFF),), 1.3, False, True),
    Script("Tibetan", ((0xF00, 0xFFF),), 1.3),
    Script("Myanmar", ((0x1000, 0x109F), (0xA9E0, 0xA9FF)), 1.3, False, True),
    Script("Georgian", ((0x10A0, 0x10FF),)),
    HANGUL,
    Script("Ethiopic", ((0x1200, 0x139F),), 2),
    Script("Khmer", ((0x1780, 0x17FF), (0x19E0, 0x19FF)), 1.3, False, True),
    HAN,
    KANA,
)

_RANGES = sorted((first, last, script) for script in SCRIPTS for first, last in script.ranges)
_FIRSTS = [first for first, _, _ in _RANGES]


@lru_cache(maxsize=4096)
def script_of(character: str) -> Script | None:
    """The script of a letter or mark; None for characters of all scripts (digits, punctuation, emoji)."""
    if unicodedata.category(character)[0] not in "LM":
        return None
    place = bisect_right(_FIRSTS, ord(character)) - 1
    if place < 0 or ord(character) > _RANGES[place][1]:
        return None
    return _RANGES[place][2]


def main_script(text: str) -> Script | None:
    """The script of most letters of a text; None if no letter is of a known script."""
    counts: dict[str, tuple[int, Script]] = {}
    for character in text:
        if (script := script_of(character)) is not None:
            counts[script.name] = (counts.get(script.name, (0, script))[0] + 1, script)
    if "Kana" in counts:  # only ever Japanese, which writes Han, too
        counts["Kana"] = (counts["Kana"][0] + counts.pop("Han", (0, HAN))[0], KANA)
    return max(counts.values(), key=lambda each: each[0])[1] if counts else None


# --- marks ------------------------------------------------------------------------------------------------

SPACED_ENDS = frozenset(".!?…")
"""These end a sentence if a blank follows."""
ENDS = frozenset("。！？｡．؟۔।॥։።፧།။៕។᙮꓿‼⁇⁈⁉\u037e")
"""These end a sentence, whatever follows."""
GREEK_QUESTION = ";"
"""This ends a sentence after Greek letters."""
SPACED_CLAUSES = frozenset(",;:–—")
"""These end a clause if a blank follows."""
CLAUSES = frozenset("、，；：､،؛፣၊·՝")
"""These end a clause, whatever follows."""
OPENERS = frozenset("([{“‘„‚«‹「『（《〈【〔［｛¿¡")
CLOSERS = frozenset(")]}\"'”’“‘»«›‹」』）》〉】〕］｝")
"""These may stand between the end of a sentence and the blank after it. Some open in one language and close
in another: directly after the end of a sentence they close."""
DIGIT_MARKS = frozenset(".．,，:：")
"""Between two digits, these belong to the number."""


def is_unspaced(character: str) -> bool:
    """Whether the script of this letter has no blanks between words."""
    script = script_of(character)
    return script is not None and not script.spaced


@lru_cache(maxsize=4096)
def weight_of(character: str) -> float:
    """How long a character takes to say. A character of English takes 1, an emoji 0."""
    if ord(character) < 0x250:
        return 1.0
    category = unicodedata.category(character)
    if category in ("So", "Sk", "Cf", "Cs", "Co", "Cn", "Me") or 0xFE00 <= ord(character) <= 0xFE0F:
        return 0.0
    script = script_of(character)
    return 1.0 if script is None else script.weight


def weight(text: str) -> float:
    """How long a text takes to say, in characters of English."""
    return float(len(text)) if text.isascii() else sum(map(weight_of, text))


# --- joining ----------------------------------------------------------------------------------------------

_GLUED = frozenset("。！？｡．、，；：､」』）》〉】〔［「『（《〈【〕］…")


def _takes_no_blank(character: str) -> bool:
    script = script_of(character)
    return character in _GLUED or (script is not None and not script.spaced and not script.blank_is_clause)


def gap(before: str, after: str) -> str:
    """What joins two pieces of text: a blank, or nothing.

    Chinese and Japanese have no blank. Thai and similar scripts have blanks between clauses.
    """
    if not before or not after or before[-1].isspace() or after[0].isspace():
        return ""
    return "" if _takes_no_blank(before[-1]) or _takes_no_blank(after[0]) else " "


def joined(*pieces: str) -> str:
    """Join pieces of text as their scripts want it; empty ones are left out."""
    parts: list[str] = []
    for piece in filter(None, pieces):
        if parts:
            parts.append(gap(parts[-1], piece))
        parts.append(piece)
    return "".join(parts)


# --- words ------------------------------------------------------------------------------------------------


def _marks() -> str:
    """The combining marks, as a regular expression's class."""
    points = [each for each in range(0x300, 0xFE00) if unicodedata.category(chr(each)) in ("Mn", "Mc")]
    ranges: list[list[int]] = []
    for point in points:
        if ranges and ranges[-1][1] == point - 1:
            ranges[-1][1] = point
        else:
            ranges.append([point, point])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)


MARKS = _marks() + "\u200c\u200d"
"""These belong to the letter before them."""
UNSPACED = "".join(
    f"{chr(first)}-{chr(last)}" for script in SCRIPTS if not script.spaced for first, last in script.ranges
)
_LETTER = rf"(?:(?![{UNSPACED}])[^\W_][{MARKS}]*)"
WORD = re.compile(rf"(?![{MARKS}])(?=[^\W_])[{UNSPACED}][{MARKS}]*|{_LETTER}+(?:['’]{_LETTER}+)*")
"""A word, or a cluster of a script without blanks."""


_PIECE = re.compile(rf"(?:(?=[^\W_])[{UNSPACED}][{MARKS}]*|(?:(?!(?=[^\W_])[{UNSPACED}])\S)+)\s*")


def pieces_of(text: str) -> list[str]:
    """Divide a text into words, or clusters in scripts without blanks. Blanks and marks stay with them."""
    # Blanks at the beginning are not left to the pattern: of many, it would try each as a beginning.
    begins = len(text) - len(text.lstrip())
    pieces = _PIECE.findall(text, begins)
    return [text[:begins] + pieces[0], *pieces[1:]] if pieces else []


def has_sound(text: str) -> bool:
    """Whether a text has anything that can be said."""
    return any(character.isalnum() for character in text)
