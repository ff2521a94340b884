"""Earlier calls in this build, or under another policy: which go the same, and where others differ first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from trio.testing import MockClock

from machines.conversation.machine import Conversation
from machines.facts import TurnMode
from machines.policy import ConversationPolicy
from orchestrator.cli.main import main
from orchestrator.journal.format import Record, read_journal
from orchestrator.journal.gate import charts_by_tables, verdict_of
from orchestrator.journal.redaction import Redactor
from orchestrator.simulation import simulated_call
from orchestrator.simulation.campaign import Campaign
from tests.orchestrator.journal.journals import broken_call, differences, kept_in, write

CALLS = 12


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with journals of calls in which anything happens."""
    directory = tmp_path_factory.mktemp("hostile")
    for call in Campaign(5, "hostile", invariants=()).calls(CALLS):
        write(directory / f"{call.number:02}.journal", list(call.records[:-1]))
    return directory


async def automatic_call(directory: Path, policy: ConversationPolicy | None = None) -> Path:
    """A call in automatic turns: a question, its answer, a cough, and the caller hangs up."""
    records: list[Record] = []
    async with simulated_call(policy=policy, journal=kept_in(records)) as call:
        await call.start_recording(TurnMode.AUTOMATIC)
        await call.say("tell me a joke")
        await call.keep_quiet(900)
        await call.answered()
        await call.keep_quiet(300)
    return write(directory / "automatic.journal", records)


def vantum(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["replay", *map(str, arguments)])


def test_in_the_same_build_all_calls_go_the_same(hostile: Path) -> None:
    charts = charts_by_tables()
    for path in sorted(hostile.iterdir()):
        verdict = verdict_of(path, charts)
        assert verdict.same, verdict
        assert verdict.facts == len(read_journal(path).handled)


async def test_a_call_that_broke_breaks_the_same_way(tmp_path: Path, autojump_clock: MockClock) -> None:
    path = write(tmp_path / "a.journal", await broken_call())
    assert verdict_of(path, charts_by_tables()).same


def test_in_another_build_the_first_difference_is_that_of_a_replay(
    hostile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Conversation, "interruptible", lambda self: False)
    charts, found = charts_by_tables(), 0
    for path in sorted(hostile.iterdir()):
        verdict = verdict_of(path, charts)
        different = differences(read_journal(path))
        assert verdict.differs_at == (different[0].number if different else None)
        found += bool(different)
    assert found > 2


# --- another policy ---------------------------------------------------------------------------------------


