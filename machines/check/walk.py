"""The walk: visits every reachable configuration of a call, breadth first, and checks the invariants."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from enum import Enum
from typing import Any

import attrs
from attrs import define, field, frozen

from machines.check.abstraction import Key
from machines.check.enabled_facts import (
    EnabledFacts,
)
from machines.check.invariants import CONVERSATION, INVARIANTS, CheckedStep, Invariant, kinds_of
from machines.check.observer import ObservedState, entered
from machines.check.search_order import AtRandom
from machines.check.snapshots import Snapshot, restore, snapshot
from machines.check.table_driver import run_by_tables
from machines.declarations import Outcome
from machines.driver import Driver
from machines.effects import ArmDeadline, Effect
from machines.facts import DeadlinePassed, Fact, LinkDeadlinePassed, ProviderFailure, Role
from machines.history import Message
from machines.policy import ConversationPolicy
from machines.system import Charts, ConversationSystem, Handled, ProviderChain
from machines.tables import Row


@frozen
class Taken:
    """A transition that was taken, with the names that its row in the tables has."""

    machine: str
    state: str
    event: str
    guard: str
    target: str


@frozen
class Violation:
    """An invariant that does not hold, with the shortest known path of facts and steps that leads there."""

    invariant: str
    complaint: str
    trace: tuple[Handled, ...]

    def __str__(self) -> str:
        lines = [f"{self.invariant}: {self.complaint}"]
        for handled in self.trace:
            for step in handled.steps:
                effects = ", ".join(map(_in_short, step.effects)) or step.reason
                moved = f"{step.machine}: {step.source} → {step.target}, {step.outcome.value}"
                lines.append(f"  {moved}: {_in_short(step.fact)}")
                lines.append(f"      {effects}")
        return "\n".join(lines)


def _in_short(record: Fact | Effect) -> str:
    """A fact or an effect in short, without its time."""
    values = attrs.asdict(record, recurse=False)
    return f"{record.name}({', '.join(_short(value) for name, value in values.items() if name != 'at_ms')})"


def _short(value: object) -> str:
    match value:
        case Enum():
            return str(value.value)
        case ProviderFailure():
            return value.error_class.value
    return str(value)


@frozen
class Node:
    """A configuration, and how it was reached first."""

    machines: tuple[Snapshot, ...]
    observed: ObservedState
    parent: int | None
    handled: Handled
    depth: int
    ended: bool


@frozen
class Report:
    """What a walk found."""

    configurations: int
    facts: int
    """How many facts were handled: the edges between configurations."""
    longest: int
    """How many facts lead to the configuration that is farthest from the start."""
    outcomes: frozenset[tuple[str, str, str, Outcome]]
    """Machine, state and fact, and what became of the fact."""
    taken: frozenset[Taken]
    asked: frozenset[tuple[str, str, str, str, str]]
    """Machine, state, fact, target, and the name of an effect that was asked for."""
    violations: tuple[Violation, ...]
    nodes: tuple[Node, ...] = field(eq=False, repr=False)
    """The configurations. The index is their number."""
    examples: tuple[int, ...] = field(eq=False, repr=False)
    """Numbers of configurations from which, together, every transition that was taken can be taken."""

    def farthest(self) -> int:
        """The number of the first configuration that is farthest from the start."""
        return max(range(len(self.nodes)), key=lambda number: self.nodes[number].depth)


# --- the walk ---------------------------------------------------------------------------------------------


ALL = frozenset(("conversation", *(f"{role.value} link" for role in Role)))
"""The names of the machines of a call in their steps."""
NONE: frozenset[str] = frozenset()


@define
class Walk:
    """A walk over one model of a call: which facts are enabled, and which configurations differ."""

    enabled_facts: EnabledFacts
    key: Key
    policy: ConversationPolicy
    invariants: tuple[Invariant, ...] = INVARIANTS
    stop_at_violation: bool = False
    provider_chains: Mapping[Role, ProviderChain] = field(factory=dict)
    order: AtRandom | None = None
    """The order of a random walk; None: breadth first, to the end."""

    _due: list[tuple[Invariant, frozenset[type[Fact | Effect]] | None]] = field(init=False)
    _nodes: list[Node] = field(factory=list, init=False)
    _pending: deque[int] = field(factory=deque, init=False)
    """The numbers of the configurations that were not expanded yet."""
    _known: dict[Hashable, int] = field(factory=dict, init=False)
    _comes_from: dict[int, set[int]] = field(factory=dict, init=False)
    """For each configuration, those from which one fact leads to it."""
    _facts: int = field(default=0, init=False)
    _outcomes: set[tuple[str, str, str, Outcome]] = field(factory=set, init=False)
    _number: int = field(default=0, init=False)
    """The number of the configuration that is being expanded."""
    _rows: dict[Row, int] = field(factory=dict, init=False)
    """The transitions that were taken, each with the configuration from which it was taken first."""
    _asked: set[tuple[str, str, str, str, str]] = field(factory=set, init=False)
    _violations: dict[Hashable, Violation] = field(factory=dict, init=False)

    def run(self) -> Report:
        """Visit everything reachable, or as much of it as the order allows."""
        self._due = [(invariant, kinds_of(invariant)) for invariant in self.invariants]
        charts = Charts()
        run_by_tables(charts.conversation, self._note_row)
        run_by_tables(charts.link, self._note_row)
        system = ConversationSystem(self.policy, charts, self.provider_chains)
        self._begin(system)
        while self._pending and not self._enough():
            self._expand(
                system, self.order.pop_next(self._pending) if self.order else self._pending.popleft()
            )
        if not self._pending and not self.order:
            self._require_an_end()
        return Report(
            configurations=len(self._nodes),
            facts=self._facts,
            longest=max(node.depth for node in self._nodes),
            outcomes=frozenset(self._outcomes),
            taken=frozenset(
                Taken(row.machine, row.state, row.event, row.guard, row.target) for row in self._rows
            ),
            asked=frozenset(self._asked),
            violations=tuple(self._violations.values()),
            nodes=tuple(self._nodes),
            examples=tuple(sorted(set(self._rows.values()))),
        )

    def _enough(self) -> bool:
        found = self.stop_at_violation and bool(self._violations)
        return found or (self.order is not None and self._facts >= self.order.most_facts)

    def _begin(self, system: ConversationSystem) -> None:
        handled = system.start(at_ms=0.0)
        _, observed = entered(started(handled), handled.steps)
        self._keep(system, observed, None, handled)

    def _expand(self, system: ConversationSystem, number: int) -> None:
        """Handle every enabled fact in one configuration."""
        node = self._nodes[number]
        self._number = number
        self._return_to(system, node, ALL)
        history = system.conversation.context.history
        moved: frozenset[str] = NONE
        for fact in tuple(self.enabled_facts(system, node.observed)):
            self._facts += 1
            self._return_to(system, node, moved)
            try:
                handled = system.handle(fact)
            except Exception as error:  # an error of a machine is a finding, and the walk goes on
                moved = ALL
                self._complain("no_fact_raises", f"{fact} raised {error!r}", number, Handled((), ()))
                continue
            self._note_outcomes(handled)
            moved = _moved(handled)
            if not moved and not _matters(handled, node.observed):
                continue
            observed = self._check(system, node.observed, history, handled, number)
            arrived = self._keep(system, observed, number, handled)
            self._comes_from.setdefault(arrived, set()).add(number)

    def _return_to(self, system: ConversationSystem, node: Node, moved: frozenset[str]) -> None:
        """Restore the memory of the machines that moved."""
        if moved:
            for driver, kept in zip(drivers(system), node.machines, strict=True):
                if driver.name in moved:
                    restore(driver, kept)

    def _note_row(self, row: Row) -> None:
        self._rows.setdefault(row, self._number)

    def _note_outcomes(self, handled: Handled) -> None:
        for step in handled.steps:
            self._outcomes.add((step.machine, step.source, step.fact.name, step.outcome))
            for effect in step.effects:
                names = (step.fact.name, step.target, type(effect).__name__)
                self._asked.add((step.machine, step.source, *names))

    def _check(
        self,
        system: ConversationSystem,
        before: ObservedState,
        history: tuple[Message, ...],
        handled: Handled,
        number: int,
    ) -> ObservedState:
        """Check the invariants after one fact. Returns the observed state afterwards."""
        checked = checked_step(system, before, history, handled)
        for invariant, kinds in self._due:
            if kinds is not None and kinds.isdisjoint(checked.kinds):
                continue
            complaint = invariant(checked)
            if complaint is not None:
                self._complain(invariant.__name__, complaint, number, handled)
        return checked.after

    def _keep(
        self, system: ConversationSystem, observed: ObservedState, parent: int | None, handled: Handled
    ) -> int:
        """Keep the configuration if it is new. Returns its number."""
        key = self.key(system, observed)
        if key not in self._known:
            self._known[key] = len(self._nodes)
            depth = 0 if parent is None else self._nodes[parent].depth + 1
            kept = tuple(snapshot(driver) for driver in drivers(system))
            if self.order is None or depth < self.order.deepest:
                self._pending.append(len(self._nodes))
            self._nodes.append(Node(kept, observed, parent, handled, depth, system.ended))
        return self._known[key]

    def _complain(self, invariant: str, complaint: str, number: int, handled: Handled) -> None:
        """Note a violation, once for each complaint, state and fact."""
        step = handled.steps[0] if handled.steps else None
        about = (invariant, complaint, step and (step.source, step.fact.name))
        if about not in self._violations:
            self._violations[about] = Violation(
                invariant, complaint, (*path_to(self._nodes, number), handled)
            )

    def _require_an_end(self) -> None:
        """Complain about every configuration from which no path leads to the end."""
        ends = [number for number, node in enumerate(self._nodes) if node.ended]
        saved, pending = set(ends), deque(ends)
        while pending:
            for number in self._comes_from.get(pending.popleft(), set()) - saved:
                saved.add(number)
                pending.append(number)
        for number in range(len(self._nodes)):
            if number not in saved:
                self._complain("the_end_can_be_reached", "no path leads to the end", number, Handled((), ()))


def path_to(nodes: Sequence[Node], number: int | None) -> tuple[Handled, ...]:
    """The shortest path to a configuration: how it was reached first."""
    path: list[Handled] = []
    while number is not None:
        path.append(nodes[number].handled)
        number = nodes[number].parent
    return tuple(reversed(path))


def _matters(handled: Handled, observed: ObservedState) -> bool:
    """Whether a fact that moved no machine still matters: an undeclared pair, a request, or a deadline."""
    return any(
        step.outcome is Outcome.UNDECLARED
        or (step.outcome is Outcome.IGNORED and isinstance(step.fact, DeadlinePassed | LinkDeadlinePassed))
        or observed.after_fact(step) is not observed
        for step in handled.steps
    )


def _moved(handled: Handled) -> frozenset[str]:
    """The machines whose memory changed: only a transition changes it."""
    if len(handled.steps) == 1 and handled.steps[0].outcome is not Outcome.TAKEN:
        return NONE
    return frozenset(step.machine for step in handled.steps if step.outcome is Outcome.TAKEN)


def drivers(system: ConversationSystem) -> tuple[Driver[Any], ...]:
    """The drivers of all machines of a call, the conversation first."""
    return (system.conversation, *system.links.values())


def started(handled: Handled) -> ObservedState:
    """The observed state after the start. The conversation's first effects are not part of any step."""
    observed = ObservedState()
    for effect in handled.effects:
        if isinstance(effect, ArmDeadline):
            observed = observed.after_effect(CONVERSATION, effect)
    return observed


def checked_step(
    system: ConversationSystem, before: ObservedState, history: tuple[Message, ...], handled: Handled
) -> CheckedStep:
    """What the invariants get to see of `handled`."""
    lines, after = entered(before, handled.steps)
    conversation = system.conversation
    return CheckedStep(
        handled.steps,
        lines,
        before,
        after,
        conversation.state,
        conversation.room,
        conversation.context,
        history,
        frozenset(type(line.item) for line in lines),
    )
