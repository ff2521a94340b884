"""Code between fences."""

from __future__ import annotations


class Fence:
    """Code between fences. A single line is said, more are not."""

    def __init__(self, mark: str) -> None:
        self.mark = mark
        self.lines = 0
        self.within_line = False
        self._first = ""

    def add(self, text: str) -> None:
        """Add the next line, or a part of one."""
        if text.strip():
            if self.lines == 0:
                self._first = text.strip()
            self.lines += 1

    @property
    def said(self) -> str:
        """The line that is said; empty if none is."""
        return self._first if self.lines == 1 else ""
