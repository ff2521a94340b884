"""What a vendor said, made fit for logs and error messages: short, on one line, without keys."""

from __future__ import annotations

import re

from adapters.neutral import neutral, without_passwords

LONGEST = 200
"""Characters."""
_KEY = re.compile(r"\b(?:sk|pk|gsk|key|Token|Bearer)[-_ =:]+[\w*.-]{6,}", re.IGNORECASE)
_SHORTEST_KEY = 6
"""A shorter text cannot be a key, and is part of many words."""


def printable(text: str, key: str) -> str:
    """The beginning of `text` on one line, without `key` or what looks like a key: servers repeat keys."""
    without_key = text.replace(key, "(key)") if len(key) >= _SHORTEST_KEY else text
    on_one_line = " ".join(_KEY.sub("(key)", without_passwords(without_key)).split())
    return neutral(on_one_line[:LONGEST]) or "no reason given"
