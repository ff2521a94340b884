"""Where the open link of a role is found, whichever provider it leads to at the moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

import trio

T = TypeVar("T")


class RoleLink(Generic[T]):
    """The link of a role, for those who use it: it may be replaced at any time by one to another provider."""

    def __init__(self) -> None:
        self._open: tuple[int, T] | None = None
        self._connected = trio.Event()

    @contextmanager
    def is_open(self, provider: int, link: T) -> Iterator[None]:
        """While the block runs, this is the open link, to this provider."""
        opened = (provider, link)
        self._open = opened
        self._connected.set()
        try:
            yield
        finally:
            # The next link may have taken over before this one was closed.
            if self._open is opened:
                self._open = None
                self._connected = trio.Event()

    def close(self) -> None:
        """The open link, if there is one, is given up: from now on nobody gets it, though it still closes."""
        if self._open is not None:
            self._open = None
            self._connected = trio.Event()

    async def get(self) -> tuple[int, T]:
        """The provider and the link, as soon as there is one. How long to wait is for others to say."""
        while self._open is None:
            await self._connected.wait()
        return self._open
