"""What English words sound like: unfinished, a backchannel, or an echo of the answer."""

from __future__ import annotations

import re
from functools import lru_cache

_GOING_ON = """
a an the and or but so because since if when while that which who whose than then as at by for from
in into of on to with without about my your his her its our their i you he she we they is are was
were am be been do does did have has had can could will would shall should may might must um uh er
hmm like also very i'm i'd i'll i've it's there's let's
"""
GOING_ON = frozenset(_GOING_ON.split())
"""Words that a sentence seldom ends with."""

BACKCHANNELS = (
    *("uh-huh", "uh huh", "mm-hmm", "mm hmm", "mhm", "mm", "hm", "hmm", "uh", "um", "ah", "oh"),
    *("yeah", "yep", "yes", "ok", "okay", "right", "all right", "alright", "sure", "of course", "exactly"),
    *("i see", "got it", "i understand", "go on"),
)
"""What listeners say to show that they listen."""

ECHOED_WORDS = 30
"""How many of the words heard last may come back as an echo."""
ECHOED_WORD = 6
"""A single word may be an echo only if it is among this many words heard last."""
SHORTEST_ECHO = 3
"""Fewer words than this, said when an answer ends, count as a reply, unless there was an echo before."""
ECHO_SHARE = 2 / 3
"""If more than this share of the words is echo, the rest counts as misheard echo."""

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text, without punctuation and capitals. "uh-huh" is two words."""
    return tuple(_WORD.findall(text.casefold().replace("’", "'")))


def sounds_unfinished(text: str) -> bool:
    """Whether a caller who paused after `text` will probably go on."""
    stripped = text.rstrip()
    if not stripped or stripped[-1] in ".!?…":
        return stripped.endswith(("...", "…"))
    return stripped[-1] in ",;:-–—" or stripped.split()[-1].lower() in GOING_ON


def without_echo(text: str, heard: str) -> tuple[str, ...]:
    """The words of `text` that are not an echo of `heard`, the words that the caller heard last."""
    words, source = words_of(text), words_of(heard)[-ECHOED_WORDS:]
    if len(words) == 1:
        return () if words[0] in source[-ECHOED_WORD:] else words
    own, at = [], 0
    while at < len(words):
        length = _echoed(words[at:], source)
        if length < 2:
            own.append(words[at])
        at += length if length >= 2 else 1
    return () if len(words) - len(own) > ECHO_SHARE * len(words) else tuple(own)


def occurs_late(words: tuple[str, ...], text: str) -> bool:
    """Whether `words` occur without a gap in the second half of `text`."""
    source = words_of(text)
    late = source[(len(source) + 1) // 2 :]
    return any(late[at : at + len(words)] == words for at in range(len(late)))


def without_backchannels(words: tuple[str, ...], backchannels: tuple[str, ...]) -> tuple[str, ...]:
    """`words` without the backchannels."""
    phrases = _longest_first(backchannels)
    left, at = [], 0
    while at < len(words):
        length = next((len(each) for each in phrases if words[at : at + len(each)] == each), 0)
        if not length:
            left.append(words[at])
        at += length or 1
    return tuple(left)


@lru_cache(maxsize=64)
def _longest_first(phrases: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    words = (words_of(each) for each in phrases)
    return tuple(sorted((each for each in words if each), key=len, reverse=True))


def _echoed(words: tuple[str, ...], source: tuple[str, ...]) -> int:
    """How many words, from the first of `words` on, occur without a gap in `source`."""
    longest = 0
    for start in range(len(source)):
        length = 0
        while (
            length < len(words) and start + length < len(source) and words[length] == source[start + length]
        ):
            length += 1
        longest = max(longest, length)
    return longest
