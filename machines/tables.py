"""Tables of the machines, read from the live classes: what each state does with each fact.

`rows` holds a whole machine as data: its transitions and what it ignores. `refusals` says which facts can
come too late, `deadlines` how long each state may last, and `faults` what is wrong with the declarations.
"""

from __future__ import annotations

import enum
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial
from operator import itemgetter
from typing import Any

import attrs
from attrs import frozen
from statemachine import State
from statemachine.transition import Transition

from machines import facts
from machines.breaker import Breaker, BreakerContext, BreakerPolicy
from machines.conversation.context import Context, RunningCall
from machines.conversation.machine import Conversation
from machines.declarations import declared_effects
from machines.driver import Chart
from machines.failover_and_retries import LinkContext
from machines.guard_expressions import compiled, guard_names
from machines.history import Message, Speaker
from machines.link import Link
from machines.phone_call import Call, CallContext, CallPolicy
from machines.policy import ConversationPolicy, LinkPolicy
from machines.tools import CallRecord, ToolCall

AnyChart = Chart[Any]


@frozen
class Machine:
    """A machine to be tabled and drawn: its name, its chart, and how to make a fresh memory from a policy."""

    name: str
    chart: type[AnyChart]
    policy: Any
    memory: Callable[[Any], Any]


def _in_a_call(policy: ConversationPolicy) -> Context:
    """A conversation in which a tool is running: the deadline of `running_tools` depends on the tool."""
    record = CallRecord(1, ToolCall("call", "tool", "{}"))
    context = Context(policy, history=(Message(Speaker.ASSISTANT, "", calls=(record,)),))
    context.tools.running = (RunningCall(1, "tool", context.tool(record).timeout_ms),)
    return context


CONVERSATION = Machine("conversation", Conversation, ConversationPolicy(), _in_a_call)
LINK = Machine("link", Link, LinkPolicy(), partial(LinkContext, facts.Role.STT))
BREAKER = Machine("breaker", Breaker, BreakerPolicy(), BreakerContext)
CALL = Machine("call", Call, CallPolicy(), CallContext)
MACHINES = (CONVERSATION, LINK, BREAKER, CALL)


class Kind(enum.Enum):
    """What a row says."""

    TRANSITION = "transition"
    """The state changes."""
    INTERNAL = "internal"
    """The actions run, and the state stays."""
    IGNORED = "ignored"
    """Nothing happens, for a reason. If the pair also has guarded rows: when none of the guards holds."""


@frozen
class Row:
    """What one state does with one fact, when one guard holds."""

    machine: str
    room: str
    state: str
    event: str
    guard: str
    """A boolean expression over the chart's guards; empty if there is none."""
    actions: tuple[str, ...]
    effects: tuple[str, ...]
    """What the actions may ask for. The driver adds `NotifyState` and the deadline's effects."""
    target_room: str
    target: str
    kind: Kind
    reason: str = ""


@frozen
class Refusal:
    """A fact that can be about something that is no longer current, and the reason that is then given."""

    event: str
    reason: str


@frozen
class Deadline:
    """How long a state may last: the policy's field that says so, and its value."""

    state: str
    setting: str
    milliseconds: tuple[float, ...]
    """One value, or a schedule of them."""


# --- reading a chart --------------------------------------------------------------------------------------


def leaves(chart: type[AnyChart]) -> tuple[State, ...]:
    """The innermost states, in the order they are written."""
    return tuple(state for state in chart.states_map.values() if not state.states)


def room_of(state: State) -> str:
    """The outermost state around `state`, or itself."""
    return room_of(state.parent) if state.parent is not None else state.id


def rooms(chart: type[AnyChart]) -> tuple[str, ...]:
    """The outermost states, in the order they are written."""
    return tuple(dict.fromkeys(room_of(state) for state in leaves(chart)))


def events(chart: type[AnyChart]) -> tuple[str, ...]:
    """The names of the facts that the chart takes, in the order they are written."""
    declared: Iterable[object] = chart.events  # type: ignore[assignment]  # a property of the class itself
    names = {str(event) for event in declared}
    # The events of a chart that inherits them come in another order.
    written = (name for kind in reversed(chart.__mro__) for name in vars(kind))
    return tuple(dict.fromkeys(name for name in written if name in names))


