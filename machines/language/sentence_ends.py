"""Where a sentence ends: whether a mark ends one is judged by the words around it.

What ends a sentence depends on the script (`scripts.py`), abbreviations and ordinals on the language
(`packs.py`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from attrs import define

from machines.language.markup.tokens import SPACES, Kind, Token
from machines.language.pack import Pack
from machines.language.packs import UNKNOWN, pack_for
from machines.language.scripts import (
    CLOSERS,
    DIGIT_MARKS,
    ENDS,
    GREEK_QUESTION,
    OPENERS,
    SPACED_ENDS,
    script_of,
)

_LONGEST_INITIALS = 8
"""The most tokens of an abbreviation such as "c.-à-d."."""
_LONGEST_UNIT = 4
"""The most letters of an abbreviation before a number, in a language that is not known."""
_INITIALS = re.compile(r"[^\W\d_](?:\.[^\W\d_]{1,2})+|[^\W\d_]\.(?:[^\W\d_]{2,4})|[^\W\d_]{2}\.[^\W\d_]{1,2}")
"""Short parts with stops: "J.K", "p.m", "Ph.D", "f.eks", "π.χ"."""


@define
class SentenceEnd:
    """A mark that seems to end a sentence, and what has followed so far."""

    tokens: list[Token]
    """Those of the segment, up to now."""
    language: str
    mark: str
    index: int
    """Where the segment would be cut: after the mark, and after quotes and brackets that close with it."""
    mark_index: int
    blank: bool = False
    """A blank has followed. The next word decides."""

    def may_go_on(self) -> bool:
        """What stands before the mark is often followed by more of its sentence."""
        if self.mark == "…" or self.mark.startswith(".."):
            return True
        if self.mark != ".":
            return False
        word = self._word_before()
        pack = self._pack(word)
        if len(word) < 2 or _is_number(word) or _is_abbreviation(word, pack) or _is_roman(word, pack):
            return True
        before_number = word.casefold() in pack.before_numbers and word[:1].isupper()
        suffix = word.casefold().endswith(pack.abbreviation_suffixes)
        return before_number or suffix or (not self.blank and self._may_be_address(word, pack))

    def _may_be_address(self, word: str, pack: Pack) -> bool:
        """Whether "example." may go on with "com": it stands where an address or a name does.

        A sentence waits for that only until the next piece, if the text broke off directly after the stop.
        """
        begins = self.mark_index - 1
        if begins < 1 or not word.isascii() or self.tokens[begins].kind is not Kind.WORD:
            return False
        before = self._words_before(begins)
        named = word[:1].isupper() and bool(before) and not pack.capital_nouns
        return named or bool(before and before[0].casefold() in pack.before_addresses)

    def closes(self, token: Token) -> bool:
        """Whether the token stands between the mark and the blank after it."""
        if token.kind is Kind.SILENT or (token.kind is Kind.TAG and token.markup.startswith("</")):
            return True
        if token.kind is not Kind.MARK:
            return False
        opens = self.mark[-1] in ENDS and token.shown in OPENERS
        return is_end_mark(token.shown, self.tokens) or (token.shown in CLOSERS and not opens)

    def waits_for_word(self, token: Token) -> bool:
        """Whether the next word decides if this is the end: after a stop, where there are capitals, or an
        abbreviation."""
        if self.mark != ".":
            return False
        word = self._word_before()
        pack = self._pack(word)
        last = word[-1:]
        cased = token.kind is Kind.BLANK and (last.upper() != last.lower() or last.isdigit())
        return cased or _is_number(word) or _is_abbreviation(word, pack) or pack is UNKNOWN

    def ends_sentence(self, token: Token) -> bool:
        """Whether the mark ends a sentence, judged by the token after it."""
        mark, before = self.mark, self.tokens[self.mark_index - 1] if self.mark_index else None
        if not self.blank:
            if mark in DIGIT_MARKS and before is not None and digits_meet(before, token):
                return False
            if mark[-1] in ENDS:
                return True
            if mark[-1] == "…":
                return script_before(self.tokens) in ("Han", "Kana")
            if before is not None and before.kind is Kind.WORD and (is_chinese(before) or is_chinese(token)):
                return self._ends_chinese(before, token)
            # Two sentences without a blank between them: "It is noon.Then"
            whole = before is not None and before.kind is Kind.WORD and before.shown[-2:].islower()
            capital = token.kind is Kind.WORD and token.shown[:1].isupper() and token.shown[1:2].islower()
            return whole and capital and before is not None and len(before.shown) > 1
        if self.mark != ".":
            return True
        word = self._word_before()
        pack, following = self._pack(word), token.shown
        if following[:1].islower() and (_is_number(word) or _is_abbreviation(word, pack)):
            return False
        if _is_number(word) or _is_roman(word, pack):
            first = all(each.kind in SPACES or not each.shown for each in self.tokens[: self.mark_index - 1])
            return not (first and _is_number(word)) and not self._is_ordinal(following, pack)
        small = word.casefold()
        if following[:1].isdigit() and (
            small in pack.before_numbers
            or small.endswith(pack.abbreviation_suffixes)
            or (pack is UNKNOWN and len(word) <= _LONGEST_UNIT)
        ):
            return False
        if _is_abbreviation(word, pack):
            return self._ends_after_abbreviation(word, following, pack)
        return not following[:1].islower() or self._all_small()

    def _ends_chinese(self, before: Token, token: Token) -> bool:
        """Whether a mark of ASCII without a blank after it ends a sentence, next to Chinese or Japanese."""
        if self.mark != ".":
            return token.kind is Kind.WORD
        word = self._word_before()
        return is_chinese(token) and not _is_number(word) and not _is_abbreviation(word, self._pack(word))

    def _is_ordinal(self, following: str, pack: Pack) -> bool:
        """Whether the number before the stop is an ordinal: "am 5. Mai", "der 2. Weltkrieg", "XIV. Lajos"."""
        if following.casefold() in pack.after_ordinals or following[:1].islower():
            return True
        if not pack.ordinals or following.casefold() in pack.starters or not following[:1].isalpha():
            return False
        number, before = [*self._words_before(self.mark_index), "", ""][:2]
        return before.casefold() in pack.before_ordinals or not number.isdigit()

    def _words_before(self, index: int) -> list[str]:
        """The words before a place, the nearest one first. Not all of a long segment are looked at."""
        near = self.tokens[max(0, index - _LONGEST_INITIALS) : index]
        return [each.shown for each in reversed(near) if each.kind is Kind.WORD]

    def _ends_after_abbreviation(self, word: str, following: str, pack: Pack) -> bool:
        """Whether a sentence ends with an abbreviation, before a word that does not begin small."""
        small, next_word = word.casefold(), following.casefold()
        if not following[:1].isupper() or next_word in pack.after_ordinals:
            return False
        # "the U.S. It is", but "J.K. Rowling" and "U.S. Navy"; "5 Min. Das ist", but "5 Min. Fußweg"
        initials = len(word) > 1 and word[:1].isupper() and _INITIALS.fullmatch(word) is not None
        if pack.starters and (initials or pack.capital_nouns):
            return next_word in pack.starters and (initials or small in pack.ending_abbreviations)
        return small in pack.ending_abbreviations

    def _all_small(self) -> bool:
        """Whether the segment begins with a small letter: its writer does not use capitals."""
        first = next((each.shown for each in self.tokens if each.kind is Kind.WORD), "")
        return first[:1].islower()

    def _word_before(self) -> str:
        """The word before the mark, with the stops and hyphens inside it."""
        parts: list[str] = []
        for token in reversed(self.tokens[max(0, self.mark_index - _LONGEST_INITIALS) : self.mark_index]):
            if token.kind is not Kind.WORD and token.shown not in (".", "-", "°"):
                break
            parts.append(token.shown)
        return "".join(reversed(parts)).lstrip(".-")

    def _pack(self, word: str) -> Pack:
        return pack_for(word, self.language)


def is_end_mark(mark: str, tokens: Sequence[Token]) -> bool:
    """Whether a mark behind these tokens may end a sentence."""
    return (
        mark in SPACED_ENDS or mark in ENDS or (mark == GREEK_QUESTION and script_before(tokens) == "Greek")
    )


def script_before(tokens: Sequence[Token]) -> str:
    """The script of the last word."""
    word = next((each for each in reversed(tokens[-4:]) if each.kind is Kind.WORD), None)
    script = script_of(word.shown[0]) if word is not None else None
    return "" if script is None else script.name


def _is_number(word: str) -> bool:
    return word.isdigit() and len(word) <= 3


def _is_abbreviation(word: str, pack: Pack) -> bool:
    """Whether a word is an abbreviation: a listed one, a single letter but "I", or short parts with stops."""
    if word.casefold() in pack.abbreviations or _INITIALS.fullmatch(word) is not None:
        return True
    return len(word) == 1 and word.isalpha() and word != "I" and (word.isascii() or word.isupper())


def _is_roman(word: str, pack: Pack) -> bool:
    """Whether a word is a Roman number, in a language where a stop makes it an ordinal."""
    return pack.ordinals and 1 < len(word) <= _LONGEST_INITIALS and all(each in "IVXLCDM" for each in word)


def is_chinese(token: Token) -> bool:
    """Whether the token is of a script that needs no blank after a mark: Chinese or Japanese."""
    script = script_of(token.shown[0]) if token.kind is Kind.WORD else None
    return script is not None and script.name in ("Han", "Kana")


def digits_meet(before: Token, after: Token) -> bool:
    """Whether what stands between them stands within a number."""
    return before.shown[-1:].isdigit() and after.shown[:1].isdigit()
