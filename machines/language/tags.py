"""Language tags such as "en-US": their primary language."""

from __future__ import annotations


def primary_language(tag: str) -> str:
    """The language of a tag, in lower case: "en" of "en-US" or "EN_us"; empty if the tag is."""
    return tag.replace("_", "-").split("-")[0].lower()
