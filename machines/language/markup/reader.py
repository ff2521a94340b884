"""Reads a text that comes in pieces, place by place: each module beside this one reads what begins there."""

from __future__ import annotations

import re
from collections.abc import Callable

from machines.language.markup.brackets import bracket
from machines.language.markup.emphasis import mark
from machines.language.markup.fences import Fence
from machines.language.markup.lines import at_line_start, bar
from machines.language.markup.place import Place
from machines.language.markup.tags import entity, tag
from machines.language.markup.tex import backslash, dollar, power
from machines.language.markup.tokens import BLANK, LINE, LINE_END, Found, Token
from machines.language.markup.words import arrow, other, word

_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u180e\u200b\u200e\u200f"
    "\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb]"
)
_OTHER_BLANKS = re.compile("[\t\x0b\x0c\r\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_OTHER_LINES = re.compile("[\x85\u2028\u2029]")
_LINES = re.compile(r"\n{2,}")
_LAST_WORD = re.compile(r"[^\W\d_]{2,}(?:['-][^\W\d_]+)*[.!?]+[\"')\]]*")
"""A word and what ends its sentence."""
_MOST_OF_LINE = 500
"""Characters of a line of code that are read at once."""
_READ: dict[str, Callable[[Place], Found | None]] = {
    "<": tag,
    "[": bracket,
    "!": bracket,
    "【": bracket,
    "|": bar,
    "&": entity,
    "\\": backslash,
    "$": dollar,
    "^": power,
    "-": arrow,
    "=": arrow,
    **dict.fromkeys("*_~#`", mark),
}
"""What may begin with a character that is no letter or digit."""


class Reader:
    """Reads the tokens of one text that comes in pieces. `inline`: the text does not begin a line."""

    def __init__(self, *, inline: bool = False) -> None:
        self._place = Place(not inline, _inner)

    def push(self, piece: str) -> list[Token]:
        """Add a piece; returns the tokens that are certain now."""
        piece = _OTHER_LINES.sub("\n", _OTHER_BLANKS.sub(" ", _INVISIBLE.sub("", piece)))
        self._place.text = self._place.text[self._place.at :] + piece
        self._place.at = 0
        return self._read()

    def pause(self) -> list[Token]:
        """Nothing has come for a while: gives a word that ends a sentence, if that is all that is kept.

        It was kept since an address may begin like this ("noon." like "noon.example").
        """
        if self._place.code is not None or not _LAST_WORD.fullmatch(self._place.text, self._place.at):
            return []
        self._place.final = True
        tokens = self._read()
        self._place.final = False
        return tokens

    def finish(self) -> list[Token]:
        """End the text; returns the last tokens."""
        self._place.final = True
        tokens = self._read()
        if self._place.code is not None:
            tokens += _inner(self._place.code.said)
            self._place.code = None
        return tokens

    def _read(self) -> list[Token]:
        tokens: list[Token] = []
        place = self._place
        while place.at < len(place.text):
            found = _next(place) if place.code is None else _next_of_code(place, place.code)
            if found is None:
                break
            place.pass_by(found)
            tokens += found[1]
        return tokens


def _next(place: Place) -> Found | None:
    """The length of what stands here, and its tokens; None if more text must come first."""
    character = place.text[place.at]
    if character == "\n":
        return _line_end(place)
    if character == " ":
        return 1, [BLANK]
    if place.line_start:
        found = at_line_start(place)
        if found is None or found[0]:
            return found
    place.line_start = False
    if character.isalnum():
        return word(place)
    return _READ.get(character, other)(place)


def _line_end(place: Place) -> Found:
    end = LINE_END if place.item_line else LINE
    lines = _LINES.match(place.text, place.at)
    if lines is not None or place.item_line:
        place.emphasised.clear()
    place.line_start, place.item_line, place.table = True, False, False
    return (1, [end]) if lines is None else (lines.end() - place.at, [end, LINE])


def _next_of_code(place: Place, code: Fence) -> Found | None:
    """The next line in a fence, or what has come of it; None if more text must come first."""
    rest = place.text[place.at : place.at + _MOST_OF_LINE]
    newline = rest.find("\n")
    if not code.within_line:
        stripped = rest.lstrip(" ")
        if len(stripped) < 3 and newline < 0 and not place.final:
            return None
        if stripped.startswith(code.mark):
            end = rest.find(code.mark) + 3
            place.code, place.line_start = None, False
            return end, [*_inner(code.said), LINE_END]
    if newline < 0 and not code.lines and len(rest) < _MOST_OF_LINE and not place.final:
        return None
    code.within_line = newline < 0
    end = newline + 1 if newline >= 0 else len(rest)
    code.add(rest[:end])
    place.before = "\n"
    return end, []


def _inner(text: str) -> list[Token]:
    return tokens_of(text, inline=True)


def tokens_of(text: str, *, inline: bool = False) -> list[Token]:
    """The tokens of a whole text. `inline`: the text does not begin a line."""
    reader = Reader(inline=inline)
    return [*reader.push(text), *reader.finish()]


def visible(text: str) -> str:
    """The text without characters that are shown nowhere, and without those that turn the direction."""
    return _INVISIBLE.sub("", text)
