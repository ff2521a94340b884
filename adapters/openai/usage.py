"""Reads how many tokens a server says that an answer has taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.interfaces import TokensUsed

_MOST = 1 << 40
"""Tokens: more is no number of tokens."""


def tokens_used(document: Any) -> TokensUsed | None:
    """The tokens that a document of a response tells of; None if it tells of none.

    Most servers do so in a document of its own at the end, some in the last that has text, some in each.
    """
    if not isinstance(document, Mapping):
        return None
    usage = document.get("usage")
    if not usage and isinstance(own := document.get("x_groq"), Mapping):
        usage = own.get("usage")
    if not isinstance(usage, Mapping):
        return None
    prompt, answer = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    if prompt is None or answer is None:
        return None
    return TokensUsed(prompt, min(prompt, _cached(usage)), answer)


def _cached(usage: Mapping[str, Any]) -> int:
    """OpenAI's name for tokens in the cache, and DeepSeek's."""
    details = usage.get("prompt_tokens_details")
    told = details.get("cached_tokens") if isinstance(details, Mapping) else None
    return _count(told) or _count(usage.get("prompt_cache_hit_tokens")) or 0


def _count(value: Any) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST
    return value if whole else None
