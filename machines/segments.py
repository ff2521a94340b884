"""Cuts a stream of generated text into segments that can be spoken, as early as they sound natural.

A segment ends at the marker `||BREAK||` if the model sets one, otherwise at the end of a sentence. A period
after an abbreviation or initial, or in a decimal, does not end one. The first segment may end at a clause, so
that the caller hears something soon. No segment is longer than `MAX_SEGMENT`. Markup and markers are neither
spoken nor remembered.
"""

from __future__ import annotations

import re

from attrs import frozen

BREAK = "||BREAK||"
FIRST_CLAUSE = 25
"""Characters that the first segment must have to end at a comma. Measured: shorter ones sound chopped."""
MAX_SEGMENT = 300
"""The most characters of a segment, as in the reference server. A longer run is cut at the last clause or
blank before this."""

_MARKUP = re.compile(r"<[^<>]{0,80}>|[*_`#]+")
_HALF_MARKER = re.compile(r"\|\|?(?:B(?:R(?:E(?:A(?:K\|?)?)?)?)?)?\s*$")
"""The beginning of a marker, where the text ends within it."""
_BLANKS = re.compile(r"\s+")
_SENTENCE_END = re.compile(r"[.!?…]+[\"”’')\]]*(?=\s)|\n")
_CLAUSE_END = re.compile(r"[,;:–—](?=\s)")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"“])(?:(?:mr|mrs|ms|dr|prof|st|jr|sr|vs|no|inc|ltd|co|dept|approx|fig|vol|gen|col|sgt|capt|rev"
    r"|hon|mt|ave|blvd|rd|etc|e\.g|i\.e|a\.m|p\.m|u\.s|u\.k)|[A-HJ-Z])\.$",
    re.IGNORECASE,
)
_ENDS_ALTHOUGH_ABBREVIATED = re.compile(r"(?:etc|a\.m|p\.m|u\.s|u\.k)\.$", re.IGNORECASE)
_LIST_NUMBER = re.compile(r"(?:^|\s)\d{1,2}\.$")


_SPEECH_TAG = re.compile(r"(</?(?:emotion|speed|volume|break|spell)\b[^<>]{0,80}>)", re.IGNORECASE)
"""Markup that some voices understand. For others it is left out."""


@frozen
class Segment:
    """A piece of an answer. `text` is what is spoken and remembered."""

    text: str
    markup: str = ""
    """The text with its speech markup; empty if it has none."""


def clean(text: str) -> str:
    """`text` without markup and markers, with single blanks."""
    return _BLANKS.sub(" ", _MARKUP.sub("", text.replace(BREAK, " "))).strip()


def marked(text: str) -> str:
    """`text` with its speech markup and without any other; empty if it has no speech markup."""
    parts = _SPEECH_TAG.split(text)
    if len(parts) == 1:
        return ""
    kept = [part if number % 2 else clean(part) for number, part in enumerate(parts)]
    return " ".join(part for part in kept if part)


class Segmenter:
    """Takes text in pieces of any size, and gives segments in order. Use one for each answer."""

    def __init__(self) -> None:
        self._text = ""
        self._given = 0

    def push(self, piece: str) -> list[Segment]:
        """Add a piece. Returns the segments that it completes: cleaned, and never empty."""
        self._text += piece
        segments: list[Segment] = []
        while (end := self._next_end()) is not None:
            self._cut(end, segments)
        return segments

    def finish(self) -> list[Segment]:
        """End the text. Returns what is left as the last segment, if it has any sound."""
        self._text = _HALF_MARKER.sub("", self._text)
        segments: list[Segment] = []
        self._cut(len(self._text), segments)
        return segments

    def _cut(self, end: int, segments: list[Segment]) -> None:
        raw, self._text = self._text[:end], self._text[end:]
        text = clean(raw)
        # Text without letters and digits has no sound.
        if any(character.isalnum() for character in text):
            segments.append(Segment(text, marked(raw)))
            self._given += 1

    def _next_end(self) -> int | None:
        """Where the text can be cut now; None if more text is needed to know."""
        marker = self._text.find(BREAK)
        text = self._text if marker < 0 else self._text[:marker]
        end = self._sentence_end(text)
        if end is None and self._given == 0:
            end = self._first_clause_end(text)
        if end is None and marker >= 0:
            end = marker + len(BREAK)
        if end is None and len(text) > MAX_SEGMENT:
            end = self._forced_end(text)
        return end

    def _sentence_end(self, text: str) -> int | None:
        for match in _SENTENCE_END.finditer(text[: MAX_SEGMENT + 1]):
            if self._ends_sentence(text, match):
                return match.end()
        return None

    def _ends_sentence(self, text: str, match: re.Match[str]) -> bool:
        before, after = text[: match.end()].rstrip("\"”’')]"), text[match.end() :].lstrip()
        if match.group() == "\n" or not before.endswith(".") or before.endswith(".."):
            return True
        if _LIST_NUMBER.search(before):
            return False
        if not _ABBREVIATION.search(before):
            return True
        # "at 5 p.m. We open" ends there; "at 5 p.m. on Friday" does not: the next letter must be seen.
        return bool(_ENDS_ALTHOUGH_ABBREVIATED.search(before) and after[:1].isupper())

    def _first_clause_end(self, text: str) -> int | None:
        for match in _CLAUSE_END.finditer(text):
            if len(clean(text[: match.end()])) >= FIRST_CLAUSE:
                return match.end()
        return None

    def _forced_end(self, text: str) -> int:
        clauses = [match.end() for match in _CLAUSE_END.finditer(text[:MAX_SEGMENT])]
        blank = text.rfind(" ", 1, MAX_SEGMENT)
        return clauses[-1] if clauses else blank if blank > 0 else MAX_SEGMENT
