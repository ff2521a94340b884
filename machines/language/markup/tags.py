"""Tags of HTML and SSML, markup of voices, comments, and entities."""

from __future__ import annotations

import html
import re

from machines.language.markup.place import Place
from machines.language.markup.tokens import BLANK, LINE, SILENT, Found, Kind, Token, plain
from machines.language.markup.words import arrow

_LONGEST_TAG = 260
_SPEECH_TAGS = ("emotion", "speed", "volume", "break", "spell")
"""Markup for voices that understand it. It is not sent to the others."""
_BLOCKS = frozenset(
    ("p", "div", "li", "ul", "ol", "tr", "table", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "pre")
)
_HTML = _BLOCKS | frozenset(
    """
    a abbr address article aside audio b bdi bdo big blockquote body button canvas caption center
    cite code col dd del details dfn dl dt em embed figcaption figure font footer form head header
    html i iframe img input ins kbd label legend link main mark meta nav noscript object option
    picture q s samp script section select small source span strike strong style sub summary sup svg
    tbody td template textarea tfoot th thead time title track tt u var video wbr speak prosody
    say-as phoneme emphasis voice lang
    """.split()  # noqa: SIM905
)
"""The names of HTML, and the last seven of SSML."""
_ATTRIBUTE = r"""\s+[\w:.-]+\s*=\s*(?:"[^"<>\n]*"|'[^'<>\n]*'|[^\s"'<>]+)"""
_TAG = re.compile(rf"</?([A-Za-z][\w:-]*)(?:{_ATTRIBUTE})*\s*/?>")
_TAG_SO_FAR = re.compile(
    rf"""<(?:/?(?:[A-Za-z][\w:-]*(?:(?:{_ATTRIBUTE})*\s*(?:\s[\w:.-]+(?:\s*=\s*(?:"[^"<>\n]*|'[^'<>\n]*"""
    r"""|[^\s"'<>]*)?)?)?\s*/?)?)?)?$"""
)
_HALF_TAGS = "|".join(name[:length] for name in _SPEECH_TAGS for length in range(2, len(name) + 1))
_COMMENT = re.compile(r"<!--[^\n]*?-->")
_AUTOLINK = re.compile(r"<((?:https?://|mailto:)[^\s<>]+|[^\s<>@]+@[^\s<>]+)>")
_AUTOLINK_SO_FAR = re.compile(r"<[A-Za-z][^\s<>]*$")
_ENTITY = re.compile(r"&(?:#\d{1,6}|#[xX][0-9a-fA-F]{1,5}|[A-Za-z]{2,8});")
_ENTITY_SO_FAR = re.compile(r"&#?[0-9A-Za-z]{0,8}$")


def tag(place: Place) -> Found | None:
    """`<`: a tag, an address, or less than."""
    window, whole = place.ahead(_LONGEST_TAG)
    if window[1:2] in ("-", "="):
        return arrow(place)
    if found := _AUTOLINK.match(window):
        return found.end(), [plain(Kind.ADDRESS, found[1])]
    if found := _COMMENT.match(window):
        return found.end(), [SILENT]
    if found := _TAG.match(window):
        name = found[1].lower()
        if name in _SPEECH_TAGS:
            return found.end(), [Token(Kind.TAG, markup=found[0])]
        if name in _HTML or window[1] == "/":
            return found.end(), [LINE if name in _BLOCKS else SILENT]
        # A tag that nobody knows may wrap the answer, or words of it. Elsewhere it is something to be
        # filled in, or part of a name.
        after = window[found.end() : found.end() + 1]
        if not place.before.isalnum():
            if not after and not whole:
                return None
            if after.isalnum() or (place.before in ("", "\n") and after != " "):
                return found.end(), [SILENT]
        return 1, [plain(Kind.MARK, "<")]
    cut_off = _TAG_SO_FAR.match(window)
    if not whole and (cut_off or _AUTOLINK_SO_FAR.match(window) or window.startswith("<!")):
        return None
    if place.final and cut_off and re.match(rf"</?(?:{_HALF_TAGS})\b", window, re.IGNORECASE):
        return len(window), [SILENT]
    return 1, [plain(Kind.MARK, "<")]


def entity(place: Place) -> Found | None:
    """`&`: the character that an entity means, or the sign itself."""
    window, whole = place.ahead(12)
    found = _ENTITY.match(window)
    if found is None:
        return None if not whole and _ENTITY_SO_FAR.match(window) else (1, [plain(Kind.MARK, "&")])
    meant = html.unescape(found[0])
    if meant.isspace():
        return found.end(), [BLANK]
    following = window[found.end() : found.end() + 1]
    if not following and not whole:
        return None
    # Do not show what would be markup if somebody read the text again.
    silent = meant == found[0] or (meant in "<&" and (following.isalpha() or following in "/#!"))
    return found.end(), [SILENT if silent and following else plain(Kind.MARK, meant)]
