"""What the walks of `vantum check` cover together, and that tables and engine agree on the way."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from attrs import evolve
from click.testing import CliRunner

from machines.check import Report
from machines.check.admission import walk_admission
from machines.check.invariants import INVARIANTS
from machines.check.markdown import markdown
from machines.check.report import PLAN, Planned, Visited, complaints, violations
from machines.check.walk import Taken
from machines.declarations import Outcome
from machines.facts import Role
from machines.system import ProviderChain
from machines.tables import CONVERSATION, LINK, Kind, Row, rows
from orchestrator.cli import check as checking
from orchestrator.cli.main import main
from tests.machines.check.both_drivers import BothDrivers, Tables, every_enabled_fact

# All in one file: a file is run by one process, so the walks are made once.
pytestmark = [pytest.mark.slow, pytest.mark.repeats]
BESIDE_THE_MODEL = {
    "NotifyState",
    "ReturnLink",
    "ArmDeadline",
    "DisarmDeadline",
    "ArmLinkDeadline",
    "DisarmLinkDeadline",
}
"""Effects that the driver asks for, or the entry into a state, instead of an action."""
LINKS = ("stt link", "llm link", "tts link")
REPORT = Path(__file__).parents[3] / "docs" / "check.md"
SAMPLE = 40
"""How many configurations of each walk are tried besides those that take every transition."""


@cache
def visit(planned: Planned) -> Visited:
    """The walk, made once."""
    return planned.run()


@pytest.fixture(scope="module", autouse=True)
def _forgotten() -> Iterator[None]:
    """What the walks saw is gigabytes, which every later search for garbage would go through."""
    yield
    visit.cache_clear()


@pytest.mark.parametrize("planned", PLAN, ids=lambda planned: str(planned.name))
def test_a_walk_finds_nothing_wrong(planned: Planned) -> None:
    """One test for each, so that none takes longer than one walk, the longest half a minute."""
    assert violations((visit(planned),)) == ()


@pytest.fixture(scope="module")
def visited() -> tuple[Visited, ...]:
    """Every walk of `vantum check`."""
    return tuple(visit(planned) for planned in PLAN)


def test_nothing_that_is_declared_is_missed_by_all(visited: tuple[Visited, ...]) -> None:
    assert complaints(visited) == ()


def test_the_command_succeeds(visited: tuple[Visited, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    made = {one.name: one.report for one in visited}
    plan = (evolve(planned, walk=lambda *_, report=made[planned.name], **__: report) for planned in PLAN)
    monkeypatch.setattr(checking, "PLAN", tuple(plan))
    result = CliRunner().invoke(main, ["check"])
    assert result.exit_code == 0
    assert result.output.endswith(": nothing found wrong.\n")


def test_the_committed_report_is_current(visited: tuple[Visited, ...]) -> None:
    assert REPORT.read_text(encoding="utf-8") == markdown(visited, walk_admission(), "../diagrams"), (
        "docs/check.md is out of date: `vantum check --report docs/check.md` writes it"
    )


# --- what the walks saw ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reports(visited: tuple[Visited, ...]) -> tuple[Report, ...]:
    """All walks."""
    return tuple(one.report for one in visited)


@pytest.mark.parametrize("invariant", [*(each.__name__ for each in INVARIANTS), "the_end_can_be_reached"])
def test_every_reachable_configuration_keeps(reports: tuple[Report, ...], invariant: str) -> None:
    broken = [each for report in reports for each in report.violations if each.invariant == invariant]
    assert not broken, str(broken[0])


def test_no_fact_is_too_much_for_a_machine(reports: tuple[Report, ...]) -> None:
    known = {"the_end_can_be_reached", *(each.__name__ for each in INVARIANTS)}
    assert [each for report in reports for each in report.violations if each.invariant not in known] == []


def test_the_walk_is_a_walk_over_thousands_of_configurations(reports: tuple[Report, ...]) -> None:
    by_name = {planned.name: report for planned, report in zip(PLAN, reports, strict=True)}
    for name in ("answers", "turns", "queue", "host", "tools", "blocking", "fillers"):
        assert by_name[name].configurations > 1_000
        assert by_name[name].facts > 30_000
        assert by_name[name].longest > 10
    assert by_name["links"].configurations > 500
    assert by_name["one link"].configurations > 100
    assert by_name["two providers"].configurations > 1_000


def test_every_transition_is_taken(reports: tuple[Report, ...]) -> None:
    taken = {each for report in reports for each in report.taken}
    missing = [
        row
        for machine in (CONVERSATION, LINK)
        for row in rows(machine.chart)
        if row.kind is not Kind.IGNORED
        and Taken(row.machine, row.state, row.event, row.guard, row.target) not in taken
    ]
    # A link is wanted when the call starts: it gets no other fact before.
    assert {(row.state, row.event) for row in missing} <= {
        ("idle", event)
        for event in ("link_released", "link_renewal_wanted", "provider_down", "provider_recovered")
    }


def test_every_ignored_pair_is_ignored_or_refused_before(reports: tuple[Report, ...]) -> None:
    outcomes = {outcome for report in reports for outcome in report.outcomes}

    def met(row: Row) -> bool:
        names = ("conversation",) if row.machine == "Conversation" else LINKS
        return any(
            (name, row.state, row.event, outcome) in outcomes
            for name in names
            for outcome in (Outcome.IGNORED, Outcome.REFUSED)
        )

    missing = [
        (row.state, row.event)
        for machine in (CONVERSATION, LINK)
        for row in rows(machine.chart)
        if row.kind is Kind.IGNORED and not met(row)
    ]
    # Before the link is wanted there are no attempts and no deadlines, and nothing asks for its replacement.
    idle = {
        ("idle", event)
        for event in (
            "link_opened",
            "link_failed",
            "link_deadline_passed",
            "link_needed",
            "link_replacement_wanted",
            "link_return_wanted",
        )
    }
    assert set(missing) <= idle


def test_actions_ask_for_nothing_but_what_they_declare(reports: tuple[Report, ...]) -> None:
    declared = {
        (row.machine, row.state, row.event, row.target, effect)
        for machine in (CONVERSATION, LINK)
        for row in rows(machine.chart)
        for effect in row.effects
    }
    for report in reports:
        for machine, state, event, target, effect in report.asked:
            chart = "Conversation" if machine == "conversation" else "Link"
            if effect not in BESIDE_THE_MODEL:
                assert (chart, state, event, target, effect) in declared


def test_every_declared_effect_is_asked_for_somewhere(reports: tuple[Report, ...]) -> None:
    asked = {effect for report in reports for *_, effect in report.asked}
    declared = {
        effect for machine in (CONVERSATION, LINK) for row in rows(machine.chart) for effect in row.effects
    }
    assert declared <= asked


# --- the tables and the engine ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tables() -> Tables:
    """They are expensive to make."""
    return Tables()


@pytest.mark.parametrize("planned", PLAN, ids=lambda planned: str(planned.name))
def test_tables_and_engine_agree_on_every_transition_of_a_walk(planned: Planned, tables: Tables) -> None:
    tables.rows.clear()
    both, tried = BothDrivers(tables), 0
    # Each walk begins with one of these.
    for each in (
        BothDrivers(tables),
        BothDrivers(tables, provider_chains={Role.STT: ProviderChain(1, frozenset({0}))}),
    ):
        each.start()
    report, draw = visit(planned).report, random.Random(4)
    numbers = draw.sample(range(len(report.nodes)), min(SAMPLE, len(report.nodes)))
    for number in sorted({*numbers, *report.examples}):
        node = report.nodes[number]
        both.go_to(node)
        for fact in dict.fromkeys(every_enabled_fact(both.tables, node.observed)):
            handled = both.handle(fact)
            tried += 1
            if any(step.outcome is Outcome.TAKEN for step in handled.steps):
                both.go_to(node)
    taken = {Taken(row.machine, row.state, row.event, row.guard, row.target) for row in tables.rows}
    assert taken >= set(report.taken)
    assert tried > len(report.examples)
