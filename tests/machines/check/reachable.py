"""Tries everything that can happen to a small machine, in every configuration it can reach."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import TypeVar

from attrs import evolve

from machines.breaker import BreakerContext
from machines.declarations import Outcome, Step
from machines.facts import Fact
from machines.tables import Kind, Machine, rows
from machines.telephone_call.context import CallContext

C = TypeVar("C", BreakerContext, CallContext)


def reachable_steps(
    machine: Machine,
    beginning: C,
    handle: Callable[[C, Fact], Step],
    enabled_facts: Callable[[C], list[Fact]],
    key: Callable[[C], tuple[object, ...]],
) -> Iterator[tuple[Step, C]]:
    """Handle every enabled fact in every configuration. Gives each step with the context after it.

    Contexts of the same key behave the same. On the way: every pair is declared, only transitions have
    effects, and every way that the machine's table declares is taken.
    """
    seen, waiting = {key(beginning)}, deque([beginning])
    taken = set()
    while waiting:
        before = waiting.popleft()
        for fact in enabled_facts(before):
            after = _copy(before)
            step = handle(after, fact)
            assert step.outcome is not Outcome.UNDECLARED
            if step.outcome is Outcome.TAKEN:
                taken.add((step.source, fact.name, step.target))
            else:
                assert step.effects == ()
            yield step, after
            if key(after) not in seen:
                seen.add(key(after))
                waiting.append(after)
    declared = {
        (row.state, row.event, row.target) for row in rows(machine.chart) if row.kind is not Kind.IGNORED
    }
    assert taken == declared
    assert len(seen) > 20


def _copy(context: C) -> C:
    state = context.state if isinstance(context.state, str) else type(context.state)(context.state)
    return evolve(context, state=state, effects=[])
