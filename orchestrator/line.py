"""A role's line: leads to whatever open link the role has at the moment, or has whoever needs it wait for one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

import trio

T = TypeVar("T")


class Line(Generic[T]):
    """Where those who use a link find it, though it may be replaced at any time by one to another provider."""

    def __init__(self) -> None:
        self._end: tuple[int, T] | None = None
        self._connected = trio.Event()

    @contextmanager
    def leads_to(self, provider: int, link: T) -> Iterator[None]:
        """While the block runs, the line leads to this link of this provider."""
        end = (provider, link)
        self._end = end
        self._connected.set()
        try:
            yield
        finally:
            # The next link may have taken over before this one was closed.
            if self._end is end:
                self._end = None
                self._connected = trio.Event()

    async def open_end(self) -> tuple[int, T]:
        """The provider and the link, as soon as there is one. How long to wait is for others to say."""
        while self._end is None:
            await self._connected.wait()
        return self._end
