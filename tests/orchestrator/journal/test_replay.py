"""Replay: differences are found and shown; a call can be stepped through, drawn, and exported as a test."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
import zlib
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import pytest
import trio
from attrs import evolve
from click.testing import CliRunner, Result
from trio.testing import MockClock

from machines import effects as do
from machines import facts, history, policy, system
from machines.conversation.machine import Conversation
from machines.facts import Role, SegmentVoiced, SpeechStarted, TurnMode
from machines.policy import ConversationPolicy
from machines.system import Handled
from orchestrator.cli.main import main
from orchestrator.journal.exported_test import literal, source_of_test
from orchestrator.journal.format import FORMAT, Head, Record, read_journal
from orchestrator.journal.records import FACTS
from orchestrator.journal.redaction import Redactor
from orchestrator.journal.replay_diagram import draw, traffic_of
from orchestrator.simulation import ReplayDiffers, simulated_call
from orchestrator.simulation.campaign import Campaign
from tests.orchestrator.journal.journals import broken_call, kept_in, write

ROOT = Path(__file__).parents[3]


def vantum(*arguments: str | Path, typed: str = "") -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments], input=typed)


async def a_call() -> list[Record]:
    """The records of a call with two turns, the second of which interrupts the first answer."""
    records: list[Record] = []
    async with simulated_call(
        policy=ConversationPolicy(system_prompt="Be brief."), journal=kept_in(records)
    ) as call:
        await call.start_recording(TurnMode.AUTOMATIC)
        await call.say("hello please")
        await call.keep_quiet(600)
        await call.reaches("speaking")
        await call.say("stop wait tell me")
        await call.keep_quiet(600)
        await call.reaches("speaking")
    return records


@pytest.fixture(scope="module")
def records() -> list[Record]:
    trio._core._run._r.seed(0)
    return trio.run(a_call, clock=MockClock(autojump_threshold=0))


@pytest.fixture
def journal(records: list[Record], tmp_path: Path) -> Path:
    return write(tmp_path / "a.journal", records)


# --- the same ---------------------------------------------------------------------------------------------


def test_a_journal_that_is_replayed_the_same_is_summed_up(journal: Path) -> None:
    result = vantum("replay", journal)
    assert result.exit_code == 0, result.output
    first, second, third, *_ = result.output.splitlines()
    assert first == f"{journal}: the same in every step and every effect."
    assert second.endswith("ended: caller_hung_up")
    assert third == "call 0198-call, 2026-09-21 14:13:20 UTC, dialect vantum.v2"


def test_a_torn_journal_is_replayed_as_far_as_it_goes(journal: Path) -> None:
    journal.write_bytes(journal.read_bytes()[:-30])
    result = vantum("replay", journal)
    assert result.exit_code == 0
    assert "Its last record is torn:" in result.output
    assert "The journal breaks off" in result.output


def test_a_redacted_journal_says_so(records: list[Record], tmp_path: Path) -> None:
    path = write(tmp_path / "a.journal", records, Redactor())
    assert "What was said is redacted." in vantum("replay", path).output


# --- differences ------------------------------------------------------------------------------------------


def test_a_changed_guard_is_found_and_shown_in_its_context(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Conversation, "interruptible", lambda self: False)
    result = vantum("replay", journal)
    assert result.exit_code == 1
    assert ": a difference at fact " in result.output
    assert "Before it:" in result.output
    assert "  - conversation: speech_started: speaking -> paused\n" in result.output
    assert "  + conversation: speech_started: stays speaking\n" in result.output


def test_a_changed_effect_is_found(records: list[Record], tmp_path: Path) -> None:
    head = records[0]
    assert isinstance(head, Head)
    changed = [evolve(head, policy=evolve(head.policy, barge_in_patience_ms=2001)), *records[1:]]
    result = vantum("replay", write(tmp_path / "a.journal", changed))
    assert result.exit_code == 1
    assert "  -   ArmDeadline(" in result.output
    assert "delay_ms=2001" in result.output


def test_effects_in_another_order_are_a_difference(records: list[Record], tmp_path: Path) -> None:
    beginning = records[1]
    assert isinstance(beginning, Handled)
    backwards = [records[0], evolve(beginning, effects=beginning.effects[::-1]), *records[2:]]
    result = vantum("replay", write(tmp_path / "a.journal", backwards))
    assert result.exit_code == 1
    assert "a difference at fact 0" in result.output


async def test_a_simulated_call_that_is_not_replayed_the_same_fails(autojump_clock: MockClock) -> None:
    with pytest.raises(
        ReplayDiffers, match=r"^fact \d+ led to .*delay_ms=2000.*, it leads to .*delay_ms=3000"
    ):
        async with simulated_call() as call:
            await call.reaches("quiet")
            head = call.records[0]
            assert isinstance(head, Head)
            call.records[0] = evolve(head, policy=evolve(head.policy, close_timeout_ms=3000))


# --- what cannot be replayed ------------------------------------------------------------------------------


def set_format(journal: Path, number: int) -> None:
    """Change the format in the head's content, and the checksum with it."""
    data = journal.read_bytes()
    at = data.index(b"\xa4head") + len(b"\xa4head")
    assert data[at] == FORMAT
    length = int.from_bytes(data[15:19], "little")
    content = bytearray(data[23 : 23 + length])
    content[at - 23] = number
    checksum = zlib.crc32(content, zlib.crc32(length.to_bytes(4, "little")))
    journal.write_bytes(data[:19] + checksum.to_bytes(4, "little") + bytes(content) + data[23 + length :])


