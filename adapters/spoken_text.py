"""Text as it is spoken: without the Markdown and speech markup that language models put in."""

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


def spoken_text(text: str, keep: re.Pattern[str] | None = None) -> str:
    """The text without tags, break markers and Markdown marks; empty if nothing is left to say.

    Tags that `keep` matches stay, for a voice that knows them; it must not have groups.
    """
    if keep is None:
        return _without_marks(text)
    tags = keep.findall(text)
    spoken = [_without_marks(part) for part in keep.split(text)]
    if not any(spoken):
        return ""
    alternating = [part for pair in zip(spoken, [*tags, ""], strict=True) for part in pair]
    return " ".join(part for part in alternating if part)


def _without_marks(text: str) -> str:
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    text = text.strip()
    return text if any(character.isalnum() for character in text) else ""
