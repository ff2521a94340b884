"""Whether words sound as if more of them were to come: English, by the last word or the last sign."""

from __future__ import annotations

_GOING_ON = """
a an the and or but so because since if when while that which who whose than then as at by for from
in into of on to with without about my your his her its our their i you he she we they is are was
were am be been do does did have has had can could will would shall should may might must um uh er
hmm like also very i'm i'd i'll i've it's there's let's
"""
GOING_ON = frozenset(_GOING_ON.split())
"""Words that a sentence seldom ends with."""


def sounds_unfinished(text: str) -> bool:
    """Whether a caller who paused after `text` will probably go on."""
    stripped = text.rstrip()
    if not stripped or stripped[-1] in ".!?…":
        return stripped.endswith(("...", "…"))
    return stripped[-1] in ",;:-–—" or stripped.split()[-1].lower() in GOING_ON
