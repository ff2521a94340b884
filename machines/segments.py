"""Cuts a stream of generated text into segments that can be spoken, as early as they sound natural.

A segment ends at the marker `||BREAK||` where the model sets one, otherwise at the end of a sentence, an item
of a list or a paragraph. What ends a sentence depends on the script (`language/scripts.py`), abbreviations on
the language (`language/packs.py`). The first segment may end at a clause already, so that the caller hears
something soon. No segment is longer than `MAX_SEGMENT`. `language/markup/` decides what is markup.

The segments do not depend on how the text was divided. Each token is looked at a few times at most.
"""

from __future__ import annotations

import re

from attrs import define, frozen

from machines.language.markup.reader import Reader
from machines.language.markup.texts import marked, shown
from machines.language.markup.tokens import Kind, Token
from machines.language.pack import Pack
from machines.language.packs import UNKNOWN, pack_for
from machines.language.scripts import (
    CLAUSES,
    CLOSERS,
    DIGIT_MARKS,
    ENDS,
    GREEK_QUESTION,
    OPENERS,
    SPACED_CLAUSES,
    SPACED_ENDS,
    has_sound,
    script_of,
    weight,
)

BREAK = "||BREAK||"
FIRST_CLAUSE = 25
"""The least weight of a first segment that ends at a clause (measured: shorter ones sound chopped)."""
MAX_SEGMENT = 300
"""Weight: the number of characters in Latin script. The reference server has this bound."""
_LONG_CLAUSE = 50
"""From this weight on, a blank ends a segment in scripts that divide clauses by blanks."""
_MOST_TOKENS = 1000
"""The most tokens of a segment, silent ones included."""
_LONGEST_INITIALS = 8
"""The most tokens of an abbreviation such as "c.-à-d."."""
_LONGEST_UNIT = 4
"""The most letters of an abbreviation before a number, in a language that is not known."""
_INITIALS = re.compile(r"[^\W\d_](?:\.[^\W\d_]{1,2})+|[^\W\d_]\.(?:[^\W\d_]{2,4})|[^\W\d_]{2}\.[^\W\d_]{1,2}")
"""Short parts with stops: "J.K", "p.m", "Ph.D", "f.eks", "π.χ"."""


@frozen
class Segment:
    """A piece of an answer. `text` is shown, spoken and remembered."""

    text: str
    markup: str = ""
    """The text with its speech markup; empty if it has none."""


@define
class _End:
    """A mark that seems to end a sentence, and what has followed so far."""

    mark: str
    index: int
    """Where the segment would be cut: after the mark, and after quotes and brackets that close with it."""
    mark_index: int
    blank: bool = False
    """A blank has followed. The next word decides."""


