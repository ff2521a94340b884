"""Where the open link of a role is found, whichever provider it leads to at the moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from adapters.tasks import Signal

T = TypeVar("T")


class RoleLink(Generic[T]):
    """The link of a role, for those who use it: it may be replaced at any time by one to another provider."""

    def __init__(self) -> None:
        self._open: tuple[int, T] | None = None
        """With the number of the attempt that opened it."""
        self._connected = Signal()

    @contextmanager
    def is_open(self, attempt: int, link: T) -> Iterator[None]:
        """While the block runs, and until it is given up, this is the open link."""
        opened = (attempt, link)
        self._open = opened
        self._connected.wake_all()
        try:
            yield
        finally:
            self.give_up(attempt)

    def give_up(self, attempt: int) -> None:
        """Nobody shall be led to this attempt's link any more. The next one may have taken over already."""
        if self._open is not None and self._open[0] == attempt:
            self._open = None

    async def get(self) -> tuple[int, T]:
        """The attempt and the link, as soon as there is one. How long to wait is for others to say."""
        while self._open is None:
            await self._connected.wait()
        return self._open
