"""Replay of a journal: its facts run through the machines again, and every step and effect is compared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import frozen

from machines.driver import Driver
from machines.facts import Fact
from machines.system import Charts, ConversationSystem
from orchestrator.journal.format import Broke, HandledFact, Head, Journal, fact_in


@frozen
class Replayed:
    """One fact of a journal: what it led to when it was recorded, and what it leads to now."""

    number: int
    """Counts from 1; 0 is the beginning of the call."""
    fact: Fact
    recorded: HandledFact
    now: HandledFact
    states: tuple[tuple[str, str], ...]
    """After the fact, now: (machine, its state)."""

    @property
    def same(self) -> bool:
        """Whether every step and every effect is as recorded."""
        return self.recorded == self.now


def replay(journal: Journal, charts: Charts | None = None) -> Iterator[Replayed]:
    """Handle each fact of the journal again, in order; a difference does not end the replay.

    `charts` may be shared with conversations of the same thread; without them the replay makes its own.
    """
    system = system_of(journal.head, charts)
    beginning = system.start(journal.head.at_ms)
    yield Replayed(0, fact_in(journal.beginning), journal.beginning, beginning, _states(system))
    for number, recorded in enumerate(journal.handled, 1):
        fact = fact_in(recorded)
        now = handle(system, fact)
        yield Replayed(number, fact, recorded, now, _states(system))


def system_of(head: Head, charts: Charts | None = None) -> ConversationSystem:
    """The machines of a call, as they were before it began."""
    return ConversationSystem(head.policy, charts, head.provider_chains)


def handle(system: ConversationSystem, fact: Fact) -> HandledFact:
    """What a fact leads to now, also if it makes a machine raise."""
    try:
        return system.handle(fact)
    except Exception as error:
        return Broke.by(fact, error)


def _states(system: ConversationSystem) -> tuple[tuple[str, str], ...]:
    drivers: list[Driver[Any]] = [system.conversation, *system.links.values()]
    return tuple((driver.name, _place(driver.room, driver.state)) for driver in drivers)


def _place(room: str, state: str) -> str:
    return state if room == state else f"{room}.{state}"
