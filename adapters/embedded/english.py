"""The check for a language that the embedded speech models do not know: they know English only."""

from __future__ import annotations

from adapters.interfaces import ProviderError
from adapters.languages import primary_language
from machines.facts import ErrorClass


def require_english(provider: str, language: str) -> None:
    """Raise `ProviderError` unless `language`, a tag like "en-US", is English or not stated."""
    if language and primary_language(language) != "en":
        raise ProviderError(ErrorClass.FATAL, f"{provider} knows English only; the language is {language!r}")
