"""The declarations of the live machines are complete, and the tables report any that are not."""

from __future__ import annotations

from typing import ClassVar

import pytest
from statemachine import State

from machines.conversation.machine import Conversation
from machines.declarations import Ignored, declared_effects, ignored
from machines.driver import Chart
from machines.guard_expressions import guard_names
from machines.link import Link
from machines.tables import (
    LINK,
    MACHINES,
    Kind,
    Machine,
    deadlines,
    events,
    faults,
    holds,
    leaves,
    refusals,
    rooms,
    rows,
    undeclared,
)
from tests.machines.test_driver import Memory

by_name = pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: str(machine.name))


class Faulty(Chart[Memory]):
    """Nearly everything that can be wrong with a chart."""

    idle = State(initial=True)
    busy = State()
    hung_up = idle.to(busy, cond="ready")
    speech_started = idle.to(busy) | idle.to(idle, cond="ready")
    speech_stopped = busy.to(idle, cond="ready") | busy.to(idle, unless="ready")
    no_such_fact = busy.to(idle)
    IGNORED: ClassVar[tuple[Ignored, ...]] = (
        *ignored("speech_started speech_started speech_stopped no_such_event", (busy,), because="busy"),
    )

    def ready(self) -> bool:
        """Ready."""
        return True


# --- the live machines ------------------------------------------------------------------------------------


@by_name
def test_every_pair_of_state_and_event_is_declared_once_and_completely(machine: Machine) -> None:
    assert undeclared(machine.chart) == ()
    assert faults(machine.chart) == ()


def test_the_conversation_has_exactly_its_five_rooms() -> None:
    assert rooms(Conversation) == ("INITIALIZING", "LISTENING", "THINKING", "RESPONDING", "ENDING")


@by_name
def test_everything_ignored_has_a_reason(machine: Machine) -> None:
    assert all(row.reason for row in rows(machine.chart) if row.kind is Kind.IGNORED)


@by_name
def test_every_action_declares_its_effects(machine: Machine) -> None:
    actions = {action for row in rows(machine.chart) for action in row.actions}
    assert all(hasattr(getattr(machine.chart, action), "effects") for action in actions)
    assert all(isinstance(declared_effects(getattr(machine.chart, action)), tuple) for action in actions)


@by_name
def test_every_guard_says_what_it_asks(machine: Machine) -> None:
    names = {name for row in rows(machine.chart) for name in guard_names(row.guard)}
    assert all(getattr(machine.chart, name).__doc__ for name in names)


UNLIMITED = {
    "conversation": {"quiet", "ended"},
    "link": {"idle", "UP", "dormant", "DOWN", "RELEASED"},
    # A probe is limited by the orchestrator, which makes it.
    "breaker": {"idle", "CLOSED", "probing", "reprobing"},
    # A conversation has limits of its own.
    "call": {"idle", "conversing", "ENDED"},
    # Measurements come as long as the event loop runs.
    "admission": {
        *("OPEN", "TIGHT"),
        *("refusing", "without_interims", "without_telemetry", "ending_calls"),
    },
}


@by_name
def test_only_the_caller_is_waited_for_without_a_deadline(machine: Machine) -> None:
    without = {state.id for state in leaves(machine.chart)} - {each.state for each in deadlines(machine)}
    assert without == UNLIMITED[machine.name]


def test_every_event_with_a_number_can_be_refused() -> None:
    refused = {each.event for machine in MACHINES for each in refusals(machine)}
    assert "playback_at" in refused
    assert "link_opened" in refused
    assert "hung_up" not in refused
    assert {each.reason for each in refusals(LINK)} == {"attempt N is over", "deadline N is not armed"}


def test_a_row_says_all_about_a_transition() -> None:
    found = [row for row in rows(Link) if (row.state, row.event) == ("opening", "link_deadline_passed")]
    row = next(row for row in found if row.target == "waiting")
    assert (row.room, row.guard, row.actions, row.effects, row.target, row.target_room) == (
        "CONNECTING",
        "worth_waiting",
        ("log_failure", "close", "report_provider_failure", "note_failure", "begin_wait"),
        ("LogFailure", "CloseLink", "ReportProviderFailure", "NotifyLink"),
        "waiting",
        "CONNECTING",
    )


# --- wrong declarations are found -------------------------------------------------------------------------


def test_what_is_wrong_with_a_chart_is_said() -> None:
    assert set(faults(Faulty)) == {
        "no_such_event in busy is ignored, but there is no such pair",
        "no fact is called no_such_fact",
        "speech_started in busy is declared as ignored 2 times",
        "hung_up in busy is not declared",
        "speech_stopped in idle is not declared",
        "no_such_fact in idle is not declared",
        "hung_up in idle: nothing is declared for not ready",
        "speech_started in idle: the transition to idle is never taken, because of those before it",
        "speech_stopped in busy: it is declared as ignored, but a guard always holds",
    }
    assert ("busy", "hung_up") in undeclared(Faulty)
    assert "no_such_fact" in events(Faulty)


def test_guards_are_evaluated_as_they_are_written() -> None:
    truth = {"a": True, "b": False}
    assert holds("", {})
    assert holds("a and not b", truth)
    assert not holds("not (a or b)", truth)
    assert guard_names("a and not (b or a)") == ("a", "b")
    with pytest.raises(ValueError, match="a guard may use names"):
        holds("a < b", truth)
