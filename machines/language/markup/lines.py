"""Markdown at the beginning of a line: headings, items, quotes, fences, rules, and rows of tables; bars."""

from __future__ import annotations

import re

from machines.language.markup.fences import Fence
from machines.language.markup.place import Place
from machines.language.markup.tokens import BREAK, ITEM, LINE_END, SILENT, Found, Kind, Token, plain

_FENCE = re.compile(r"(?:```+|~~~+)[ ]?[\w+#.-]{0,20}[ ]*\n")
_FENCE_SO_FAR = re.compile(r"(?:`+|~+)[ ]?[\w+#.-]{0,20}[ ]*$")
_RULE = re.compile(r"([-*_=─━])(?:[ ]*\1){2,80}[ ]*(?=\n|$)")
_RULE_SO_FAR = re.compile(r"([-*_=─━])(?:[ ]*\1){0,80}[ ]*$")
_TABLE_RULE = re.compile(r"(?:\||:?-+:?[ ]*\|)[ :|-]*-[ :|-]*(?=\n|$)")
_TABLE_RULE_SO_FAR = re.compile(r"(?:\||:?-*:?[ ]*(?:\||$))[ :|-]{0,200}$")
_DEFINITION = re.compile(r"\[([^\[\]\n]{1,60})\]:[ ]+(<?(?:https?://|www\.|mailto:|[/#])[^\n]*(?=\n|$))?")
_DEFINITION_SO_FAR = re.compile(r"\[[^\[\]\n]{0,60}(?:\](?::[ ]*<?[a-z:/.#]{0,9})?)?$")
_HEADING = re.compile(r"#{1,6}[ ]+(?=[^\s\d])")
_BULLET = re.compile(r"([-+*•‣◦–—])[ ]+(?:\[[ xX]\][ ]+)?(?=([^\s]))")
_NUMBER = re.compile(r"(\d{1,3}[.)])(?=[ ]+\S)")
_QUOTE = re.compile(r"(?:>[ ]?){1,5}(?=[^\s\d>=])")
_LINE_START_SO_FAR = re.compile(
    r"(?:#{1,6}[ ]{0,9}|[-+*•‣◦–—][ ]{0,9}(?:\[(?:[ xX]\]?[ ]{0,9})?)?"
    r"|\d{1,3}(?:[.)][ ]{0,9})?|(?:>[ ]?){1,5})$"
)
_BREAK = re.compile(r"\|\|[ ]{0,3}BREAK[ ]{0,3}\|\|", re.IGNORECASE)
_BREAK_SO_FAR = re.compile(
    r"\|(?:\|[ ]{0,3}(?:B(?:R(?:E(?:A(?:K(?:[ ]{0,3}\|?)?)?)?)?)?)?)?\s*$", re.IGNORECASE
)


def at_line_start(place: Place) -> Found | None:
    """Read Markdown at the beginning of a line; length 0 if there is none."""
    window, whole = place.ahead(200)
    undecided = (_FENCE_SO_FAR, _RULE_SO_FAR, _TABLE_RULE_SO_FAR, _LINE_START_SO_FAR, _DEFINITION_SO_FAR)
    if not whole and any(each.match(window) for each in undecided):
        return None
    if found := _FENCE.match(window):
        place.code = Fence(window[:3])
        return found.end(), [LINE_END]
    if found := _RULE.match(window) or _TABLE_RULE.match(window):
        place.line_start, place.item_line = False, True
        return found.end(), [ITEM]
    if found := _DEFINITION.match(window):
        if found[2] and found.end() == len(window) and not whole:
            return None
        if found[2] or found[1][0] == "^":
            place.line_start, place.item_line = False, True
            return found.end(), [ITEM]
    bullets, place.bullet_lines = place.bullet_lines, False
    if found := _HEADING.match(window):
        place.line_start, place.item_line = False, True
        return found.end(), [ITEM]
    if found := _BULLET.match(window):
        # "- 5 degrees" is cold, unless it stands in a list.
        if not found[2].isdigit() or found[1] in "*•‣◦" or bullets:
            place.line_start, place.item_line, place.bullet_lines = False, True, True
            return found.end(), [ITEM]
    elif found := _NUMBER.match(window):
        place.line_start, place.item_line = False, True
        return found.end(), [Token(Kind.ITEM, found[1], found[1])]
    elif found := _QUOTE.match(window):
        return found.end(), [SILENT]
    elif window[0] == "|" and not _BREAK_SO_FAR.match(window) and not _BREAK.match(window):
        place.line_start, place.item_line, place.table = False, True, True
        return 1, [ITEM]
    return 0, []


def bar(place: Place) -> Found | None:
    """`|`: the model's marker for a break, the edge of a table's cell, or a bar."""
    window, whole = place.ahead(40)
    if found := _BREAK.match(window):
        return found.end(), [BREAK]
    if found := _BREAK_SO_FAR.match(window):
        return (found.end(), [SILENT]) if place.final else None if not whole else (1, [SILENT])
    if not place.table:
        following = window[1:2]
        if not following and not whole:
            return None
        apart = not place.before.isalnum() or not following.isalnum()
        return 1, [Token(Kind.MARK, "|", "" if apart else ", ")]
    rest = window[1:].lstrip(" ")
    last = not rest or rest[0] in "\n|"
    if last or place.before in "|.,;:!?":
        return 1, [SILENT]
    return 1, [SILENT, plain(Kind.MARK, ",")]
