"""Text as it is spoken: without the marks that language models put in for eyes or for other voices."""

from __future__ import annotations

import re

_RULES = (
    (re.compile(r"\|\|\s*BREAK\s*\|\|", re.IGNORECASE), " "),
    # Speech markup of voices that know it, like <emotion value="happy"/>; also one that was cut off.
    (re.compile(r"</?[A-Za-z][^<>]*(>|$)"), " "),
    (re.compile(r"```\w*|`"), ""),
    (re.compile(r"!?\[([^\]]*)\]\([^)]*\)"), r"\1"),
    (re.compile(r"^[ \t]*(#{1,6}|>|[-*+•])[ \t]+", re.MULTILINE), ""),
    (re.compile(r"\*+|~~|(?<!\w)_+|_+(?!\w)"), ""),
    (re.compile(r"[ \t\r\f\v]+"), " "),
)


def spoken_text(text: str) -> str:
    """The text without tags, break markers and Markdown marks; empty if nothing is left to say."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    text = text.strip()
    return text if any(character.isalnum() for character in text) else ""
