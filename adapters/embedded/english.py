"""The check for a language that the embedded speech models do not know: they know English only."""

from __future__ import annotations

from adapters.interfaces import ProviderError
from machines.facts import ErrorClass
from machines.language.tags import primary_language


def require_english(provider: str, language: str) -> None:
    """Raise `ProviderError` unless `language`, a tag like "en-US", is English or not stated."""
    if not is_english(language):
        raise ProviderError(
            ErrorClass.REFUSED_REQUEST, f"{provider} knows English only; the language is {language!r}"
        )


def is_english(language: str) -> bool:
    """Whether `language`, a tag like "en-US", is English or not stated."""
    return primary_language(language) in ("", "en")
