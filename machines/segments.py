"""Cuts a stream of generated text into segments that can be spoken, as early as they sound natural.

A segment ends at the marker `||BREAK||` where the model sets one, otherwise at the end of a sentence, an item
of a list or a paragraph. `language/sentence_ends.py` says where a sentence ends, `language/markup/` what is
markup. The first segment may end at a clause already, so that the caller hears something soon. No segment is
longer than `MAX_SEGMENT`.

The segments do not depend on how the text was divided. Each token is looked at a few times at most.
"""

from __future__ import annotations

from attrs import frozen

from machines.language.markup.reader import Reader
from machines.language.markup.texts import marked, shown
from machines.language.markup.tokens import SPACES, Kind, Token
from machines.language.pack import Pack
from machines.language.packs import pack_for
from machines.language.scripts import (
    CLAUSES,
    CLOSERS,
    SPACED_CLAUSES,
    has_sound,
    script_of,
    weight,
)
from machines.language.sentence_ends import SentenceEnd, digits_meet, is_chinese, is_end_mark

BREAK = "||BREAK||"
FIRST_CLAUSE = 25
"""The least weight of a first segment that ends at a clause (measured: shorter ones sound chopped)."""
MAX_SEGMENT = 300
"""Weight: the number of characters in Latin script. The reference server has this bound."""
_LONG_CLAUSE = 50
"""From this weight on, a blank ends a segment in scripts that divide clauses by blanks."""
_MOST_TOKENS = 1000
"""The most tokens of a segment, silent ones included."""


@frozen
class Segment:
    """A piece of an answer. `text` is shown, spoken and remembered."""

    text: str
    markup: str = ""
    """The text with its speech markup; empty if it has none."""


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
        self._end: SentenceEnd | None = None
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
        if end is not None and not self._spelling and self._quotes <= 0 and not end.may_go_on():
            self._end_sentence(end)
        segments += self._segments
        self._segments = []
        return segments

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
            self._weight += 1 if token.kind in SPACES else weight(token.shown)
        if token.kind is Kind.TAG and "spell" in token.markup.lower():
            self._spelling = "" if token.markup.startswith("</") else token.markup
        elif token.kind is Kind.MARK:
            self._quotes += (token.shown == "«") - (token.shown == "»")
            if is_end_mark(token.shown, self._tokens) and not self._spelling:
                place = len(self._tokens)
                self._end = SentenceEnd(self._tokens, self._language, token.shown, place, place - 1)

    # --- the end of a sentence ----------------------------------------------------------------------------

    def _follow(self, end: SentenceEnd, token: Token) -> bool:
        """Take in a token after a mark that may end a sentence. Returns whether `_feed` must still add it."""
        if token.kind in SPACES and not end.blank:
            if self._quotes > 0 or end.waits_for_word(token):
                end.blank = True
                self._add(token)
                return False
            return self._end_sentence(end)
        if token.kind in SPACES:
            if token.kind is Kind.BLANK or self._tokens[-1].kind is not Kind.LINE:
                self._add(token)
                return False
            return self._end_sentence(end)
        room = self._weight < MAX_SEGMENT and len(self._tokens) < _MOST_TOKENS
        if not end.blank and room and end.closes(token):
            self._tokens.append(token)
            self._weight += weight(token.shown)
            self._quotes -= token.shown == "»"
            end.index = len(self._tokens)
            if token.kind is Kind.MARK and is_end_mark(token.shown, self._tokens):
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
        if end.ends_sentence(token):
            return self._end_sentence(end)
        self._end = None
        return True

    def _end_sentence(self, end: SentenceEnd) -> bool:
        self._end = None
        self._cut(end.index)
        return True

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

    def _pack(self, word: str) -> Pack:
        return pack_for(word, self._language)

    def _is_clause_end(self, token: Token) -> bool:
        last = self._tokens[-1] if self._tokens else None
        if last is None or self._spelling:
            return False
        if last.kind is Kind.MARK:
            if last.shown in SPACED_CLAUSES:
                before = self._tokens[-2] if len(self._tokens) > 1 else last
                return token.kind in SPACES or (is_chinese(before) and is_chinese(token))
            numbers = len(self._tokens) > 1 and digits_meet(self._tokens[-2], token)
            return last.shown in CLAUSES and token.shown not in CLOSERS and not numbers
        return token.kind is Kind.BLANK and last.kind is Kind.WORD and _divides_clauses(last)

    def _long_enough(self) -> bool:
        return weight(shown(self._tokens)) >= FIRST_CLAUSE

    def _note_places(self, token: Token) -> None:
        """Note whether a segment that gets too long could be cut before this token, and how well."""
        if not self._tokens or self._spelling:
            return
        last = self._tokens[-1]
        if token.kind in SPACES:
            dash = last.shown == "-" and len(self._tokens) > 1 and self._tokens[-2].kind in SPACES
            self._note_cut(1 if dash or last.shown in (")", "]") else 3)
        elif token.kind is Kind.WORD and last.kind in SPACES:
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


def _divides_clauses(word: Token) -> bool:
    script = script_of(word.shown[0])
    return script is not None and script.blank_is_clause
