"""The open link of a role (language model or text to speech), for those who use it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from adapters.tasks import Signal

T = TypeVar("T")


class RoleLink(Generic[T]):
    """The link of a role. At any time, one to another provider may replace it."""

    def __init__(self) -> None:
        self._open: tuple[int, T] | None = None
        """The number of the attempt that opened it, and the link."""
        self._connected = Signal()

    @contextmanager
    def provide(self, attempt: int, link: T) -> Iterator[None]:
        """Make this the open link until the block is left or `withdraw` is called."""
        opened = (attempt, link)
        self._open = opened
        self._connected.wake_all()
        try:
            yield
        finally:
            self.withdraw(attempt)

    def withdraw(self, attempt: int) -> None:
        """`get` no longer returns this attempt's link. The next attempt may have replaced it already."""
        if self._open is not None and self._open[0] == attempt:
            self._open = None

    async def get(self) -> tuple[int, T]:
        """Wait for an open link; return its attempt and the link. The machine's deadline limits the wait."""
        while self._open is None:
            await self._connected.wait()
        return self._open