class Segmenter:
    """Takes text in pieces of any size; gives segments in order. One per answer.

    `language` is that of the call, a tag like "de-DE"; empty if it is not known.
    """

    def __init__(self, language: str = "") -> None:
        self._language = language
        self._reader = Reader()
        self._segments: list[Segment] = []
        self._given = 0
        self._silent = ""
        """Text without sound at the beginning of the answer."""
        self._begin()

    def _begin(self) -> None:
        """Forget the segment that was cut off."""
        self._tokens: list[Token] = []
        self._weight = 0.0
        self._end: _End | None = None
        self._quotes = 0
        """French quotes that are open."""
        self._spelling = ""
        """The open `<spell>` tag: nothing is cut inside it."""
        self._cuts: dict[int, int] = {}
        """Where a segment that is too long can be cut. Lower keys are better places."""

    def push(self, piece: str) -> list[Segment]:
        """Add a piece; returns the segments that it completes. None of them is empty."""
        return self._take(self._reader.push(piece))

    def pause(self) -> list[Segment]:
        """Nothing has come for a while: a sentence that has ended for all that is known ends here.

        Otherwise it would be said only when the next word comes, which may take seconds.
        """
        segments = self._take(self._reader.pause())
        end = self._end
        if end is not None and not self._spelling and self._quotes <= 0 and not self._may_go_on(end):
            self._end_sentence(end)
        segments += self._segments
        self._segments = []
        return segments

    def _may_go_on(self, end: _End) -> bool:
        """What stands before the mark is often followed by more of its sentence."""
        if end.mark == "…" or end.mark.startswith(".."):
            return True
        if end.mark != ".":
            return False
        word = self._word_before(end)
        pack = self._pack(word)
        if len(word) < 2 or _is_number(word) or _is_abbreviation(word, pack) or _is_roman(word, pack):
            return True
        before_number = word.casefold() in pack.before_numbers and word[:1].isupper()
        suffix = word.casefold().endswith(pack.abbreviation_suffixes)
        return before_number or suffix or (not end.blank and self._may_be_address(end, word, pack))

    def _may_be_address(self, end: _End, word: str, pack: Pack) -> bool:
        """Whether "example." may go on with "com": it stands where an address or a name does.

        A sentence waits for that only until the next piece, if the text broke off directly after the stop.
        """
        begins = end.mark_index - 1
        if begins < 1 or not word.isascii() or self._tokens[begins].kind is not Kind.WORD:
            return False
        before = self._words_before(begins)
        named = word[:1].isupper() and bool(before) and not pack.capital_nouns
        return named or bool(before and before[0].casefold() in pack.before_addresses)

    def finish(self) -> list[Segment]:
        """End the answer; returns the last segments.

        An answer without anything to say (an emoji) is one segment without sound.
        """
        segments = self._take(self._reader.finish())
        self._cut(len(self._tokens))
        segments += self._segments
        self._segments = []
        if self._given == 0 and self._silent:
            segments.append(Segment(self._silent))
        return segments

    def _take(self, tokens: list[Token]) -> list[Segment]:
        for token in tokens:
            self._feed(token)
        segments, self._segments = self._segments, []
        return segments

    def _feed(self, token: Token) -> None:
        if self._end is not None and not self._follow(self._end, token):
            return
        if self._ends_before(token):
            self._cut(len(self._tokens))
            if token.kind is Kind.BREAK:
                return
        elif self._is_clause_end(token):
            self._note_cut(0)
            if self._given == 0 and self._weight >= FIRST_CLAUSE and self._long_enough():
                self._cut(len(self._tokens))
        self._note_places(token)
        self._add(token)
        if self._weight > MAX_SEGMENT or len(self._tokens) > _MOST_TOKENS:
            self._cut_somewhere()

    def _add(self, token: Token) -> None:
        """Add the token to the segment."""
        last = self._tokens[-1] if self._tokens else None
        if token is last and token.kind is not Kind.LINE:
            return  # many blanks count as one
        if token.kind is Kind.LINE and last is not None and last.kind is Kind.BLANK:
            self._tokens[-1] = token
        else:
            self._tokens.append(token)
            self._weight += 1 if token.kind in _SPACES else weight(token.shown)
        if token.kind is Kind.TAG and "spell" in token.markup.lower():
            self._spelling = "" if token.markup.startswith("</") else token.markup
        elif token.kind is Kind.MARK:
            self._quotes += (token.shown == "«") - (token.shown == "»")
            if self._is_end_mark(token.shown) and not self._spelling:
                place = len(self._tokens)
                self._end = _End(token.shown, place, place - 1)

    def _is_end_mark(self, mark: str) -> bool:
        return mark in SPACED_ENDS or mark in ENDS or (mark == GREEK_QUESTION and self._script() == "Greek")

    def _script(self) -> str:
        """The script of the last word."""
        word = next((each for each in reversed(self._tokens[-4:]) if each.kind is Kind.WORD), None)
        script = script_of(word.shown[0]) if word is not None else None
        return "" if script is None else script.name

    # --- the end of a sentence ----------------------------------------------------------------------------

    def _follow(self, end: _End, token: Token) -> bool:
        """Take in a token after a mark that may end a sentence. Returns whether `_feed` must still add it."""
        if token.kind in _SPACES and not end.blank:
            if self._waits_for_word(end, token):
                end.blank = True
                self._add(token)
                return False
            return self._end_sentence(end)
        if token.kind in _SPACES:
            if token.kind is Kind.BLANK or self._tokens[-1].kind is not Kind.LINE:
                self._add(token)
                return False
            return self._end_sentence(end)
        room = self._weight < MAX_SEGMENT and len(self._tokens) < _MOST_TOKENS
        if not end.blank and room and self._closes(end, token):
            self._tokens.append(token)
            self._weight += weight(token.shown)
            self._quotes -= token.shown == "»"
            end.index = len(self._tokens)
            if token.kind is Kind.MARK and self._is_end_mark(token.shown):
                end.mark += token.shown
            return False
        if end.blank and token.kind is Kind.SILENT and not token.shown:
            self._add(token)
            return False
        if end.blank and token.shown == "»" and self._quotes > 0:
            self._end = None
            self._add(token)
            self._cut(len(self._tokens))
            return False
        if self._ends_sentence(end, token):
            return self._end_sentence(end)
        self._end = None
        return True

    def _end_sentence(self, end: _End) -> bool:
        self._end = None
        self._cut(end.index)
        return True

    def _closes(self, end: _End, token: Token) -> bool:
        """Whether the token stands between the mark and the blank after it."""
        if token.kind is Kind.SILENT or (token.kind is Kind.TAG and token.markup.startswith("</")):
            return True
        if token.kind is not Kind.MARK:
            return False
        opens = end.mark[-1] in ENDS and token.shown in OPENERS
        return self._is_end_mark(token.shown) or (token.shown in CLOSERS and not opens)

    def _waits_for_word(self, end: _End, token: Token) -> bool:
        """Whether the next word decides if this is the end: after a stop, where there are capitals, an
        abbreviation, or in a French quote."""
        if self._quotes > 0:
            return True
        if end.mark != ".":
            return False
        word = self._word_before(end)
        pack = self._pack(word)
        last = word[-1:]
        cased = token.kind is Kind.BLANK and (last.upper() != last.lower() or last.isdigit())
        return cased or _is_number(word) or _is_abbreviation(word, pack) or pack is UNKNOWN

    def _ends_sentence(self, end: _End, token: Token) -> bool:
        """Whether the mark ends a sentence, judged by the token after it."""
        mark, before = end.mark, self._tokens[end.mark_index - 1] if end.mark_index else None
        if not end.blank:
            if mark in DIGIT_MARKS and before is not None and _digits_meet(before, token):
                return False
            if mark[-1] in ENDS:
                return True
            if mark[-1] == "…":
                return self._script() in ("Han", "Kana")
            if (
                before is not None
                and before.kind is Kind.WORD
                and (_is_chinese(before) or _is_chinese(token))
            ):
                return self._ends_chinese(end, before, token)
            # Two sentences without a blank between them: "It is noon.Then"
            whole = before is not None and before.kind is Kind.WORD and before.shown[-2:].islower()
            capital = token.kind is Kind.WORD and token.shown[:1].isupper() and token.shown[1:2].islower()
            return whole and capital and before is not None and len(before.shown) > 1
        if end.mark != ".":
            return True
        word = self._word_before(end)
        pack, following = self._pack(word), token.shown
        if following[:1].islower() and (_is_number(word) or _is_abbreviation(word, pack)):
            return False
        if _is_number(word) or _is_roman(word, pack):
            first = all(each.kind in _SPACES or not each.shown for each in self._tokens[: end.mark_index - 1])
            return not (first and _is_number(word)) and not self._is_ordinal(end, following, pack)
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

    def _ends_chinese(self, end: _End, before: Token, token: Token) -> bool:
        """Whether a mark of ASCII without a blank after it ends a sentence, next to Chinese or Japanese."""
        if end.mark != ".":
            return token.kind is Kind.WORD
        word = self._word_before(end)
        return _is_chinese(token) and not _is_number(word) and not _is_abbreviation(word, self._pack(word))

    def _is_ordinal(self, end: _End, following: str, pack: Pack) -> bool:
        """Whether the number before the stop is an ordinal: "am 5. Mai", "der 2. Weltkrieg", "XIV. Lajos"."""
        if following.casefold() in pack.after_ordinals or following[:1].islower():
            return True
        if not pack.ordinals or following.casefold() in pack.starters or not following[:1].isalpha():
            return False
        number, before = [*self._words_before(end.mark_index), "", ""][:2]
        return before.casefold() in pack.before_ordinals or not number.isdigit()

    def _words_before(self, index: int) -> list[str]:
        """The words before a place, the nearest one first. Not all of a long segment are looked at."""
        near = self._tokens[max(0, index - _LONGEST_INITIALS) : index]
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
        first = next((each.shown for each in self._tokens if each.kind is Kind.WORD), "")
        return first[:1].islower()

    def _word_before(self, end: _End) -> str:
        """The word before the mark, with the stops and hyphens inside it."""
        parts: list[str] = []
        for token in reversed(self._tokens[max(0, end.mark_index - _LONGEST_INITIALS) : end.mark_index]):
            if token.kind is not Kind.WORD and token.shown not in (".", "-", "°"):
                break
            parts.append(token.shown)
        return "".join(reversed(parts)).lstrip(".-")

    def _pack(self, word: str) -> Pack:
        return pack_for(word, self._language)

    # --- other places -------------------------------------------------------------------------------------

    def _ends_before(self, token: Token) -> bool:
        """Whether a paragraph, an item or a break ends the segment here."""
        if not self._tokens or self._spelling:
            return token.kind is Kind.BREAK
        last = self._tokens[-1]
        if token.kind is Kind.BLANK:
            return self._ends_long_clause(last)
        blank_line = token.kind is Kind.LINE and last.kind is Kind.LINE
        return blank_line or token.kind in (Kind.BREAK, Kind.ITEM, Kind.LINE_END)

    def _ends_long_clause(self, last: Token) -> bool:
        """Whether this blank ends a sentence, in Thai and similar scripts, which have no stops."""
        if last.kind is not Kind.WORD or not _divides_clauses(last):
            return False
        end = "".join(each.shown for each in self._tokens[-6:] if each.kind is Kind.WORD)
        return self._weight >= _LONG_CLAUSE or end.endswith(self._pack(end).finals or ("\0",))

    def _is_clause_end(self, token: Token) -> bool:
        last = self._tokens[-1] if self._tokens else None
        if last is None or self._spelling:
            return False
        if last.kind is Kind.MARK:
            if last.shown in SPACED_CLAUSES:
                before = self._tokens[-2] if len(self._tokens) > 1 else last
                return token.kind in _SPACES or (_is_chinese(before) and _is_chinese(token))
            numbers = len(self._tokens) > 1 and _digits_meet(self._tokens[-2], token)
            return last.shown in CLAUSES and token.shown not in CLOSERS and not numbers
        return token.kind is Kind.BLANK and last.kind is Kind.WORD and _divides_clauses(last)

    def _long_enough(self) -> bool:
        return weight(shown(self._tokens)) >= FIRST_CLAUSE

    def _note_places(self, token: Token) -> None:
        """Note whether a segment that gets too long could be cut before this token, and how well."""
        if not self._tokens or self._spelling:
            return
        last = self._tokens[-1]
        if token.kind in _SPACES:
            dash = last.shown == "-" and len(self._tokens) > 1 and self._tokens[-2].kind in _SPACES
            self._note_cut(1 if dash or last.shown in (")", "]") else 3)
        elif token.kind is Kind.WORD and last.kind in _SPACES:
            if token.shown.casefold() in self._pack(token.shown).conjunctions:
                self._note_cut(2)
        elif token.kind is not Kind.MARK and token.kind is not Kind.SILENT:
            self._note_cut(4)

    def _note_cut(self, tier: int) -> None:
        if self._weight >= (FIRST_CLAUSE if tier == 0 else MAX_SEGMENT / 3):
            self._cuts[tier] = len(self._tokens)

    def _cut_somewhere(self) -> None:
        tier = min(self._cuts, default=None)
        self._cut(max(1, len(self._tokens) - 1) if tier is None else self._cuts[tier])

    # --- cutting ------------------------------------------------------------------------------------------

    def _cut(self, index: int) -> None:
        """Make a segment of the tokens before `index`. The others begin the next one."""
        tokens, rest, spelling = self._tokens[:index], self._tokens[index:], self._spelling
        if spelling and rest:
            tokens.append(Token(Kind.TAG, markup="</spell>"))
            rest.insert(0, Token(Kind.TAG, markup=spelling))
        self._begin()
        text = shown(tokens)
        # Text without letters and digits has no sound.
        if any(has_sound(token.said) for token in tokens):
            self._segments.append(Segment(text, marked(tokens)))
            self._given += 1
        elif self._given == 0 and len(self._silent) < MAX_SEGMENT:
            self._silent = f"{self._silent} {text}".strip()
        for token in rest:
            self._feed(token)


_SPACES = frozenset({Kind.BLANK, Kind.LINE, Kind.LINE_END})


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


def _is_chinese(token: Token) -> bool:
    """Whether the token is of a script that needs no blank after a mark: Chinese or Japanese."""
    script = script_of(token.shown[0]) if token.kind is Kind.WORD else None
    return script is not None and script.name in ("Han", "Kana")


def _digits_meet(before: Token, after: Token) -> bool:
    return before.shown[-1:].isdigit() and after.shown[:1].isdigit()


def _divides_clauses(word: Token) -> bool:
    script = script_of(word.shown[0])
    return script is not None and script.blank_is_clause
