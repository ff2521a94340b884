"""Brackets: links, images, references to them, and citations."""

from __future__ import annotations

import re

from machines.language.markup.place import Place
from machines.language.markup.tokens import SILENT, Found, Kind, plain

_LINK = re.compile(
    r"!?\[([^\[\]\n]{0,200})\]"
    r'\(([^()\s]{0,500}(?:\([^()\s]{0,200}\)[^()\s]{0,200})?)(?:[ ]+"[^"\n]{0,200}")?\)'
)
_REFERENCE = re.compile(r"!?\[([^\[\]\n]{1,200})\]\[[^\[\]\n]{0,60}\]")
_LINK_SO_FAR = re.compile(r"!?\[[^\[\]\n]{0,200}(?:\](?:\([^\n]{0,500}|\[[^\[\]\n]{0,60})?)?$")
_CITATION = re.compile(r"\[\^?\d{1,3}(?:[,;–-][ ]?\d{1,3})*\]|【[^】\n]{0,60}†[^】\n]{0,60}】|【\d{1,3}】")
_CITATION_SO_FAR = re.compile(r"【[^】\n]{0,120}$")


def bracket(place: Place) -> Found | None:
    """`[`, `![` or `【`: a link, an image, a citation, or a bracket."""
    window, whole = place.ahead(1200)
    if found := _LINK.match(window):
        label = found[1]
        return found.end(), [SILENT] if label.strip("^").isdigit() else place.inner(label)
    if not place.word_before and (found := _REFERENCE.match(window)):
        label = found[1]
        return found.end(), [SILENT] if label.strip("^").isdigit() else place.inner(label)
    if not whole and (_LINK_SO_FAR.match(window) or _CITATION_SO_FAR.match(window) or window == "!"):
        return None
    if (found := _CITATION.match(window)) and not _is_index(place, found[0]):
        return found.end(), [SILENT]
    return 1, [plain(Kind.MARK, window[0])]


def _is_index(place: Place, bracketed: str) -> bool:
    """Whether a number in brackets belongs to the name before it. Sources are counted from 1."""
    name = place.word_before if bracketed[0] == "[" else ""
    return bool(name) and (bracketed == "[0]" or len(name) == 1)
