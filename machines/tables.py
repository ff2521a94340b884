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
from machines.admission import Admission, AdmissionContext
from machines.admission import longest_ms as longest_of_admission_ms
from machines.breaker import Breaker, BreakerContext, BreakerPolicy
from machines.breaker import longest_ms as longest_of_breaker_ms
from machines.conversation.context import Context
from machines.conversation.deadlines import AFTER_AUDIO
from machines.conversation.deadlines import longest_ms as longest_in_conversation_ms
from machines.conversation.machine import Conversation
from machines.declarations import declared_effects
from machines.driver import Chart
from machines.failover_and_retries import LinkContext
from machines.guard_expressions import compiled, guard_names
from machines.link import Link
from machines.link import longest_ms as longest_of_link_ms
from machines.policy import AdmissionPolicy, ConversationPolicy, LinkPolicy
from machines.telephone_call.context import CallContext
from machines.telephone_call.deadlines import longest_ms as longest_of_call_ms
from machines.telephone_call.machine import TelephoneCall
from machines.telephone_call.policy import CallPolicy

AnyChart = Chart[Any]


@frozen
class Machine:
    """A machine to be tabled and drawn."""

    name: str
    chart: type[AnyChart]
    policy: Any
    memory: Callable[[Any], Any]
    """Makes a fresh memory from a policy."""
    longest_ms: Callable[[str, Any], float | None]
    """The longest deadline that a state can have under a policy; None: it may have none."""
    after_audio: frozenset[str] = frozenset()
    """The states whose deadline counts from the end of the audio that is there to be played."""


CONVERSATION = Machine(
    "conversation", Conversation, ConversationPolicy(), Context, longest_in_conversation_ms, AFTER_AUDIO
)
LINK = Machine("link", Link, LinkPolicy(), partial(LinkContext, facts.Role.STT), longest_of_link_ms)
BREAKER = Machine("breaker", Breaker, BreakerPolicy(), BreakerContext, longest_of_breaker_ms)
CALL = Machine("call", TelephoneCall, CallPolicy(), CallContext, longest_of_call_ms)
ADMISSION = Machine("admission", Admission, AdmissionPolicy(), AdmissionContext, longest_of_admission_ms)
MACHINES = (CONVERSATION, LINK, BREAKER, CALL, ADMISSION)


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
    """How long a state may last at most, and the policy's fields that say so."""

    state: str
    settings: tuple[str, ...]
    longest_ms: float
    after_audio: bool
    """It counts from the end of the audio that is there to be played."""
    begins_anew: bool
    """The state may go on when it has passed, with another one: the second half of a wait, another try."""


# --- reading a chart --------------------------------------------------------------------------------------


@cache
def leaves(chart: type[AnyChart]) -> tuple[State, ...]:
    """The innermost states, in the order they are written."""
    return tuple(state for state in chart.states_map.values() if not state.states)


def room_of(state: State) -> str:
    """The outermost state around `state`, or itself."""
    return room_of(state.parent) if state.parent is not None else state.id


def rooms(chart: type[AnyChart]) -> tuple[str, ...]:
    """The outermost states, in the order they are written."""
    return tuple(dict.fromkeys(room_of(state) for state in leaves(chart)))


@cache
def events(chart: type[AnyChart]) -> tuple[str, ...]:
    """The names of the facts that the chart takes, in the order they are written."""
    declared: Iterable[object] = chart.events  # type: ignore[assignment]  # a property of the class itself
    names = {str(event) for event in declared}
    # The events of a chart that inherits them come in another order.
    written = (name for kind in reversed(chart.__mro__) for name in vars(kind))
    return tuple(dict.fromkeys(name for name in written if name in names))


@cache
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
    """The longest deadline of each state, and the settings that change it when they are changed."""
    return tuple(
        Deadline(
            state.id,
            _limiting(machine, state.id),
            longest,
            state.id in machine.after_audio,
            _survives_its_deadline(machine, state.id),
        )
        for state in leaves(machine.chart)
        if (longest := machine.longest_ms(state.id, machine.policy)) is not None
    )


def _survives_its_deadline(machine: Machine, state: str) -> bool:
    return any(
        row.state == state and row.event.endswith("deadline_passed") and row.kind is Kind.INTERNAL
        for row in rows(machine.chart)
    )


def _limiting(machine: Machine, state: str) -> tuple[str, ...]:
    """The fields of the policy that change the longest deadline of a state."""
    longest = machine.longest_ms(state, machine.policy)
    found = []
    for field in attrs.fields(type(machine.policy)):
        if "most" in field.metadata:
            continue  # a fraction, not a time
        value = getattr(machine.policy, field.name)
        schedule = value if isinstance(value, tuple) else (value,)
        if all(isinstance(each, float | int) and not isinstance(each, bool) for each in schedule):
            others = [tuple(type(each)(each * factor + 1) for each in schedule) for factor in (0.5, 2)]
            policies = [
                attrs.evolve(machine.policy, **{field.name: other if isinstance(value, tuple) else other[0]})
                for other in others
            ]
            if any(machine.longest_ms(state, policy) != longest for policy in policies):
                found.append(field.name)
    return tuple(found)


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