def rows(chart: type[AnyChart]) -> tuple[Row, ...]:
    """Every transition and every ignored pair, by state, then by fact; guarded rows in order of trial."""
    found = [*_transition_rows(chart), *_ignored_rows(chart)]
    states, order = [state.id for state in leaves(chart)], events(chart)
    return tuple(sorted(found, key=lambda row: (states.index(row.state), order.index(row.event))))


def _transition_rows(chart: type[AnyChart]) -> Iterator[Row]:
    for state in leaves(chart):
        for transition in state.transitions:
            target = _resting_place(transition)
            actions = _actions(transition)
            asked = (effect for name in actions for effect in declared_effects(getattr(chart, name)))
            for event in str(transition.event).split():
                yield Row(
                    machine=chart.__name__,
                    room=room_of(state),
                    state=state.id,
                    event=event,
                    guard=guard_of(transition),
                    actions=actions,
                    effects=tuple(dict.fromkeys(effect.__name__ for effect in asked)),
                    target_room=room_of(target),
                    target=target.id,
                    kind=Kind.INTERNAL if transition.internal and target == state else Kind.TRANSITION,
                )


def _resting_place(transition: Transition) -> State:
    """Where a transition ends: the target, or the innermost initial state in it."""
    target = transition.target
    if target is None:
        return transition.source
    while target.states:
        target = next(state for state in target.states if state.initial)
    return target


def _actions(transition: Transition) -> tuple[str, ...]:
    return tuple(spec.attr_name for spec in transition.on if not spec.is_convention)


def guard_of(transition: Transition) -> str:
    """The guards of a transition as one boolean expression."""
    parts = []
    for spec in transition.cond:
        several = " " in spec.attr_name
        if spec.expected_value is False:
            parts.append(f"not ({spec.attr_name})" if several else f"not {spec.attr_name}")
        else:
            parts.append(spec.attr_name)
    if len(parts) == 1:
        return parts[0]
    return " and ".join(f"({part})" if " or " in part else part for part in parts)


def _ignored_rows(chart: type[AnyChart]) -> Iterator[Row]:
    states = {state.id: state for state in leaves(chart)}
    for entry in chart.IGNORED:
        if entry.state in states and entry.event in events(chart):
            room = room_of(states[entry.state])
            yield Row(
                machine=chart.__name__,
                room=room,
                state=entry.state,
                event=entry.event,
                guard="",
                actions=(),
                effects=(),
                target_room=room,
                target=entry.state,
                kind=Kind.IGNORED,
                reason=entry.reason,
            )


# --- which facts can be late, and how long states last ---------------------------------------------------

NOBODY = -987654321
"""A number that nothing has, used to find out why a fact with an unknown number is refused."""


@cache
def fact_classes() -> Mapping[str, type[facts.Fact]]:
    """The class of each fact, by the fact's name."""
    return {fact.name: fact for fact in facts.Fact.__subclasses__()}


def refusals(machine: Machine) -> tuple[Refusal, ...]:
    """The facts that can be refused as stale, with N in place of the number."""
    chart = machine.chart(machine.memory(machine.policy))
    found = []
    for event in events(machine.chart):
        reason = chart.stale(_about_nobody(fact_classes()[event]))
        if reason is not None:
            found.append(Refusal(event, reason.replace(str(NOBODY), "N")))
    return tuple(found)


def _about_nobody(fact: type[facts.Fact]) -> facts.Fact:
    """A fact whose numbers all name something that does not exist. Its other fields are None."""
    needed = [field for field in attrs.fields(fact) if field.default is attrs.NOTHING]
    values: dict[str, Any] = {
        field.name: NOBODY if str(field.type) in ("int", "<class 'int'>") else None for field in needed
    }
    return fact(**values)


