"""Emphasis and other marks of Markdown in pairs: `*`, `_`, `~`, `#` and backticks."""

from __future__ import annotations

import re

from machines.language.markup.place import Place
from machines.language.markup.tokens import SILENT, Found, Kind, Token, plain
from machines.language.markup.words import ADDRESS, LONGEST_RUN, RUN, address_end
from machines.language.scripts import OPENERS, UNSPACED

_LONGEST_MARKS = 64
_PARTNERS = {
    "*": re.compile(r"(?:(?<=\d)\*(?!\d)|(?<=[^\d\s*])\*)(?!\*)"),
    "_": re.compile(r"(?<=[^\s_])_(?!\w)"),
}
"""What closes a single mark of Markdown: at the end of a word, and for `*` also within one."""
_LONGEST_EMPHASIS = 200
_MARKDOWN_RUN = re.compile(rf"([*_~#`])\1{{0,{_LONGEST_MARKS}}}")
_UNSPACED = re.compile(f"[{UNSPACED}]")


def mark(place: Place) -> Found | None:
    """`*` `_` `~` `#` or a backtick: markup in pairs at words' edges, elsewhere the character itself."""
    window, whole = place.ahead(_LONGEST_MARKS + 8)
    run = _MARKDOWN_RUN.match(window)
    assert run is not None, "only called at such a mark"
    rest = window[run.end() :]
    if not whole and not rest.strip(" "):
        return None
    if run[0] == "_" and not place.before.isalnum():
        window, whole = place.ahead(LONGEST_RUN)
        around = RUN.match(window)
        if around is not None and around.end() == len(window) and not whole:
            return None
        address = ADDRESS.match(around[0]) if around is not None else None
        if address is not None and window[(end := address_end(address[0])) : end + 1] != "_":
            return end, [plain(Kind.ADDRESS, address[0][:end])]
    marks_up = _marks_up(place, run[0], rest[:1])
    if marks_up is None:
        return None
    return run.end(), [SILENT if marks_up else _meant(place, run[0], rest)]


def _meant(place: Place, run: str, rest: str) -> Token:
    if run == "*" and rest.lstrip(" ")[:1].isdigit() and place.solid.isdigit():
        return Token(Kind.MARK, "*", "×")
    return plain(Kind.MARK, run)


def _marks_up(place: Place, run: str, after: str) -> bool | None:
    """Whether these characters are markup; None if more text must come first."""
    mark, before = run[0], place.before
    apart_before, apart_after = before in ("", " ", "\n"), after in ("", " ", "\n")
    if mark == "`":
        return True
    if mark == "#":
        return len(run) > 1 and apart_before
    if mark == "~" and len(run) == 1:
        return False
    if apart_before and (apart_after or after in ".,;:!?)"):
        return len(run) > 1
    if before.isalnum() and after.isalnum():  # within a word
        if mark != "_" and (_UNSPACED.match(before) or _UNSPACED.match(after)):
            return not (before.isdigit() and after.isdigit())
        return mark in place.emphasised and mark != "_"
    opens = not apart_after and not before.isalnum() and mark not in place.emphasised
    if mark == "_" and opens and not (apart_before or before in OPENERS or before in "\"'*_~`"):
        opens = False
    if opens:
        partner = len(run) > 1 or _has_partner(place, mark)
        if partner:
            place.emphasised.add(mark)
        return partner
    closes = not apart_before and not after.isalnum()
    if closes and (len(run) > 1 or mark in place.emphasised):
        place.emphasised.discard(mark)
        return True
    return False


def _has_partner(place: Place, mark: str) -> bool | None:
    """Whether a single mark is closed in its paragraph; None if more text must come first."""
    window, whole = place.ahead(_LONGEST_EMPHASIS)
    line, newline, _ = window[1:].partition("\n" if place.item_line else "\n\n")
    found = _PARTNERS[mark].search(line)
    whole = whole or bool(newline)
    if found is not None and (whole or found.end() < len(line)):
        return True
    return False if whole else None
