"""What words sound like: as if more were to come, like a mere "go on", or like our own echo.

The words of each language are in `language/packs.py`. In scripts without blanks a cluster (a Chinese
character, a letter of Thai with its marks) counts as a word.
"""

from __future__ import annotations

import re
from functools import lru_cache

from machines.language.listening import EVERYWHERE, REPEATS, folded, is_hum
from machines.language.pack import Pack
from machines.language.packs import ENGLISH, pack_for
from machines.language.scripts import (
    CLAUSES,
    CLOSERS,
    ENDS,
    GREEK,
    GREEK_QUESTION,
    SPACED_CLAUSES,
    SPACED_ENDS,
    WORD,
    is_unspaced,
    main_script,
    pieces_of,
)

BACKCHANNELS = ENGLISH.backchannels
"""What listeners say to show that they listen. As a setting, this stands for those of the call's language."""

ECHOED_WORDS = 30
"""How many of the words heard last may come back as an echo."""
ECHOED_WORD = 6
"""A single word may be an echo only if it is among this many words heard last."""
SHORTEST_ECHO = 3
"""Fewer words than this, said when an answer ends, count as a reply, unless there was an echo before."""
ECHO_SHARE = 2 / 3
"""If more than this share of the words is echo, the rest counts as misheard echo."""

_LONGEST_ENDING = 80
_LAST_WORDS = re.compile(r"(?:\S+\s+){0,2}\S+$")
_ELLIPSES = ("...", "…", "。。。", "‥")


@lru_cache(maxsize=1024)
def words_of(text: str) -> tuple[str, ...]:
    """The words of a text, without punctuation and capitals. "uh-huh" is two words."""
    return tuple(WORD.findall(text.casefold().replace("’", "'")))


def first_words(text: str, most: int) -> str:
    """The beginning of a text, with so many words; two clusters count as one."""
    pieces, left = pieces_of(text), float(most)
    for place, piece in enumerate(pieces):
        if left <= 0:
            return "".join(pieces[:place])
        left -= 0.5 if is_unspaced(piece.strip()[0]) else 1
    return text


def sounds_unfinished(text: str, language: str = "") -> bool:
    """Whether a caller who paused after `text` will probably go on."""
    stripped = text.rstrip().rstrip("".join(CLOSERS))
    if not stripped or stripped[-1] in SPACED_ENDS or stripped[-1] in ENDS:
        return stripped.endswith(_ELLIPSES)
    if stripped[-1] == GREEK_QUESTION and main_script(stripped) is GREEK:
        return False
    if stripped[-1] in SPACED_CLAUSES or stripped[-1] in CLAUSES or stripped[-1] == "-":
        return True
    last = _LAST_WORDS.search(stripped[-_LONGEST_ENDING:])
    assert last is not None, "a text that is not empty ends with a word"
    return _goes_on(last[0].casefold(), pack_for(last[0].split()[-1], language))


def _goes_on(ending: str, pack: Pack) -> bool:
    """Whether an utterance hardly ever ends with these words."""
    words = ending.split()
    if any(ending == phrase or ending.endswith(f" {phrase}") for phrase in pack.complete):
        return False
    if words[-1] in pack.mostly_going_on:
        return len(words) > 1 and words[-2] not in pack.ends_after
    if words[-1] in pack.going_on:
        return True
    return words[-1].endswith(pack.going_on_suffixes) and not words[-1].endswith(pack.complete_suffixes)


def backchannels_for(text: str, wanted: tuple[str, ...], language: str = "") -> tuple[str, ...]:
    """The backchannels that count for a text: those `wanted`, or those of its language if none were named."""
    if wanted != BACKCHANNELS:
        return wanted
    return (pack_for(text, language).backchannels or wanted) + EVERYWHERE


def is_digit(word: str, language: str = "") -> bool:
    """Whether a word is a number in digits, or a digit as a word."""
    numbers = pack_for(word, language).numbers
    return (
        word.isnumeric() or word in numbers or (word[0] in numbers and all(each in numbers for each in word))
    )


def without_echo(text: str, heard: str) -> tuple[str, ...]:
    """The words of `text` that are not an echo of `heard`, the words that the caller heard last."""
    words, source = words_of(text), words_of(heard)[-ECHOED_WORDS:]
    if len(words) == 1:
        return () if words[0] in source[-ECHOED_WORD:] else words
    own, at = [], 0
    while at < len(words):
        length = _echoed(words, at, source)
        if length < 2:
            own.append(words[at])
        at += length if length >= 2 else 1
    return () if len(words) - len(own) > ECHO_SHARE * len(words) else tuple(own)


def occurs_late(words: tuple[str, ...], text: str) -> bool:
    """Whether `words` occur without a gap in the second half of `text`."""
    source = words_of(text)
    late = source[(len(source) + 1) // 2 :]
    # Python searches a text for a text in linear time, and no word holds a blank.
    return bool(late) and (not words or f" {' '.join(words)} " in f" {' '.join(late)} ")


def without_backchannels(words: tuple[str, ...], backchannels: tuple[str, ...]) -> tuple[str, ...]:
    """`words` without the backchannels, however often their letters or they are repeated.

    A list that names one hum ("hm") means all of them.
    """
    phrases, hums = _compared(backchannels)
    # What lengthens a word goes with it.
    pairs = [(word, folded(word)) for word in words]
    left, at, taken = [], 0, False
    heard = tuple(fold for _, fold in pairs if fold not in REPEATS)
    place = 0
    while at < len(pairs):
        word, fold = pairs[at]
        if fold in REPEATS:
            if not taken:
                left.append(word)
            at += 1
            continue
        length = next((len(each) for each in phrases if heard[place : place + len(each)] == each), 0)
        if not length and hums:
            length = int(
                is_hum(word) or (fold == "m" and place + 1 < len(heard) and is_hum(heard[place + 1]))
            )
        taken = length > 0
        if not taken:
            left.append(word)
        for _ in range(length or 1):
            while pairs[at][1] in REPEATS:
                at += 1
            at += 1
        place += length or 1
    return tuple(left)


@lru_cache(maxsize=64)
def _compared(backchannels: tuple[str, ...]) -> tuple[tuple[tuple[str, ...], ...], bool]:
    """The phrases, longest first, as they are compared; and whether hums are among them."""
    found = {
        tuple(fold for fold in map(folded, words_of(each)) if fold not in REPEATS) for each in backchannels
    }
    phrases = sorted((each for each in found if each), key=lambda each: (-len(each), each))
    return tuple(phrases), any(len(each) == 1 and is_hum(each[0]) for each in phrases)


def _echoed(words: tuple[str, ...], at: int, source: tuple[str, ...]) -> int:
    """How many words, from the one at `at` on, occur without a gap in `source`."""
    longest = 0
    for start in range(len(source)):
        length = 0
        while (
            at + length < len(words)
            and start + length < len(source)
            and words[at + length] == source[start + length]
        ):
            length += 1
        longest = max(longest, length)
    return longest