@cache
def deadlines(machine: Machine) -> tuple[Deadline, ...]:
    """Which setting limits each state: the one that changes the state's deadline when it is changed."""
    states = [state.id for state in leaves(machine.chart)]
    # All policies use one chart, since making a chart takes far longer than asking it.
    chart = machine.chart(machine.memory(machine.policy))
    usual = _delays(chart, machine.memory(machine.policy), states)
    found: list[Deadline] = []
    for field in attrs.fields(type(machine.policy)):
        value = getattr(machine.policy, field.name)
        schedule = value if isinstance(value, tuple) else (value,)
        if all(isinstance(each, float | int) and not isinstance(each, bool) for each in schedule):
            longer = tuple(each + 1 for each in schedule)
            other = longer if isinstance(value, tuple) else longer[0]
            policy = attrs.evolve(machine.policy, **{field.name: other})
            delays = _delays(chart, machine.memory(policy), states)
            limited = [state for state in states if delays[state] != usual[state]]
            found.extend(Deadline(state, field.name, schedule) for state in limited)
    return tuple(sorted(found, key=lambda each: states.index(each.state)))


def _delays(chart: AnyChart, memory: Any, states: list[str]) -> dict[str, float | None]:
    chart.seat(memory)
    return {state: chart.deadline_ms(state, 0.0) for state in states}


# --- what is wrong ----------------------------------------------------------------------------------------


def undeclared(chart: type[AnyChart]) -> tuple[tuple[str, str], ...]:
    """The pairs of a state and a fact that are not declared."""
    declared = {(row.state, row.event) for row in rows(chart)}
    every = itertools.product((state.id for state in leaves(chart)), events(chart))
    return tuple(pair for pair in every if pair not in declared)


def faults(chart: type[AnyChart]) -> tuple[str, ...]:
    """Everything wrong with the declarations that can be seen without running them."""
    return tuple(itertools.chain(_unknown(chart), _twice(chart), _pairs_at_fault(chart)))


def _unknown(chart: type[AnyChart]) -> Iterator[str]:
    states, known = {state.id for state in leaves(chart)}, set(events(chart))
    for entry in chart.IGNORED:
        if entry.state not in states or entry.event not in known:
            yield f"{entry.event} in {entry.state} is ignored, but there is no such pair"
    for event in known - set(fact_classes()):
        yield f"no fact is called {event}"


def _twice(chart: type[AnyChart]) -> Iterator[str]:
    count = Counter((entry.state, entry.event) for entry in chart.IGNORED)
    for (state, event), times in count.items():
        if times > 1:
            yield f"{event} in {state} is declared as ignored {times} times"


def _pairs_at_fault(chart: type[AnyChart]) -> Iterator[str]:
    for state, event in undeclared(chart):
        yield f"{event} in {state} is not declared"
    for (state, event), pair in itertools.groupby(rows(chart), key=lambda row: (row.state, row.event)):
        for fault in _guard_faults(tuple(pair)):
            yield f"{event} in {state}: {fault}"


def _guard_faults(pair: tuple[Row, ...]) -> Iterator[str]:
    """What is wrong with one pair: a combination of guards without a row, or a row that is never reached."""
    tried = [row for row in pair if row.kind is not Kind.IGNORED]
    fallen_through = False
    reached = set()
    for truth in assignments(row.guard for row in tried):
        first = next((row for row in tried if holds(row.guard, truth)), None)
        if first is None:
            fallen_through = True
            if len(tried) == len(pair):
                yield f"nothing is declared for {_described(truth)}"
        else:
            reached.add(first)
    for row in tried:
        if row not in reached:
            yield f"the transition to {row.target} is never taken, because of those before it"
    if tried and len(tried) < len(pair) and not fallen_through:
        yield "it is declared as ignored, but a guard always holds"


def assignments(guards: Iterable[str]) -> Iterator[dict[str, bool]]:
    """Every combination of truth values of the guards in these expressions."""
    names = sorted({name for guard in guards for name in guard_names(guard)})
    for values in itertools.product((False, True), repeat=len(names)):
        yield dict(zip(names, values, strict=True))


def _described(truth: Mapping[str, bool]) -> str:
    return " and ".join(name if value else f"not {name}" for name, value in truth.items()) or "no guard"


def holds(guard: str, truth: Mapping[str, bool]) -> bool:
    """Whether a boolean expression over guards holds, given the truth of each."""
    return bool(_of_truth(guard)(truth))


@cache
def _of_truth(guard: str) -> Callable[[Mapping[str, bool]], Any]:
    return compiled(guard, itemgetter)
