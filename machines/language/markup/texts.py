"""What is shown of tokens, and what is sent to a voice."""

from __future__ import annotations

import re

from machines.language.markup.tokens import Kind, Token
from machines.language.scripts import has_sound


def shown(tokens: list[Token]) -> str:
    """The text that is shown and remembered."""
    return _rendered([(token, token.shown) for token in tokens])


def said(tokens: list[Token], keep: re.Pattern[str] | None = None) -> str:
    """The text that is sent to a voice; empty if it has no sound. Tags that `keep` matches stay."""
    spoken = [
        (
            token,
            token.markup
            if token.markup and keep is not None and keep.fullmatch(token.markup)
            else token.said,
        )
        for token in tokens
    ]
    return _rendered(spoken) if any(has_sound(token.said) for token in tokens) else ""


def marked(tokens: list[Token]) -> str:
    """The text that is shown, with its speech markup; empty if it has no markup."""
    if not any(token.kind is Kind.TAG for token in tokens):
        return ""
    return _rendered([(token, token.markup or token.shown) for token in tokens])


def _rendered(pieces: list[tuple[Token, str]]) -> str:
    """Join the pieces with single blanks, but without one that stood only before something left out."""
    parts: list[str] = []
    blank = left_out = False
    for token, text in pieces:
        if token.kind in _BLANKS:
            blank = True
        elif not text:
            left_out = True
        else:
            if blank and parts and not (left_out and text[0] in ".,;:!?)]}"):
                parts.append(" ")
            parts.append(text)
            blank = left_out = token.kind is Kind.TAG and "spell" not in text.lower()
    return "".join(parts)


_BLANKS = frozenset({Kind.BLANK, Kind.LINE, Kind.LINE_END, Kind.BREAK})
