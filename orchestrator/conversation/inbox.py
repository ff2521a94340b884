"""The inbox of a conversation: one queue of facts, strictly ordered, without priorities."""

from __future__ import annotations

from collections import deque

import trio
from attrs import evolve

from adapters.tasks import Signal
from machines.facts import Fact
from orchestrator.clock import now_ms


class Inbox:
    """Facts in the order in which they happened, each stamped with the time at which it was added.

    Tasks of the conversation use `put`, which never blocks: the number of their facts is bounded by what the
    machine started. The caller's side uses `deliver`, which waits until the fact was handled: so the messages
    of one socket are handled strictly in order, and a flood blocks the socket instead of the conversation.
    """

    def __init__(self) -> None:
        self._facts: deque[tuple[Fact, trio.Event | None]] = deque()
        self._arrived = Signal()
        self._current_handled: trio.Event | None = None
        """Set when the fact that was taken last is handled."""
        self._closed = False

    def put(self, fact: Fact) -> None:
        """Add a fact. After `close` it is dropped."""
        self._add(fact, None)

    async def deliver(self, fact: Fact) -> None:
        """Add a fact and wait until it was handled, or the inbox was closed."""
        handled = trio.Event()
        self._add(fact, handled)
        await handled.wait()

    async def take(self, before: float) -> Fact:
        """Wait for the next fact. Never returns one that was added after `before` (ms), nor any behind it.

        By this call, the fact that was taken last counts as handled.
        """
        self._release_current()
        while not (self._facts and self._facts[0][0].at_ms <= before):
            await self._arrived.wait()
        fact, self._current_handled = self._facts.popleft()
        return fact

    def close(self) -> None:
        """No more facts will be taken: release the tasks that wait in `deliver`."""
        self._closed = True
        self._release_current()
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

    def _release_current(self) -> None:
        if self._current_handled is not None:
            self._current_handled.set()
            self._current_handled = None
