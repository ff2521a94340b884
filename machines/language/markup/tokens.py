"""The tokens that a model's text is read as: how each is shown, and how it is said."""

from __future__ import annotations

import enum

from attrs import frozen


class Kind(enum.Enum):
    """The kinds of tokens that cutting a text tells apart."""

    WORD = "word"
    """Letters or digits; one cluster in scripts without blanks."""
    ADDRESS = "address"
    MARK = "mark"
    """A character of punctuation."""
    SILENT = "silent"
    """Not said: markup, an emoji, a citation."""
    TAG = "tag"
    """Speech markup."""
    BLANK = "blank"
    LINE = "line"
    """The end of a line that may go on in the next."""
    LINE_END = "line_end"
    """The end of a heading, a list's item or a table's row."""
    ITEM = "item"
    """A heading, an item of a list or a table's row begins; `shown` is its number, if it has one."""
    BREAK = "break"
    """The model wants the text cut here."""


@frozen
class Token:
    """A piece of text."""

    kind: Kind
    shown: str = ""
    said: str = ""
    markup: str = ""
    """Speech markup as it was written."""


BLANK, LINE, LINE_END = Token(Kind.BLANK), Token(Kind.LINE), Token(Kind.LINE_END)
SILENT, ITEM, BREAK = Token(Kind.SILENT), Token(Kind.ITEM), Token(Kind.BREAK)
SPACES = frozenset({Kind.BLANK, Kind.LINE, Kind.LINE_END})
"""What stands between words."""

Found = tuple[int, list[Token]]
"""The length of what stands at a place in the text, and its tokens."""


def plain(kind: Kind, text: str) -> Token:
    """A token that is shown and said as it is written."""
    return Token(kind, text, text)
