"""Scenarios of faults: reading the file, and which connections have a fault."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from adapters.simulators import (
    Fault,
    FaultKind,
    RandomFaults,
    Scenario,
    ScenarioError,
    SttDialect,
    TtsDialect,
)
from adapters.simulators.faults import FaultPlan

EXAMPLE = """
[[fault]]
kind = "status"
at = "deepgram"
status = 429
retry_after = 2
times = 2

[[fault]]
kind = "stall"
at = "cartesia.websocket"
after = 3
times = 0

[random]
chance = 0.25
kinds = ["reset", "drip"]
"""
EXPECTED = Scenario(
    (
        Fault(FaultKind.STATUS, "deepgram", status=429, retry_after=2.0, times=2),
        Fault(FaultKind.STALL, "cartesia.websocket", after=3, times=0),
    ),
    RandomFaults(0.25, (FaultKind.RESET, FaultKind.DRIP)),
)


def test_a_scenario_is_read_from_toml(tmp_path: Path) -> None:
    path = tmp_path / "scenario.toml"
    path.write_text(EXAMPLE)
    assert Scenario.read(path) == EXPECTED


def test_a_scenario_names_dialects(tmp_path: Path) -> None:
    path = tmp_path / "scenario.toml"
    path.write_text('stt_dialect = "no-finalize"\ntts_dialect = "odd-chunks"')
    read = Scenario.read(path)
    assert (read.stt_dialect, read.tts_dialect) == (SttDialect.NO_FINALIZE, TtsDialect.ODD_CHUNKS)
    path.write_text('stt_dialect = "klingon"')
    with pytest.raises(ScenarioError, match="stt_dialect"):
        Scenario.read(path)


def test_a_scenario_is_read_from_json(tmp_path: Path) -> None:
    path = tmp_path / "scenario.json"
    path.write_text(
        json.dumps(
            {
                "fault": [
                    {"kind": "status", "at": "deepgram", "status": 429, "retry_after": 2, "times": 2},
                    {"kind": "stall", "at": "cartesia.websocket", "after": 3, "times": 0},
                ],
                "random": {"chance": 0.25, "kinds": ["reset", "drip"]},
            }
        )
    )
    assert Scenario.read(path) == EXPECTED


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ('[[fault]]\nkind = "explode"', "kind"),
        ('[[fault]]\nkind = "stall"\nafterr = 3', "afterr"),
        ('[[fault]]\nat = "deepgram"', "kind"),
        ('[[fault]]\nkind = "stall"\nafter = "soon"', "after"),
        ("fault = 3", "fault"),
        ("not toml at all", "cannot be read"),
    ],
)
def test_a_scenario_that_cannot_be_used_says_why(tmp_path: Path, content: str, named: str) -> None:
    path = tmp_path / "scenario.toml"
    path.write_text(content)
    with pytest.raises(ScenarioError, match=named):
        Scenario.read(path)


def test_a_missing_scenario_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="nothing-here"):
        Scenario.read(tmp_path / "nothing-here.toml")


def test_a_fault_happens_on_the_connections_it_is_meant_for() -> None:
    plan = FaultPlan([Fault(FaultKind.STALL, "deepgram", skip=1, times=2)])
    struck = [bool(plan.next_connection("deepgram.v1")) for _ in range(5)]
    assert struck == [False, True, True, False, False]
    assert plan.next_connection("openai.chat") == ()


@pytest.mark.parametrize(
    ("at", "route", "concerned"),
    [
        ("*", "openai.chat", True),
        ("deepgram", "deepgram.v2", True),
        ("deepgram.v1", "deepgram.v2", False),
        ("deep", "deepgram.v1", False),
    ],
)
def test_a_fault_names_a_route_a_vendor_or_all(at: str, route: str, concerned: bool) -> None:
    assert Fault(FaultKind.STALL, at).concerns(route) is concerned


def test_random_faults_come_from_the_seed() -> None:
    def drawn(seed: int) -> list[tuple[Fault, ...]]:
        plan = FaultPlan.of(Scenario(random=RandomFaults(0.5)), seed)
        return [plan.next_connection("deepgram.v1") for _ in range(50)]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    kinds = Counter(fault.kind for faults in drawn(1) for fault in faults)
    assert 10 < kinds.total() < 40
    assert len(kinds) > 5


def test_without_a_chance_nothing_is_drawn() -> None:
    plan = FaultPlan.of(Scenario(), 1)
    assert [plan.next_connection("deepgram.v1") for _ in range(50)] == [()] * 50
