"""The inbox of a conversation: one queue, strictly ordered, no priority lane."""

from __future__ import annotations

from collections import deque

import trio
from attrs import evolve

from adapters.tasks import Signal
from machines.facts import Fact
from orchestrator.clock import now_ms


class Inbox:
    """Facts in the order in which they happened, each stamped with the time it was put in.

    Everything inside puts facts with `put`, which never blocks: their number is bounded by what the machine
    started. The caller's side uses `deliver`, which waits until the fact was handled: so messages of one
    socket are handled strictly in order, and a flood of them blocks the socket and not the conversation.
    """

    def __init__(self) -> None:
        self._facts: deque[tuple[Fact, trio.Event | None]] = deque()
        self._arrived = Signal()
        self._handled: trio.Event | None = None
        self._closed = False

    def put(self, fact: Fact) -> None:
        """Add a fact. After `close` it is dropped: nobody is there to hear it."""
        self._add(fact, None)

    async def deliver(self, fact: Fact) -> None:
        """Add a fact and wait until it was handled, or the inbox was closed."""
        handled = trio.Event()
        self._add(fact, handled)
        await handled.wait()

    async def take(self, before: float) -> Fact:
        """The next fact, if it was put in by `before` (ms); otherwise wait, if need be for ever.

        Asking for one says that the one before it was handled.
        """
        self._settle()
        while not (self._facts and self._facts[0][0].at_ms <= before):
            await self._arrived.wait()
        fact, self._handled = self._facts.popleft()
        return fact

    def close(self) -> None:
        """Nothing will be taken any more: release whoever waits."""
        self._closed = True
        self._settle()
        for _, handled in self._facts:
            if handled is not None:
                handled.set()
        self._facts.clear()

    def _add(self, fact: Fact, handled: trio.Event | None) -> None:
        if self._closed:
            if handled is not None:
                handled.set()
            return
        self._facts.append((evolve(fact, at_ms=now_ms()), handled))
        self._arrived.wake_all()

    def _settle(self) -> None:
        if self._handled is not None:
            self._handled.set()
            self._handled = None
