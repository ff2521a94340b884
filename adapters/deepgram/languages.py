"""Which languages Deepgram's models know, and the tag with which each is asked for.

developers.deepgram.com, "Models and languages overview", and the changelog up to March 2026.
"""

from __future__ import annotations

from machines.language.tags import primary_language

MULTI = "multi"
"""Several languages in one call (code-switching)."""

_ENGLISH = frozenset({"en", "en-US", "en-AU", "en-GB", "en-NZ", "en-IN"})
_BOTH = _ENGLISH | frozenset(
    {"bg", "ca", "cs", "da", "da-DK", "de", "de-CH", "el", "es", "es-419", "et", "fi", "fr", "fr-CA", "hi"}
    | {"hu", "id", "it", "ja", "ko", "ko-KR", "lt", "lv", "ms", "nl", "nl-BE", "no", "pl", "pt", "pt-BR"}
    | {"pt-PT", "ro", "ru", "sk", "sv", "sv-SE", "tr", "uk", "vi"}
    | {"zh", "zh-CN", "zh-Hans", "zh-TW", "zh-Hant", MULTI}
)
_BY_MODEL = {
    "nova-2": _BOTH | frozenset({"th", "th-TH", "zh-HK"}),
    "nova-3": _BOTH | frozenset({"be", "bn", "bs", "hr", "kn", "mk", "mr", "sl", "sr", "ta", "te", "tl"}),
}
_FLUX = frozenset({"de", "en", "es", "fr", "hi", "it", "ja", "nl", "pt", "ru", MULTI})
_ALSO_CALLED = {"nb": "no", "nn": "no", "fil": "tl", "in": "id"}


def nova_tag(model: str, language: str) -> str | None:
    """The tag for a language of callers: as it is, or its base; None if the model does not know it.

    Of models that are not in the table (the customer's own, older ones), nothing is known: the language is
    asked for as it is.
    """
    known = _BY_MODEL.get("-".join(model.split("-")[:2]))
    if not language or known is None:
        return language
    by_lower = {tag.lower(): tag for tag in known}
    stated = language.replace("_", "-").lower()
    base = primary_language(language)
    return by_lower.get(stated) or by_lower.get(_ALSO_CALLED.get(base, base))


def flux_hint(language: str) -> str | None:
    """The language hint for Flux: a base language, or nothing for several; None if Flux does not know it."""
    base = primary_language(language)
    if base not in _FLUX | {""}:
        return None
    return "" if base == MULTI else base
