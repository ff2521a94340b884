"""The place that is read in a text: what stood before it, and what has come of what follows."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field

from machines.language.markup.fences import Fence
from machines.language.markup.tokens import SILENT, Found, Kind, Token


@define
class Place:
    """What is known where the text is read. What reads it returns None if more text must come first."""

    line_start: bool
    inner: Callable[[str], list[Token]]
    """Reads a text within the text, such as that of a link."""
    text: str = ""
    at: int = 0
    final: bool = False
    """No more text comes."""
    before: str = ""
    """The character before the place that is read, of those that are shown."""
    solid: str = ""
    """The last character that is not a blank."""
    item_line: bool = False
    """The line is a heading, an item of a list or a row of a table."""
    table: bool = False
    bullet_lines: bool = False
    """The line before was an item with a bullet."""
    word_before: str = ""
    """The word that ends here; empty where none does."""
    emphasised: set[str] = field(factory=set)
    """Marks of Markdown that are open."""
    code: Fence | None = None

    def ahead(self, most: int) -> tuple[str, bool]:
        """At most `most` characters from here, and whether they are final: later text cannot add to them."""
        window = self.text[self.at : self.at + most]
        return window, self.final or len(window) == most

    def pass_by(self, found: Found) -> None:
        """Go on behind what stands here. What is not shown is as if it were not there."""
        length, tokens = found
        silent = bool(tokens) and all(token is SILENT for token in tokens)
        if length and not silent:
            blank = bool(tokens) and tokens[-1].kind in (Kind.BLANK, Kind.BREAK, Kind.LINE)
            last = self.text[self.at + length - 1]
            self.before = " " if blank and last != "\n" else last
            self.solid = self.solid if self.before == " " else self.before
            self.word_before = tokens[-1].shown if tokens and tokens[-1].kind is Kind.WORD else ""
        self.at += length
