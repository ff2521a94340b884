"""Words, addresses, emojis, drawings and arrows."""

from __future__ import annotations

import re

from machines.language.markup.place import Place
from machines.language.markup.tokens import SILENT, Found, Kind, Token, plain
from machines.language.scripts import CLOSERS, MARKS, OPENERS, UNSPACED

_LONGEST_WORD = 64
LONGEST_RUN = 500
"""Characters of ASCII without a blank that are searched for an address."""
RUN = re.compile(r"[A-Za-z0-9._%+\-:/?#@&=~,;!$'()*]+")
ADDRESS = re.compile(
    r"(?:(?:https?|ftp|wss?)://|www\.)[A-Za-z0-9._%+\-:/?#@&=~,;!$'()*]+"
    r"|(?:mailto:)?[A-Za-z0-9._%+\-]+@[A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)*"
)
_WORD = re.compile(
    rf"(?=[^\W_])[{UNSPACED}][{MARKS}]*|(?:(?![{UNSPACED}])[^\W_][{MARKS}]*){{1,{_LONGEST_WORD}}}"
)
_ARROW = re.compile(
    "[\u2190\u2192\u2194\u21a6\u21d0\u21d2\u21d4\u2794\u2799\u279c\u27a1\u27f5-\u27fa]\ufe0f?"
    "|-{1,3}>|={1,3}>|<-{1,2}>|<={1,2}>"
)
_ARROW_SO_FAR = re.compile("<?[-=]{0,3}$")
_EMOJI = re.compile(
    "[\u2190-\u21ff\u2300-\u23ff\u25a0-\u27bf\u2b00-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff]"
    "[\ufe00-\ufe0f\u200d\u20e3\U000e0020-\U000e007f\u2190-\u21ff\u2300-\u23ff\u25a0-\u27bf\u2b00-\u2bff"
    "\U0001f000-\U0001faff]{0,32}"
)
_DRAWING = re.compile("[\u2500-\u259f]{1,64}|[\ufe00-\ufe0f\u200c\u200d\u20e3\U000e0020-\U000e007f]")


def word(place: Place) -> Found | None:
    """Read a word or an address."""
    if place.text[place.at].isascii() and not place.before.isalnum():
        window, whole = place.ahead(LONGEST_RUN)
        run = RUN.match(window)
        if run is not None:
            if run.end() == len(window) and not whole:
                return None
            if address := ADDRESS.match(run[0]):
                length = address_end(address[0])
                return length, [plain(Kind.ADDRESS, address[0][:length])]
    window, whole = place.ahead(4 * _LONGEST_WORD)
    found = _WORD.match(window)
    if found is None:  # a number such as ½
        return 1, [plain(Kind.WORD, window[0])]
    if found.end() == len(window) and not whole:
        return None
    return found.end(), [plain(Kind.WORD, found[0])]


def other(place: Place) -> Found | None:
    """A character that begins nothing else: an arrow, an emoji, a drawing, or punctuation."""
    window, whole = place.ahead(40)
    if _ARROW.match(window):
        return arrow(place)
    if found := _EMOJI.match(window):
        if found.end() == len(window) and not whole:
            return None
        return found.end(), [Token(Kind.SILENT, found[0])]
    if found := _DRAWING.match(window):
        return found.end(), [SILENT]
    return 1, [plain(Kind.MARK, window[0])]


def arrow(place: Place) -> Found | None:
    """An arrow, or a character that may begin one: a pause between words, and nothing elsewhere."""
    window, whole = place.ahead(40)
    found = _ARROW.match(window)
    if found is None:
        return None if not whole and _ARROW_SO_FAR.match(window) else (1, [plain(Kind.MARK, window[0])])
    rest = window[found.end() :]
    if not rest.lstrip(" ") and not whole:
        return None
    following = rest.lstrip(" ")[:1]
    shown = found[0]
    if not place.solid or not (place.solid.isalnum() or place.solid in CLOSERS or place.solid in "*_`°%"):
        return found.end(), [Token(Kind.SILENT, shown)]
    if not following or not (following.isalnum() or following in OPENERS or following in "*_`$€£<"):
        return found.end(), [Token(Kind.SILENT, shown)]
    if rest[:1] == " ":
        return found.end(), [SILENT, Token(Kind.MARK, shown, ",")]
    return found.end(), [SILENT, Token(Kind.MARK, shown, ", ")]


def address_end(address: str) -> int:
    """The length of an address without the punctuation that follows it in a sentence."""
    while address and (
        address[-1] in ".,;:!?'*_~-" or (address[-1] == ")" and address.count("(") < address.count(")"))
    ):
        address = address[:-1]
    return len(address)
