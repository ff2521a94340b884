"""One call driven twice, by the library's engine and by the tables, and compared after every fact."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import fields
from statemachine.orderedset import OrderedSet

from machines.check.enabled_facts import (
    all_enabled_facts,
    answer_enabled_facts,
    blocking_enabled_facts,
    host_enabled_facts,
    language_enabled_facts,
    link_enabled_facts,
    one_link_enabled_facts,
    tool_enabled_facts,
    turn_enabled_facts,
)
from machines.check.observer import ObservedState
from machines.check.snapshots import restore
from machines.check.table_driver import run_by_tables
from machines.check.walk import Node, drivers
from machines.check.walks import SHORT
from machines.driver import Driver
from machines.facts import Fact, Role
from machines.policy import ConversationPolicy
from machines.system import Charts, ConversationSystem, Handled, ProviderChain
from machines.tables import Row
from tests.machines.calls import CHARTS

ONE_EACH: Mapping[Role, ProviderChain] = {}


class Tables:
    """Charts that are run by their tables. Making them takes longer than most calls."""

    def __init__(self) -> None:
        self.rows: set[Row] = set()
        """The transitions that the charts took."""
        self.charts = Charts()
        run_by_tables(self.charts.conversation, self.rows.add)
        run_by_tables(self.charts.link, self.rows.add)


class BothDrivers:
    """One call driven twice: by the engine and by the tables."""

    def __init__(
        self,
        tables: Tables,
        policy: ConversationPolicy = SHORT,
        provider_chains: Mapping[Role, ProviderChain] = ONE_EACH,
    ) -> None:
        self.engine = ConversationSystem(policy, CHARTS, provider_chains)
        self.tables = ConversationSystem(policy, tables.charts, provider_chains)

    def start(self) -> Handled:
        """Begin both calls."""
        by_engine, by_tables = self.engine.start(0.0), self.tables.start(0.0)
        assert by_tables == by_engine
        return by_tables

    def go_to(self, node: Node) -> None:
        """Put both calls into this configuration."""
        for system in (self.engine, self.tables):
            for driver, kept in zip(drivers(system), node.machines, strict=True):
                restore(driver, kept)
        for driver in drivers(self.engine):
            state = nesting(driver)
            driver.context.state = OrderedSet(state) if len(state) > 1 else state[0]

    def handle(self, fact: Fact) -> Handled:
        """Have both calls take the fact in, with the same steps, effects and memory."""
        by_engine, by_tables = self.engine.handle(fact), self.tables.handle(fact)
        assert by_tables == by_engine
        for engine, tables in zip(drivers(self.engine), drivers(self.tables), strict=True):
            assert nesting(tables) == nesting(engine)
            assert memory(tables) == memory(engine)
        return by_tables


def nesting(driver: Driver[Any]) -> tuple[str, ...]:
    """The active states, outermost first. The engine and the tables store them in different forms."""
    state = driver.context.state
    return (state,) if isinstance(state, str) else tuple(state)


def memory(driver: Driver[Any]) -> tuple[Any, ...]:
    """Everything that a machine remembers besides its state."""
    context = driver.context
    return tuple(getattr(context, each.name) for each in fields(type(context)) if each.name != "state")


def every_enabled_fact(system: ConversationSystem, observed: ObservedState) -> Iterator[Fact]:
    """Every fact that is enabled in any walk."""
    yield from answer_enabled_facts(system, observed)
    yield from turn_enabled_facts(system, observed)
    yield from host_enabled_facts(system, observed)
    yield from all_enabled_facts(system, observed)
    yield from language_enabled_facts(system, observed)
    yield from tool_enabled_facts(system, observed)
    yield from blocking_enabled_facts(system, observed)
    yield from link_enabled_facts(system, observed)
    yield from one_link_enabled_facts(system, observed)