@pytest.mark.parametrize(("number", "reader"), [(1, ", which Vantum 0.1.0 reads"), (FORMAT + 1, "")])
def test_another_format_is_an_error_that_names_the_version_that_reads_it(
    number: int, reader: str, journal: Path
) -> None:
    set_format(journal, number)
    result = vantum("replay", journal)
    assert result.exit_code == 2
    assert result.output == (
        f"Error: {journal} has format {number}{reader}; this version of Vantum reads format {FORMAT}.\n"
    )


@pytest.mark.parametrize("command", ["replay", "export-test"])
def test_a_file_that_is_not_a_journal_is_an_error_of_one_sentence(command: str, tmp_path: Path) -> None:
    missing = vantum(command, tmp_path / "nowhere")
    assert (missing.exit_code, missing.output.count("\n")) == (2, 1)
    assert missing.output.startswith("Error: ")
    (tmp_path / "text").write_text("hello")
    foreign = vantum(command, tmp_path / "text")
    assert (foreign.exit_code, foreign.output.count("\n")) == (2, 1)
    assert "is not a journal of Vantum" in foreign.output


def test_a_fact_of_a_later_version_is_an_error_that_names_that_version(
    records: list[Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = records[0]
    assert isinstance(head, Head)
    journal = write(tmp_path / "a.journal", [evolve(head, vantum="7.8.9"), *records[1:]])
    monkeypatch.delitem(cast(dict[str, Any], FACTS), "SpeechStarted")
    result = vantum("replay", journal)
    assert result.exit_code == 2
    assert result.output == (
        f"Error: {journal} was written by Vantum 7.8.9, and Vantum {version('vantum')} cannot read it: "
        "nothing here is called SpeechStarted.\n"
    )


# --- step by step -----------------------------------------------------------------------------------------


def test_stepping_shows_fact_state_and_effects(journal: Path) -> None:
    result = vantum("replay", journal, "--step", typed="\n\n3\nwhat\n1\nq\n")
    assert result.exit_code == 0, result.output
    shown = [line.split()[0] for line in result.output.splitlines() if line.startswith("#")]
    assert shown == ["#0", "#1", "#2", "#3", "#1"]
    assert "  states: conversation INITIALIZING.connecting, stt link" in result.output
    assert "OpenLink(role=stt, attempt=1)" in result.output
    assert "Enter, a number from 0 to " in result.output


def test_stepping_ends_with_its_input_and_at_the_last_fact(journal: Path) -> None:
    assert vantum("replay", journal, "--step").exit_code == 0
    last = len(read_journal(journal).handled)
    result = vantum("replay", journal, "--step", typed=f"{last}\n\n")
    assert result.exit_code == 0
    assert f"[{last}/{last}]" in result.output


def test_stepping_over_a_difference_shows_it_and_fails(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Conversation, "interruptible", lambda self: False)
    result = vantum("replay", journal, "--step", typed="\n" * 500)
    assert result.exit_code == 1
    assert "NOT the same now:" in result.output


# --- the picture ------------------------------------------------------------------------------------------


def test_the_diagram_shows_counts_and_times_of_the_way_taken(journal: Path, tmp_path: Path) -> None:
    out = tmp_path / "way.svg"
    result = vantum("replay", journal, "--diagram", out)
    assert result.exit_code == 0, result.output
    picture = ET.parse(out).getroot()
    by_id = {each.get("id"): each for each in picture.iter() if each.get("id")}
    assert "taken" in by_id["edge-LISTENING-THINKING"].get("class", "")
    assert "taken" not in by_id["edge-THINKING-ENDING"].get("class", "")
    tooltip = by_id["edge-LISTENING-THINKING"][0].text or ""
    assert tooltip.startswith("finalizing → generating, transcript_final: ")
    assert "unvisited" in by_id["substate-retrying"].get("class", "")
    texts = [each.text for each in picture.iter() if each.text]
    assert "2×" in texts


def test_the_times_in_all_states_add_up_to_the_call(journal: Path) -> None:
    read = read_journal(journal)
    traffic = traffic_of(read)
    assert sum(stay.ms for stay in traffic.stays.values()) == pytest.approx(read.last_ms - read.head.at_ms)
    assert all(each.at == sorted(each.at) for each in traffic.passages)


def test_every_call_can_be_drawn(tmp_path: Path) -> None:
    for call in Campaign(5, "hostile").calls(5):
        ET.fromstring(draw(read_journal(write(tmp_path / "a.journal", list(call.records[:-1])))))


# --- the test ---------------------------------------------------------------------------------------------


def run_test(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(path), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


PATCH = """
from machines.conversation.machine import Conversation

Conversation.interruptible = lambda self: False
"""


@pytest.mark.slow
def test_the_exported_test_passes_and_fails_when_a_guard_changes(journal: Path, tmp_path: Path) -> None:
    path = tmp_path / "test_exported.py"
    assert vantum("export-test", journal, "--out", path).exit_code == 0
    passed = run_test(path)
    assert passed.returncode == 0, passed.stdout
    path.write_text(path.read_text() + PATCH)
    failed = run_test(path)
    assert failed.returncode == 1
    assert "SpeechStarted" in failed.stdout


@pytest.mark.slow
def test_the_exported_test_is_clean_source(journal: Path, tmp_path: Path) -> None:
    path = tmp_path / "test_exported.py"
    path.write_text(vantum("export-test", journal).output)
    config = ("--config", str(ROOT / "pyproject.toml"))
    ruff = Path(sys.executable).with_name("ruff")
    for tool in (("format", "--check", *config), ("check", "--no-cache", *config)):
        done = subprocess.run([ruff, *tool, path], capture_output=True, text=True, cwd=ROOT, check=False)
        assert done.returncode == 0, done.stdout
    mypy = [sys.executable, "-m", "mypy", "--strict", str(path)]
    typed = subprocess.run(mypy, capture_output=True, text=True, cwd=ROOT, check=False)
    assert typed.returncode == 0, typed.stdout


def test_the_exported_test_tells_the_call_fact_by_fact(journal: Path) -> None:
    source = vantum("export-test", journal).output
    told = [line.strip() for line in source.splitlines() if line.startswith("    facts.")]
    assert len(told) == len(read_journal(journal).handled)
    assert any(line.startswith("facts.SpeechStarted(at_ms=") and line.endswith(": hearing") for line in told)


@pytest.mark.slow
def test_every_call_can_be_exported(tmp_path: Path) -> None:
    for call in Campaign(7, "hostile").calls(10):
        journal = read_journal(write(tmp_path / "a.journal", list(call.records[:-1])))
        names: dict[str, object] = {}
        exec(source_of_test(journal), names)
        test = names["test_the_call_goes_as_it_went"]
        assert callable(test)
        test()


async def test_a_fact_that_broke_a_machine_breaks_the_exported_test(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    journal = read_journal(write(tmp_path / "a.journal", await broken_call()))
    names: dict[str, object] = {}
    exec(source_of_test(journal), names)
    test = names["test_the_call_goes_as_it_went"]
    assert callable(test)
    with pytest.raises(IndexError):
        test()


def test_literals_are_what_they_were() -> None:
    names = {"facts": facts, "do": do, "history": history, "policy": policy, "system": system}
    for value in (
        SpeechStarted(at_ms=0.1),
        SegmentVoiced(1, 2, 3.5, (facts.Word('"it\'s"\n', 1, 2.5),), attempt=2),
        do.StartGeneration(1, (history.Message(history.Speaker.USER, "hi"),)),
        {Role.STT: system.ProviderChain(2, frozenset({1, 0}))},
        policy.ConversationPolicy(llm_retry_delays_ms=(1,)),
    ):
        assert eval(literal(value), names) == value
