"""The exhaustive check of the admission machine: visits each configuration, and checks the invariants."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator
from itertools import product

from attrs import evolve, field, frozen

from machines.admission import (
    Admission,
    AdmissionContext,
    BringBack,
    CallAsked,
    EndNewestCalls,
    Extra,
    LeaveOut,
    LoadMeasured,
    RefuseCall,
    TakeCall,
    admission_driver,
)
from machines.check.table_driver import run_by_tables
from machines.declarations import Outcome, Step
from machines.driver import Driver
from machines.facts import Fact
from machines.policy import AdmissionPolicy
from machines.tables import ADMISSION, Kind, Row, rows

POLICY = AdmissionPolicy(falls_after=3, leaves_out_after=3)
"""Shorter rows of measurements lose no case."""
LAGS_MS = (5.0, 70.0, 90.0, 150.0, 220.0, 300.0)
SHARES = (0.3, 0.65, 0.8, 0.95)
"""One measurement between each two bounds of the policy."""
CALLS = (0, 1, 2, 30)
ASKED = (0, 1, 2, 3, 30, 31)
IN_ORDER = (Extra.INTERIM_WORDS, Extra.TELEMETRY)
"""What is left out, in this order."""
LEFT_OUT = {"without_interims": 1, "without_telemetry": 2, "ending_calls": 2}
"""How much of it in which state; nothing in all others."""
LOAD = ("OPEN", "TIGHT", "refusing", "without_interims", "without_telemetry", "ending_calls")
"""The states, in the order of the load."""


# --- what must hold ---------------------------------------------------------------------------------------


@frozen
class AdmissionStep:
    """One step of the machine, with what an observer knew before and after it."""

    step: Step
    left_out_before: tuple[Extra, ...]
    left_out: tuple[Extra, ...]

    @property
    def rises(self) -> bool:
        """Whether the state has moved towards more load."""
        return LOAD.index(self.step.target) > LOAD.index(self.step.source)


AdmissionInvariant = Callable[[AdmissionStep], bool]


def every_call_gets_one_answer(seen: AdmissionStep) -> bool:
    """Whoever asks for a call is told yes or no, once, and nobody else is."""
    answers = [each for each in seen.step.effects if isinstance(each, TakeCall | RefuseCall)]
    return len(answers) == isinstance(seen.step.fact, CallAsked)


def asking_changes_nothing(seen: AdmissionStep) -> bool:
    """To ask for a call is no load: `/ready` may ask as often as it likes."""
    return not isinstance(seen.step.fact, CallAsked) or seen.step.source == seen.step.target


def a_call_beside_no_other_is_taken(seen: AdmissionStep) -> bool:
    """A call is refused for the sake of others only."""
    return RefuseCall() not in seen.step.effects or seen.step.fact != CallAsked(0)


def open_refuses_nobody_and_closed_everybody_else(seen: AdmissionStep) -> bool:
    """In OPEN every call is taken, in CLOSED none beside others."""
    if not isinstance(seen.step.fact, CallAsked) or seen.step.source == "TIGHT":
        return True
    return (TakeCall() in seen.step.effects) == (seen.step.source == "OPEN" or seen.step.fact.calls == 0)


def it_goes_one_state_at_a_time(seen: AdmissionStep) -> bool:
    """No measurement leads past a state on the way to more load."""
    return not seen.rises or LOAD.index(seen.step.target) == LOAD.index(seen.step.source) + 1


def nothing_rises_without_reason(seen: AdmissionStep) -> bool:
    """Only a measurement beyond a bound leads to more load."""
    fact = seen.step.fact
    if not seen.rises:
        return True
    return isinstance(fact, LoadMeasured) and (
        fact.lag_ms >= POLICY.most_lag_ms * POLICY.tight or fact.cpu >= POLICY.most_cpu * POLICY.tight
    )


def things_are_left_out_in_order(seen: AdmissionStep) -> bool:
    """First interim words, then telemetry, and nothing without its state."""
    return seen.left_out == IN_ORDER[: LEFT_OUT.get(seen.step.target, 0)]


def calls_end_last(seen: AdmissionStep) -> bool:
    """No call is ended before everything else was left out, and one is always left."""
    ended = [each for each in seen.step.effects if isinstance(each, EndNewestCalls)]
    if not ended:
        return True
    fact = seen.step.fact
    some_left = isinstance(fact, LoadMeasured) and all(0 < each.count < fact.calls for each in ended)
    return some_left and seen.left_out_before == IN_ORDER


def only_lateness_costs_calls(seen: AdmissionStep) -> bool:
    """A busy process whose event loop is in time leaves nothing out and ends no call."""
    taken_away = any(isinstance(each, LeaveOut | EndNewestCalls) for each in seen.step.effects)
    fact = seen.step.fact
    return not taken_away or (isinstance(fact, LoadMeasured) and fact.lag_ms >= POLICY.late_lag_ms)


ADMISSION_INVARIANTS: tuple[AdmissionInvariant, ...] = (
    every_call_gets_one_answer,
    asking_changes_nothing,
    a_call_beside_no_other_is_taken,
    open_refuses_nobody_and_closed_everybody_else,
    it_goes_one_state_at_a_time,
    nothing_rises_without_reason,
    things_are_left_out_in_order,
    calls_end_last,
    only_lateness_costs_calls,
)
OPEN_CAN_BE_REACHED = "open_can_be_reached"
EVERYTHING_IS_MET = "everything_declared_is_met"


# --- the walk ---------------------------------------------------------------------------------------------


@frozen
class AdmissionReport:
    """What the walk found."""

    configurations: int
    facts: int
    transitions: int
    """How many rows of the table were taken: all of them."""
    violations: tuple[str, ...]
    """What is wrong: the invariant, and the step that broke it."""


@frozen
class _Place:
    """A configuration: the machine's memory, and what an observer has seen."""

    context: AdmissionContext
    left_out: tuple[Extra, ...] = field(default=())

    @property
    def key(self) -> Hashable:
        """What tells configurations apart."""
        each = self.context
        return (_names(each), each.high, each.low, each.calls, each.cpu, self.left_out)


