"""Tables and the library's engine lead to the same steps: after every fact, effects and memory are equal."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from statemachine import State

from machines import effects as do
from machines import facts
from machines.check.observer import entered
from machines.check.table_driver import run_by_tables
from machines.check.walk import started
from machines.check.walks import QUEUEING, SHORT
from machines.declarations import Outcome
from machines.driver import Chart, Driver
from machines.facts import Fact, Role, TurnMode
from machines.policy import ConversationPolicy
from machines.system import ProviderChain
from tests.machines.calls import HUNG_UP, TWO_EACH
from tests.machines.check.both_drivers import ONE_EACH, BothDrivers, Tables, every_enabled_fact
from tests.machines.test_driver import Lamp, Memory

TABLES = Tables()
WAITS = st.sampled_from([0.0, 1.0, 20.0, 200.0, 5_000.0, 60_000.0])


@pytest.mark.repeats
@given(
    data=st.data(),
    policy=st.sampled_from([SHORT, QUEUEING, ConversationPolicy()]),
    provider_chains=st.sampled_from([ONE_EACH, TWO_EACH]),
    mode=st.sampled_from(TurnMode),
    length=st.integers(1, 40),
)
@settings(deadline=None)
def test_tables_and_engine_agree_on_whole_calls(
    data: st.DataObject,
    policy: ConversationPolicy,
    provider_chains: Mapping[Role, ProviderChain],
    mode: TurnMode,
    length: int,
) -> None:
    both, now = BothDrivers(TABLES, policy, provider_chains), 0.0
    beginning = both.start()
    _, observed = entered(started(beginning), beginning.steps)
    opening: list[Fact] = [facts.RecordingStarted(mode), *(facts.LinkOpened(role, 1) for role in Role)]
    for number in range(length):
        if number < len(opening):
            fact = opening[number]
        else:
            enabled = tuple(every_enabled_fact(both.tables, observed))
            fact, wait = enabled[data.draw(st.integers(0, len(enabled) - 1))], data.draw(WAITS)
            now += wait
        handled = both.handle(evolve(fact, at_ms=now))
        _, observed = entered(observed, handled.steps)


# --- the tables by themselves -----------------------------------------------------------------------------


class Curious(Chart[Memory]):
    """A chart with a guard that has another parameter than the fact."""

    off = State(initial=True)
    on = State()
    hung_up = off.to(on, cond="known") | on.to(off)

    def known(self, source: State) -> bool:
        """Never called."""
        return source is not None


class Calculating(Chart[Memory]):
    """A chart with a guard that is not a boolean expression."""

    off = State(initial=True)
    on = State()
    hung_up = off.to(on, cond="level > 1") | on.to(off)
    level = 1


def lamp() -> Driver[Memory]:
    chart = Lamp(Memory())
    run_by_tables(chart)
    return Driver("lamp", chart, Memory(), do.ArmDeadline, do.DisarmDeadline)


def test_an_error_leaves_the_state_as_it_was_and_no_effects_behind() -> None:
    driver = lamp()
    with pytest.raises(RuntimeError, match="broken"):
        driver.handle(facts.SpeechStarted())
    assert driver.state == "off"
    assert driver.handle(HUNG_UP).effects == (do.AbandonConversation(),)
    assert driver.state == "on"


def test_a_pair_without_a_transition_is_said_to_be_ignored_or_undeclared() -> None:
    driver = lamp()
    assert driver.handle(facts.LinkUp(Role.STT)).outcome is Outcome.IGNORED
    driver.handle(HUNG_UP)
    assert driver.handle(facts.SpeechStopped(100)).outcome is Outcome.UNDECLARED


def test_a_method_that_was_patched_before_is_the_one_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lamp, "ask", lambda self: None)
    assert lamp().handle(HUNG_UP).effects == ()


def test_what_the_tables_cannot_do_is_refused() -> None:
    with pytest.raises(ValueError, match="known wants source"):
        run_by_tables(Curious(Memory()))
    with pytest.raises(ValueError, match="a guard may use names"):
        run_by_tables(Calculating(Memory()))
