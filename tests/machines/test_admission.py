"""Admission: when a call would harm the others, and what is left out when there are too many."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

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
from machines.check.admission import ADMISSION_INVARIANTS, AdmissionStep, walk_admission
from machines.check.table_driver import run_by_tables
from machines.declarations import Outcome
from machines.effects import Effect
from machines.policy import AdmissionPolicy

CHART = Admission(AdmissionContext())
CALM, BUSY, LATE = (5.0, 0.3), (5.0, 0.95), (400.0, 1.0)
"""Loads: lag in ms, and share of the processor."""


class Story:
    """One admission machine, with the facts that it got."""

    def __init__(self, policy: AdmissionPolicy | None = None) -> None:
        self.driver = admission_driver(policy or AdmissionPolicy(), CHART)

    @property
    def state(self) -> str:
        return self.driver.state

    def measures(self, load: tuple[float, float], times: int = 1, calls: int = 30) -> tuple[Effect, ...]:
        """Take so many equal measurements in. Returns what was asked for meanwhile."""
        facts = [LoadMeasured(*load, calls)] * times
        return tuple(effect for fact in facts for effect in self.driver.handle(fact).effects)

    def takes(self, calls: int = 30) -> bool:
        (answer,) = self.driver.handle(CallAsked(calls)).effects
        assert answer in (TakeCall(), RefuseCall())
        return answer == TakeCall()

    def closed(self) -> Story:
        self.measures(BUSY, 4)
        assert self.state == "refusing"
        return self


# --- who is taken -----------------------------------------------------------------------------------------


def test_a_calm_server_takes_every_call() -> None:
    story = Story()
    story.measures(CALM, 100)
    assert all(story.takes(calls) for calls in range(1000))


@pytest.mark.parametrize("high", [BUSY, (150.0, 0.3)], ids=["the process is busy", "the loop is late"])
def test_load_beyond_a_bound_closes_the_server_in_two_stages(high: tuple[float, float]) -> None:
    story = Story()
    seen = [story.state]
    for _ in range(4):
        story.measures(high)
        seen.append(story.state)
    assert seen == ["OPEN", "OPEN", "TIGHT", "TIGHT", "refusing"]
    assert not story.takes()


def test_one_collection_of_garbage_changes_nothing() -> None:
    story = Story()
    for _ in range(50):
        story.measures(LATE)
        story.measures(CALM)
        assert story.state == "OPEN"


def test_near_the_bound_calls_are_taken_one_for_each_measurement() -> None:
    story = Story()
    story.measures((5.0, 0.75), 2)
    assert story.state == "TIGHT"
    assert story.takes(30)
    assert story.takes(30), "to ask is not to begin"
    assert not story.takes(31)
    story.measures((5.0, 0.77), calls=31)
    assert story.takes(31)


def test_a_call_that_would_not_fit_is_refused_before_it_is_too_much() -> None:
    story = Story()
    story.measures((5.0, 0.8), 2, calls=4)
    assert not story.takes(4), "each costs a fifth of the processor, and a tenth is left"
    story.measures((5.0, 0.8), calls=40)
    assert story.takes(40)


def test_a_call_that_harms_nobody_is_taken_however_busy_the_machine_is() -> None:
    story = Story()
    for _ in range(20):
        story.measures(LATE, calls=0)
        assert story.takes(0)


# --- hysteresis -------------------------------------------------------------------------------------------


def test_load_around_a_bound_does_not_flap() -> None:
    story = Story().closed()
    for _ in range(50):
        story.measures((5.0, 0.88))
        story.measures((5.0, 0.92))
        assert story.state == "refusing"


def test_it_opens_again_when_the_load_has_been_low_for_a_while() -> None:
    story = Story().closed()
    story.measures(CALM, 4)
    assert story.state == "refusing"
    story.measures(BUSY)
    story.measures(CALM, 4)
    assert story.state == "refusing", "counted anew"
    story.measures(CALM)
    assert story.state == "TIGHT"
    assert story.takes()
    story.measures(CALM, 5)
    assert story.state == "OPEN"


# --- too much was taken -----------------------------------------------------------------------------------


def test_what_is_left_out_goes_in_the_stated_order() -> None:
    story = Story().closed()
    story.measures(LATE, 4)
    assert story.state == "refusing"
    assert story.measures(LATE) == (LeaveOut(Extra.INTERIM_WORDS),)
    assert story.measures(LATE, 5) == (LeaveOut(Extra.TELEMETRY),)
    assert story.measures(LATE, 5) == (EndNewestCalls(3),)
    assert story.measures(LATE, 4, calls=27) == (), "it is waited whether that helped"
    assert story.measures(LATE, 1, calls=27) == (EndNewestCalls(2),)
    assert story.measures((150.0, 0.8), 5) == (BringBack(),)
    assert story.state == "refusing"


def test_a_busy_process_whose_loop_is_in_time_leaves_nothing_out() -> None:
    assert Story().closed().measures((90.0, 1.0), 100) == ()


def test_the_last_call_is_never_ended() -> None:
    story = Story().closed()
    asked = story.measures(LATE, 100, calls=1)
    assert not any(isinstance(each, EndNewestCalls) for each in asked)
    assert EndNewestCalls(1) in story.measures(LATE, 5, calls=2)


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("most_cpu", 1.5, "most_cpu of AdmissionPolicy is 1.5, but must be a number, from 0.01 to 1"),
        ("rises_after", 0, "rises_after of AdmissionPolicy is 0, but must be a whole number, 1 or more"),
    ],
)
def test_a_policy_that_is_none_is_refused(field: str, value: float, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        evolve(AdmissionPolicy(), **{field: value})  # type: ignore[arg-type]


# --- everything -------------------------------------------------------------------------------------------


def test_every_reachable_configuration_keeps_its_promises() -> None:
    report = walk_admission()
    assert report.violations == ()
    assert report.configurations > 300
    assert report.facts > 30_000


def lateness_is_believed_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Admission, "late", lambda self, fact: fact.lag_ms > 1)


def telemetry_goes_first(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Admission, "leave_out_interims", Admission.leave_out_telemetry)


def nothing_is_brought_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Admission, "bring_back", lambda self: None)


def every_call_may_be_the_last(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Admission, "late_with_others", lambda self, fact: self.late(fact))


def nobody_is_alone(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Admission, "harms_nobody", lambda self, fact: False)


def relief_is_never_seen(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Admission, "relieved", lambda self, fact: False)


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (lateness_is_believed_at_once, "only_lateness_costs_calls"),
        (telemetry_goes_first, "things_are_left_out_in_order"),
        (nothing_is_brought_back, "things_are_left_out_in_order"),
        (every_call_may_be_the_last, "calls_end_last"),
        (nobody_is_alone, "a_call_beside_no_other_is_taken"),
        (relief_is_never_seen, "open_can_be_reached"),
    ],
)
def test_a_seeded_fault_is_found(fault: object, found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(fault)
    fault(monkeypatch)
    assert found in {each.partition(":")[0] for each in walk_admission().violations}


class Histories(RuleBasedStateMachine):
    """Any history of measurements and questions, under any policy, by the engine and by the tables."""

    @initialize(
        rises=st.integers(1, 4),
        falls=st.integers(1, 6),
        leaves_out=st.integers(1, 4),
        part=st.floats(0.01, 1),
    )
    def begin(self, rises: int, falls: int, leaves_out: int, part: float) -> None:
        self.policy = AdmissionPolicy(
            rises_after=rises, falls_after=falls, leaves_out_after=leaves_out, ends_part=part
        )
        self.driver = admission_driver(self.policy, CHART)
        tabled = Admission(AdmissionContext(self.policy))
        run_by_tables(tabled)
        self.by_tables = admission_driver(self.policy, tabled)
        self.left_out: tuple[Extra, ...] = ()
        self.calls = 0
        self.since_calm = 0

    def happens(self, fact: LoadMeasured | CallAsked) -> tuple[Effect, ...]:
        step = self.driver.handle(fact)
        assert step == self.by_tables.handle(fact)
        assert step.outcome is Outcome.TAKEN
        before = self.left_out
        for effect in step.effects:
            match effect:
                case LeaveOut(extra=extra):
                    self.left_out = (*self.left_out, extra)
                case BringBack():
                    self.left_out = ()
        seen = AdmissionStep(step, before, self.left_out)
        broken = [each.__name__ for each in ADMISSION_INVARIANTS if not each(seen)]
        assert broken == []
        return step.effects

    @rule()
    def a_call_is_asked_for(self) -> None:
        if self.happens(CallAsked(self.calls)) == (TakeCall(),):
            self.calls += 1

    @precondition(lambda self: self.calls)
    @rule()
    def a_call_ends(self) -> None:
        self.calls -= 1

    @rule(lag_ms=st.floats(0, 1000), cpu=st.floats(0, 1), times=st.integers(1, 8))
    def it_is_measured(self, lag_ms: float, cpu: float, times: int) -> None:
        for _ in range(times):
            for effect in self.happens(LoadMeasured(lag_ms, cpu, self.calls)):
                if isinstance(effect, EndNewestCalls):
                    self.calls -= effect.count
            self.since_calm = self.since_calm + 1 if lag_ms < 64 and cpu < 0.576 else 0

    @invariant()
    def a_server_that_has_been_calm_for_long_is_open(self) -> None:
        if self.since_calm >= 3 * self.policy.falls_after:
            assert self.driver.state == "OPEN"


TestHistories = Histories.TestCase
