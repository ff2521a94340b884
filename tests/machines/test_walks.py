"""What the walks of `vantum check` show together, and that what they were walked by is true to the engine."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from attrs import evolve
from click.testing import CliRunner

from machines.check.markdown import markdown
from machines.check.report import PLAN, Visited, complaints
from machines.check.walk import Taken
from machines.declarations import Outcome
from machines.facts import Role
from machines.system import LineUp
from orchestrator import checking
from orchestrator.cli import main
from tests.machines.twins import Twins, offered

REPORT = Path(__file__).parents[2] / "docs" / "check.md"
SAMPLE = 40
"""Configurations of each walk that are tried beside those that take every transition between them."""


def test_nothing_is_found_wrong(visited: tuple[Visited, ...]) -> None:
    assert complaints(visited) == ()


def test_the_command_succeeds(visited: tuple[Visited, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    made = {one.name: one.report for one in visited}
    plan = (evolve(planned, walk=lambda *_, report=made[planned.name], **__: report) for planned in PLAN)
    monkeypatch.setattr(checking, "PLAN", tuple(plan))
    result = CliRunner().invoke(main, ["check"])
    assert result.exit_code == 0
    assert result.output.endswith(": nothing found wrong.\n")


def test_the_committed_report_is_current(visited: tuple[Visited, ...]) -> None:
    assert REPORT.read_text(encoding="utf-8") == markdown(visited, "../diagrams"), (
        "docs/check.md is out of date: `vantum check --report docs/check.md` writes it"
    )


def test_tables_and_engine_agree_on_every_transition_of_the_walks(visited: tuple[Visited, ...]) -> None:
    twins, tried = Twins(), 0
    beginnings = (Twins(), Twins(line_ups={Role.STT: LineUp(1, frozenset({0}))}))
    for each in beginnings:
        each.start()
    draw = random.Random(4)
    for one in visited:
        numbers = draw.sample(range(len(one.report.nodes)), min(SAMPLE, len(one.report.nodes)))
        for number in sorted({*numbers, *one.report.examples}):
            node = one.report.nodes[number]
            twins.go_to(node)
            for fact in dict.fromkeys(offered(twins.tables, node.books)):
                handled = twins.handle(fact)
                tried += 1
                if any(step.outcome is Outcome.TAKEN for step in handled.steps):
                    twins.go_to(node)
    taken = {
        Taken(row.machine, row.state, row.event, row.guard, row.target)
        for each in (twins, *beginnings)
        for row in each.rows
    }
    assert taken >= {transition for one in visited for transition in one.report.taken}
    assert tried > 10_000
