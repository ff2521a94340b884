"""Runs a journal through the machines again and compares every step and every effect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import frozen

from machines.driver import Driver
from machines.facts import Fact
from machines.system import Charts, ConversationSystem, Handled
from orchestrator.journal.format import Broke, Head, Journal, fact_in

CheckedStep = Handled | Broke


@frozen
class Replayed:
    """One fact of a journal: what came of it then, and what comes of it now."""

    number: int
    """From 1; 0 is the beginning of the call."""
    fact: Fact
    recorded: CheckedStep
    now: CheckedStep
    states: tuple[tuple[str, str], ...]
    """The machines and the states that they are in now, after it."""

    @property
    def same(self) -> bool:
        """Every step and every effect is what it was."""
        return self.recorded == self.now


def replay(journal: Journal, charts: Charts | None = None) -> Iterator[Replayed]:
    """Every fact of the journal, one after the other. Goes on after a difference, as long as facts come.

    `charts` may be shared with conversations of the same thread: without, the replay makes its own.
    """
    system = system_of(journal.head, charts)
    beginning = system.start(journal.head.at_ms)
    yield Replayed(0, fact_in(journal.beginning), journal.beginning, beginning, _states(system))
    for number, recorded in enumerate(journal.moments, 1):
        fact = fact_in(recorded)
        now = _handle(system, fact)
        yield Replayed(number, fact, recorded, now, _states(system))


def system_of(head: Head, charts: Charts | None = None) -> ConversationSystem:
    """The machines of a call, as they were before it began."""
    return ConversationSystem(head.policy, charts, head.line_ups)


def _handle(system: ConversationSystem, fact: Fact) -> CheckedStep:
    try:
        return system.handle(fact)
    except Exception as error:
        return Broke.by(fact, error)


def _states(system: ConversationSystem) -> tuple[tuple[str, str], ...]:
    drivers: list[Driver[Any]] = [system.conversation, *system.links.values()]
    return tuple((driver.name, _place(driver.room, driver.state)) for driver in drivers)


def _place(room: str, state: str) -> str:
    return state if room == state else f"{room}.{state}"
