"""Leaves out of an answer what its server says again.

Some servers send the whole answer once more at its end, some send with each chunk all that was said so far,
and some give the same answer twice, as two choices.
"""

from __future__ import annotations

from adapters.openai.normalized_chunk import Chunk

_SHORTEST_REPEAT = 8
"""Characters: a shorter text may be said twice on purpose."""
_SHORTEST_BEGINNING = 2


class Repeats:
    """Takes an answer's chunks one after the other; gives what is new in each.

    The time it takes grows in proportion to the text: all that was said is looked at only for a text that is
    as long.
    """

    def __init__(self) -> None:
        self._parts: list[str] = []
        """What was given."""
        self._length = self._solid_from = self._solid_to = 0
        """How long it is, and where it is not blank any more at its beginning and end."""
        self._cumulative = False
        """Each chunk holds all that was said so far."""
        self._held = ""
        """A text that goes on from a short beginning, or begins with the same letters: the next one tells."""
        self._choice: int | None = None
        """The first choice that had a text."""
        self._copy: int | None = None
        """A choice that says the same once more."""
        self._differs = False
        self._part = self._offset = 0
        """How far the copy is."""

    def new(self, chunk: Chunk, *, ends: bool) -> str:
        """The chunk's text without what was said before. `ends`: the answer ends with it, or has ended."""
        text = chunk.text
        if not text or self._is_copy(chunk):
            return ""
        before = ""
        if self._held:
            held, self._held = self._held, ""
            if text.startswith(held) and (ends or len(text) > len(held)):
                self._cumulative = True
            else:
                before = self._add(held)
        return before + self._add(self._unsaid(text, chunk.whole, ends))

    def finish(self) -> str:
        """What was held back."""
        held, self._held = self._held, ""
        if not held:
            return ""
        so_far = self.said()
        rest = held[len(so_far) :]
        begun = so_far.strip()
        goes_on = rest[0] == " " and rest[1:2].isalpha() and begun[-1].isalnum()
        goes_on = goes_on or (len(begun) >= _SHORTEST_BEGINNING and so_far[-1].isspace())
        return self._add(rest if goes_on else held)

    def _add(self, text: str) -> str:
        if text:
            self._parts.append(text)
            if not text.isspace():
                if not self._solid_to:
                    self._solid_from = self._length + len(text) - len(text.lstrip())
                self._solid_to = self._length + len(text.rstrip())
            self._length += len(text)
        return text

    def said(self) -> str:
        """All that was given."""
        if len(self._parts) > 1:
            self._parts = ["".join(self._parts)]
            self._differs = True  # the place of a copy is lost
        return self._parts[0] if self._parts else ""

    def _unsaid(self, text: str, whole: bool, ends: bool) -> str:
        if not self._parts:
            return text
        if self._cumulative:
            return self._beyond(text)
        if text.isspace() or len(text) < self._solid_to - self._solid_from:
            return text
        pieces, so_far = len(self._parts), "".join(self._parts)
        solid = so_far.strip()
        repeated = text.strip() == solid
        if repeated and ends and whole:
            return ""
        if solid and len(text) > len(so_far) and text.startswith(so_far):
            if whole or len(solid) >= _SHORTEST_REPEAT:
                self._cumulative = True
                return text[len(so_far) :]
            self._held = text
            return ""
        if len(solid) < _SHORTEST_REPEAT:
            return text
        if whole and text.startswith(so_far):
            return text[len(so_far) :]
        return "" if repeated and ends and pieces > 1 else text

    def _beyond(self, text: str) -> str:
        so_far = self.said()
        if text.startswith(so_far):
            return text[len(so_far) :]
        if so_far.startswith(text):
            return ""
        self._cumulative = False
        return text

    # --- two choices --------------------------------------------------------------------------------------

    def _is_copy(self, chunk: Chunk) -> bool:
        """Whether the text was said by another choice before."""
        if chunk.choice is None:
            return False
        if self._choice is None:
            self._choice = chunk.choice
        # Choices count from 0. A server whose numbers are odd has one.
        if self._copy is None and self._choice >= 0 and chunk.choice == self._choice + 1:
            self._copy = chunk.choice
        if chunk.choice != self._copy or self._differs:
            return False
        self._differs = not self._goes_along(chunk.text)
        return not self._differs

    def _goes_along(self, text: str) -> bool:
        at = 0
        while at < len(text):
            if self._part == len(self._parts):
                return False
            part = self._parts[self._part]
            length = min(len(part) - self._offset, len(text) - at)
            if part[self._offset : self._offset + length] != text[at : at + length]:
                return False
            at += length
            self._offset += length
            if self._offset == len(part):
                self._part, self._offset = self._part + 1, 0
        return True