def walk_admission() -> AdmissionReport:
    """Try every fact in every configuration that the machine can reach."""
    taken: set[Row] = set()
    chart = Admission(AdmissionContext(POLICY))
    run_by_tables(chart, taken.add)
    first = _Place(admission_driver(POLICY, chart).context)
    known, waiting = {first.key: 0}, deque([first])
    comes_from: dict[int, set[int]] = {}
    open_ones = {0}
    wrong: dict[str, None] = {}
    facts = 0
    while waiting:
        place = waiting.popleft()
        for fact in _enabled_facts():
            facts += 1
            step, after = _after(chart, place, fact)
            broken = tuple(_broken(AdmissionStep(step, place.left_out, after.left_out)))
            wrong.update(dict.fromkeys(broken))
            if broken:
                continue  # what follows from it says nothing, and may never end
            if after.key not in known:
                known[after.key] = len(known)
                waiting.append(after)
                if step.target == "OPEN":
                    open_ones.add(known[after.key])
            comes_from.setdefault(known[after.key], set()).add(known[place.key])
    if len(_leading_to(open_ones, comes_from)) < len(known):
        wrong[f"{OPEN_CAN_BE_REACHED}: from some configurations no path leads to OPEN"] = None
    missing = [row for row in rows(ADMISSION.chart) if row.kind is not Kind.IGNORED and row not in taken]
    wrong.update({f"{EVERYTHING_IS_MET}: {row.event} in {row.state} [{row.guard}]": None for row in missing})
    return AdmissionReport(len(known), facts, len(taken), tuple(wrong))


def _enabled_facts() -> Iterator[Fact]:
    for lag_ms, cpu, calls in product(LAGS_MS, SHARES, CALLS):
        yield LoadMeasured(lag_ms, cpu, calls)
    yield from map(CallAsked, ASKED)


def _after(chart: Admission, place: _Place, fact: Fact) -> tuple[Step, _Place]:
    driver = admission_driver(POLICY, chart)
    _restore(driver, place.context)
    step = driver.handle(fact)
    left_out = place.left_out
    for effect in step.effects:
        match effect:
            case LeaveOut(extra=extra):
                left_out = (*left_out, extra)
            case BringBack():
                left_out = ()
    return step, _Place(driver.context, left_out)


def _restore(driver: Driver[AdmissionContext], kept: AdmissionContext) -> None:
    driver.context = evolve(kept, effects=[])


def _broken(seen: AdmissionStep) -> Iterator[str]:
    if seen.step.outcome is Outcome.UNDECLARED:
        yield f"every_pair_is_declared: {seen.step.reason}"
    for invariant in ADMISSION_INVARIANTS:
        if not invariant(seen):
            yield f"{invariant.__name__}: {seen.step.source} → {seen.step.target}, {seen.step.fact}"


def _names(context: AdmissionContext) -> tuple[str, ...]:
    state = context.state
    return (state,) if isinstance(state, str) else tuple(map(str, state))


def _leading_to(ends: set[int], comes_from: dict[int, set[int]]) -> set[int]:
    """The configurations from which a path leads to one of these."""
    found, pending = set(ends), deque(ends)
    while pending:
        for number in comes_from.get(pending.popleft(), set()) - found:
            found.add(number)
            pending.append(number)
    return found
