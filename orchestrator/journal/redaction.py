"""Redaction of journals: the words of a call become unreadable, and a replay still takes the same way.

The machines ask whether a text is empty, how long it is, how many words it has, and whether two are equal;
they join texts and cut them at blanks. All of that must come out as before. So each word is replaced by as
many other letters, the same letters for the same word within a call. They depend on a random key that is
never written down. Punctuation, blanks and capitals stay.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from hashlib import blake2b

from attrs import Factory, define

from machines.language.listening import EVERYWHERE, folded, is_hum
from machines.language.packs import PACKS
from machines.language.scripts import UNSPACED, is_unspaced, script_of
from machines.phrases import BACKCHANNELS, backchannels_for, without_backchannels, words_of
from orchestrator.journal.records import Plain

SPOKEN = frozenset(
    {
        *("text", "markup", "heard", "unheard", "digit", "digits_words"),
        *("system_prompt", "first", "second", "third", "greeting", "reprompt", "nudges", "idle_goodbye"),
        *("backchannels", "refused", "unsayable", "unanswered"),
        *("arguments", "result", "tool_fillers", "filler", "thinking_filler", "tool_not_called"),
        "metadata",
    }
)
"""The fields of facts, effects, messages and policies that hold words of the caller, the model, its tools or
the operator. The arguments of a tool are one text, so the arguments' names are replaced too."""

KEPT = frozenset(
    folded(part)
    for phrases in (
        EVERYWHERE,
        *(
            (*pack.going_on, *pack.mostly_going_on, *pack.ends_after, *pack.complete)
            for pack in PACKS.values()
        ),
        *(pack.backchannels for pack in PACKS.values()),
    )
    for phrase in phrases
    for whole in (phrase, *words_of(phrase))
    for part in whole.split("'")
)
"""Words that the end of a turn or an interruption depends on (`machines/language/packs.py`). They stay, and
no other word is replaced by one of them. Compared as they are there: without repeated letters."""
NUMBERS = frozenset(word for pack in PACKS.values() for word in pack.numbers)
"""Digits as words. They become digits, since digits may be repeated and other words may not."""
_SUFFIXES = tuple(
    {suffix for pack in PACKS.values() for suffix in (*pack.going_on_suffixes, *pack.complete_suffixes)}
)
"""The same at the end of a text in scripts without blanks."""
_RUN = re.compile(rf"[{UNSPACED}]+|(?:(?![{UNSPACED}])[^\s!-/:-@\[-`{{-~])+")
"""What is replaced as one word: a run without blanks and ASCII punctuation."""
_SYLLABLES = "일이삼사오육칠팔구"
"""The digits of Korean are replaced by one another."""
_LATIN = "abcdefghijklmnopqrstuvwxyz"
_OTHER = "абвгдежзийклмнопрстуфхцчшщъыьэюя"
"""Replace letters outside of ASCII, which count as more tokens,"""
_LETTERS = {
    "Han": "山水火木金土日月花鸟鱼虫草石田云",
    "Kana": "かきくけこさしすせそたちつねま",
    "Hangul": "강산물불나무돌꽃새별달해길집문",
    "Thai": "กขคงจชซญดตถทนบปผ",
    "Devanagari": "कखगघचछजझटठडढणतथद",
    "Arabic": "بتثجحخدذرزسشصضطظ",
    "Hebrew": "אבגדהוזחטיכלמנסע",
}
"""unless they are of one of these, whose words are counted and timed in their own way."""


@define(eq=False)
class Redactor:
    """Replaces words, consistently within one call."""

    _key: bytes = Factory(lambda: secrets.token_bytes(32))
    _known: dict[str, str] = Factory(dict)

    def redacted(self, data: Plain) -> Plain:
        """Plain data with its spoken fields replaced."""
        if isinstance(data, dict):
            return {name: self._field(name, value) for name, value in data.items()}
        if isinstance(data, list | tuple):
            return [self.redacted(each) for each in data]
        return data

    def words(self, text: str) -> str:
        """A text with its words replaced."""
        return _RUN.sub(self._word, text)

    def _field(self, name: str, value: Plain) -> Plain:
        if name in SPOKEN and isinstance(value, list | tuple):
            return [self._field(name, each) for each in value]
        return self.words(value) if name in SPOKEN and isinstance(value, str) else self.redacted(value)

    def _word(self, found: re.Match[str]) -> str:
        word = found[0]
        if _is_kept(word):
            return word
        suffix = max((each for each in _SUFFIXES if word.endswith(each)), key=len, default="")
        return self._replaced(word.removesuffix(suffix)) + suffix

    def _replaced(self, word: str) -> str:
        if word not in self._known:
            self._known[word] = self._replacement(word)
        return self._known[word]

    def _replacement(self, word: str) -> str:
        replaced = word
        for attempt in range(256):
            source = f"{attempt} {word.casefold()}".encode(errors="surrogatepass")
            digest = blake2b(source, key=self._key).digest()
            pattern = "".join("0" if each.isascii() else "٠" for each in word) if _counts(word) else word
            letters = (_replaced(each, digest[place % len(digest)]) for place, each in enumerate(pattern))
            replaced = "".join(letters)
            if not _is_kept(replaced):
                break
        return replaced


def _is_kept(word: str) -> bool:
    """Whether a word is kept: all of it counts as a backchannel, or as a word that nothing ends with."""
    plain = word.casefold()
    if folded(plain) in KEPT or is_hum(plain):
        return True
    unspaced = is_unspaced(word[0])
    return unspaced and not without_backchannels(words_of(word), backchannels_for(word, BACKCHANNELS))


def _counts(word: str) -> bool:
    """Whether a word is a digit and is replaced by digits: they are said as long as letters of its script."""
    script = script_of(word[0])
    return script is not None and script.weight == 1 and word.casefold() in NUMBERS


def _replaced(character: str, by: int) -> str:
    """A character of the same kind as `character`, chosen by the number `by`."""
    if character in _SYLLABLES:
        return _SYLLABLES[by % len(_SYLLABLES)]
    if not character.isascii() and character.isdecimal():
        return chr(ord(character) - int(character) + by % 10)
    if character.isnumeric() and is_unspaced(character):
        return "一二三四五六七八九"[by % 9]
    if character.isascii():
        if character.isdigit():
            return str(by % 10)
        return _as_case(_LATIN[by % len(_LATIN)], character)
    if unicodedata.category(character)[0] in "LN":
        script = script_of(character)
        letters = _LETTERS.get(script.name, _OTHER) if script is not None else _OTHER
        return _as_case(letters[by % len(letters)], character)
    return character


def _as_case(letter: str, like: str) -> str:
    return letter.upper() if like.isupper() else letter