async def test_under_the_same_policy_everything_is_the_same(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    path = await automatic_call(tmp_path)
    same = {"endpoint_delay_ms": ConversationPolicy().endpoint_delay_ms}
    assert verdict_of(path, charts_by_tables(), same).same


@pytest.mark.parametrize("delay_ms", [400, 700])
async def test_a_deadline_that_passed_in_the_call_passes_at_another_time(
    delay_ms: int, tmp_path: Path, autojump_clock: MockClock
) -> None:
    path = await automatic_call(tmp_path)
    verdict = verdict_of(path, charts_by_tables(), {"endpoint_delay_ms": delay_ms})
    assert (verdict.state, verdict.event) == ("conversation endpointing", "deadline_passed")
    assert verdict.difference == f"the deadline is after {delay_ms} ms, and was after 500 ms"
    assert verdict.facts == (verdict.differs_at or 0) - 1 > 0


async def test_a_deadline_that_would_have_passed_meanwhile_is_a_difference(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    path = await automatic_call(tmp_path)
    verdict = verdict_of(path, charts_by_tables(), {"max_turn_ms": 300})
    assert verdict.state == "conversation hearing"
    assert verdict.difference.startswith("the deadline is after 300 ms, and was after ")


@pytest.mark.parametrize(
    "changes", [{"max_turn_ms": 300_000}, {"final_transcript_timeout_ms": 9000}, {"connect_timeout_ms": 9000}]
)
async def test_a_deadline_that_never_mattered_is_none(
    changes: dict[str, float], tmp_path: Path, autojump_clock: MockClock
) -> None:
    path = await automatic_call(tmp_path)
    verdict = verdict_of(path, charts_by_tables(), changes)
    assert verdict.same, verdict


async def test_another_text_is_a_difference_where_it_is_said(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    path = await automatic_call(tmp_path, ConversationPolicy(greeting="Good morning."))
    verdict = verdict_of(path, charts_by_tables(), {"greeting": "Good evening."})
    assert "speak" in verdict.difference
    assert verdict.facts > 0


# --- the command ------------------------------------------------------------------------------------------


def test_the_command_says_that_all_is_the_same(hostile: Path) -> None:
    done = vantum("--all", hostile, "--jobs", 1)
    assert (done.exit_code, done.stdout) == (
        0,
        f"Journals: {CALLS}. The same: {CALLS}. Different: 0. Unreadable: 0.\n",
    )


@pytest.mark.slow
def test_several_processes_find_the_same(hostile: Path) -> None:
    assert vantum("--all", hostile, "--jobs", 2, "--json").stdout == (
        vantum("--all", hostile, "--jobs", 1, "--json").stdout
    )


def test_the_command_says_where_calls_differ_and_how_a_test_is_made(hostile: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text("max_turn_ms = 300\n[link]\nattempt_timeout_ms = 9000\n")
    done = vantum("--all", hostile, "--against", policy, "--jobs", 1)
    assert done.exit_code == 1, done.output
    lines = done.stdout.splitlines()
    assert lines[1] == "They differ first in:"
    assert any("conversation hearing, at " in line for line in lines)
    assert lines[-1].startswith(f"As a test: vantum export-test {hostile}")
    told = json.loads(vantum("--all", hostile, "--against", policy, "--jobs", 1, "--json").stdout)
    assert told["same"] + len(told["others"]) == CALLS
    assert {"path", "differs_at", "state", "event", "difference"} <= told["others"][0].keys()


def test_journals_that_cannot_be_read_are_named_and_fail_the_command(hostile: Path, tmp_path: Path) -> None:
    records = (hostile / "03.journal").read_bytes()
    (tmp_path / "damaged.journal").write_bytes(records[:3000] + b"\0" + records[3001:])
    (tmp_path / "empty.journal").write_bytes(b"")
    (tmp_path / "torn.journal").write_bytes(records[:-30])
    (tmp_path / "other.journal").write_text("something else")
    done = vantum("--all", tmp_path, "--jobs", 1)
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert lines[0] == "Journals: 4. The same: 1. Different: 0. Unreadable: 3."
    assert [line.split()[0].rpartition("/")[2] for line in lines[1:]] == [
        "damaged.journal",
        "empty.journal",
        "other.journal",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("endpoint_delay_ms = ", "is not TOML"),
        ("endpoint_delay = 400", "is not a policy"),
        ('endpoint_delay_ms = "soon"', "is not a policy"),
    ],
)
def test_a_file_that_is_no_policy_is_told(text: str, told: str, hostile: Path, tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text(text)
    done = vantum("--all", hostile, "--against", tmp_path / "policy.toml")
    assert done.exit_code == 2
    assert done.stderr.startswith(f"Error: {tmp_path / 'policy.toml'} {told}")


@pytest.mark.parametrize("wrong", [["--step", "--all"], ["--json"], ["--jobs", "2"]])
def test_options_that_do_not_go_together_are_refused(wrong: list[str], hostile: Path) -> None:
    assert vantum(*wrong, hostile).exit_code == 2


def test_a_redacted_journal_is_compared_too(tmp_path: Path) -> None:
    call = next(iter(Campaign(5, "hostile", invariants=()).calls(1, first=3)))
    path = write(tmp_path / "a.journal", list(call.records[:-1]), Redactor())
    assert read_journal(path).head.redacted
    assert verdict_of(path, charts_by_tables()).same
