"""`vantum simulate`: the same seed gives the same bytes, failures are found, and calls can be repeated."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from io import StringIO
from pathlib import Path
from socket import socket

import click
import pytest
import trio
from attrs import evolve
from click.testing import CliRunner, Result
from rich.console import Console

from adapters.interfaces import Voice
from machines.check.invariants import INVARIANTS, CheckedStep
from machines.conversation.recording import Recording
from machines.facts import DigitPressed, EndReason, Fact, SayRequested
from machines.link import Link
from machines.system import Handled
from orchestrator.cli import simulate as simulating
from orchestrator.cli.main import main
from orchestrator.journal.format import Broke, read_journal
from orchestrator.journal.replay import replay
from orchestrator.simulation.audit import Auditor
from orchestrator.simulation.campaign import Campaign
from orchestrator.simulation.faults import PROFILES
from orchestrator.simulation.personalities import PERSONALITIES
from orchestrator.simulation.report import coverage, percentiles
from orchestrator.simulation.tts import SimulatedTextToSpeech

CALLS = 100


@pytest.fixture(autouse=True)
def in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def links_are_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Link, "close", lambda self: None)


def simulate(*arguments: str) -> Result:
    return CliRunner().invoke(main, ("simulate", *arguments))


def hostile(calls: int) -> Result:
    return simulate("--calls", str(calls), "--faults", "hostile", "--seed", "7", "--json")


@pytest.fixture(scope="module")
def campaign() -> Result:
    return hostile(CALLS)


# --- a campaign -------------------------------------------------------------------------------------------


@pytest.mark.repeats
@pytest.mark.slow
@pytest.mark.repeats
def test_the_same_seed_gives_the_same_bytes() -> None:
    first, second = hostile(CALLS // 4), hostile(CALLS // 4)
    assert first.stdout_bytes == second.stdout_bytes


@pytest.mark.slow
@pytest.mark.repeats
def test_hostile_calls_pass_all_checks_and_leave_nothing(campaign: Result) -> None:
    assert campaign.exit_code == 0, campaign.output
    assert json.loads(campaign.stdout)["failures"] == []
    assert re.search(r"left behind +nothing; memory \d+ MB at most", campaign.stderr)


@pytest.mark.slow
@pytest.mark.repeats
def test_what_happened_is_counted(campaign: Result) -> None:
    told = json.loads(campaign.stdout)
    assert told["calls"] == CALLS
    assert set(told["personalities"]) == set(PERSONALITIES)
    assert told["turns"] > CALLS / 2
    assert told["answers"] > CALLS / 2
    assert told["toolCalls"] > CALLS / 4
    assert {kind.split()[0] for kind in told["injected"]} == {"stt", "llm", "tts", "tool"}
    assert sum(told["ends"].values()) == CALLS
    assert set(told["invariants"]) == {invariant.__name__ for invariant in INVARIANTS}
    assert all(each["facts"] == told["facts"] > 10 * CALLS for each in told["invariants"].values())
    conversation, link = told["coverage"]
    assert conversation["transitions_taken"] > conversation["transitions"] / 3
    assert link["edges_taken"] > link["edges"] / 2
    total = told["latencyMs"]["total"]
    assert 0 < total["p50"] <= total["p95"] <= total["p99"]


@pytest.mark.slow
@pytest.mark.repeats
def test_the_object_does_not_depend_on_the_computer(campaign: Result) -> None:
    assert "calls per second" in campaign.stderr
    assert not {"speed", "seconds", "memory"} & set(json.loads(campaign.stdout))


@pytest.mark.repeats
@pytest.mark.slow
def test_another_seed_gives_other_calls() -> None:
    one, other = (simulate("--calls", "3", "--seed", seed, "--json") for seed in ("1", "2"))
    assert json.loads(one.stdout)["facts"] != json.loads(other.stdout)["facts"]


@pytest.mark.slow
def test_a_call_is_the_same_alone_and_among_others() -> None:
    among = list(Campaign(3, "hostile").calls(5))[-1]
    (alone,) = Campaign(3, "hostile").calls(1, first=5)
    assert alone.records == among.records
    assert alone.journal() == among.journal()


@pytest.mark.repeats
@pytest.mark.slow
def test_keys_are_pressed_and_hosts_end_calls_with_a_text() -> None:
    calls = list(Campaign(3, "none").calls(60))
    taken = [
        [step for each in call.records if isinstance(each, Handled) for step in each.steps] for call in calls
    ]
    typed = [step.target for steps in taken for step in steps if isinstance(step.fact, DigitPressed)]
    ended = [
        call.reason
        for call, steps in zip(calls, taken, strict=True)
        if any(isinstance(step.fact, SayRequested) and step.fact.then for step in steps)
    ]
    assert {"keypad", "generating"} <= set(typed)
    assert {EndReason.HANDED_OVER, EndReason.OPERATOR_HUNG_UP} & set(ended)
    assert not any(call.complaints for call in calls)


@pytest.mark.slow
def test_nothing_goes_wrong_without_faults() -> None:
    told = json.loads(simulate("--calls", "15", "--faults", "none", "--json").stdout)
    assert told["injected"] == {}
    assert told["failed"] == 0


@pytest.mark.slow
def test_the_profile_of_a_role_is_about_that_role() -> None:
    told = json.loads(simulate("--calls", "15", "--faults", "llm", "--json").stdout)
    assert {kind.split()[0] for kind in told["injected"]} == {"llm"}


@pytest.mark.repeats
@pytest.mark.slow
def test_the_report_for_people_says_the_same() -> None:
    shown, told = (simulate("--calls", "10", "--faults", "hostile", *more) for more in ((), ("--json",)))
    counts = json.loads(told.stdout)
    assert re.search(
        rf"^calls +10 with faults “hostile” from seed 1: {counts['turns']} turns, ", shown.output
    )
    assert re.search(r"^conversation +\d+ of \d+ transitions taken, \d+ of \d+ edges", shown.output, re.M)
    assert re.search(
        rf"^invariants +{len(INVARIANTS)} of {len(INVARIANTS)} held at each of", shown.output, re.M
    )
    assert re.search(r"^virtual ms +p50 +p95 +p99 +answers$", shown.output, re.M)
    assert re.search(r"^failed +0$", shown.output, re.M)
    assert re.search(r"^speed +\d+ calls per second", shown.output, re.M)
    assert not Path("simulate-failures").exists()


def test_every_profile_can_be_asked_for() -> None:
    option = next(each for each in main.commands["simulate"].params if each.name == "faults")
    assert isinstance(option.type, click.Choice)
    assert tuple(option.type.choices) == tuple(PROFILES)


@pytest.mark.slow
def test_scheduling_outside_of_a_campaign_is_unchanged() -> None:
    run = trio._core._run
    before = run._ALLOW_DETERMINISTIC_SCHEDULING, run._r.getstate()
    simulate("--calls", "2")
    assert (run._ALLOW_DETERMINISTIC_SCHEDULING, run._r.getstate()) == before


# --- what is wrong is found -------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.usefixtures("links_are_left_open")
def test_a_failing_call_is_reported_with_its_journal_and_how_to_repeat_it() -> None:
    result = simulate("--calls", "3", "--seed", "5", "--journals", "found")
    assert result.exit_code == 1
    assert "Call 2 (" in result.output
    assert "  no_link_is_left_at_the_end: left open: [" in result.output
    assert f"  journal: {Path('found/seed-5-light-call-2.journal')}\n" in result.output
    again = "vantum simulate --calls 1 --seed 5 --first 2 --faults light"
    assert f"  again:   {again}\n" in result.output

    repeated = simulate(*again.split()[2:], "--journals", "again")
    assert repeated.exit_code == 1
    assert told_of_call(2, repeated.output) == told_of_call(2, result.output)
    one, other = (Path(each, "seed-5-light-call-2.journal").read_bytes() for each in ("found", "again"))
    assert one == other


def told_of_call(number: int, output: str) -> str:
    """The paragraph of the failing call, without the line that names the journal."""
    paragraph = next(each for each in output.split("\n\n") if each.startswith(f"Call {number} ("))
    return "\n".join(line for line in paragraph.splitlines() if "journal:" not in line)


@pytest.mark.slow
@pytest.mark.usefixtures("links_are_left_open")
def test_the_journal_of_a_failing_call_is_replayed_without_a_difference() -> None:
    simulate("--calls", "1", "--journals", "found")
    journal = read_journal(Path("found/seed-1-light-call-1.journal"))
    assert journal.end is not None
    assert all(moment.same for moment in replay(journal))


@pytest.mark.slow
@pytest.mark.usefixtures("links_are_left_open")
def test_failing_calls_are_in_the_object_too() -> None:
    told = json.loads(simulate("--calls", "2", "--json").stdout)
    assert told["failed"] == 2
    assert told["invariants"]["no_link_is_left_at_the_end"]["brokenInCalls"] == 2
    assert told["failures"][0]["again"] == "vantum simulate --calls 1 --seed 1 --first 1 --faults light"


@pytest.mark.slow
def test_an_exception_of_a_machine_is_reported_with_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def acknowledge(self: Recording) -> None:
        raise ZeroDivisionError("seeded")

    monkeypatch.setattr(Recording, "acknowledge", acknowledge)
    result = simulate("--calls", "10", "--faults", "none", "--journals", "found")
    assert result.exit_code == 1
    assert "  raised: ZeroDivisionError: seeded\n" in result.output
    journals = list(Path("found").glob("*.journal"))
    assert isinstance(read_journal(journals[0]).handled[-1], Broke)
    assert "ZeroDivisionError: seeded" in journals[0].with_suffix(".txt").read_text()


@pytest.fixture
def tts_links_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    """Links of text to speech are opened and never closed, nor are their tasks."""
    properly = SimulatedTextToSpeech.open

    @asynccontextmanager
    async def leaking(self: SimulatedTextToSpeech, language: str) -> AsyncIterator[Voice]:
        self.open_links += 1
        trio.lowlevel.spawn_system_task(trio.sleep_forever)
        async with properly(self, language) as voice:
            yield voice

    monkeypatch.setattr(SimulatedTextToSpeech, "open", leaking)


@pytest.mark.slow
@pytest.mark.usefixtures("tts_links_leak")
def test_links_and_tasks_that_a_provider_leaves_are_found() -> None:
    result = simulate("--calls", "1", "--faults", "none")
    assert result.exit_code == 1
    assert re.search(r"^  call: \d task\(s\) are left$", result.output, re.M)
    assert re.search(r"^  call: \d links or streams are still open$", result.output, re.M)


@pytest.mark.slow
def test_sockets_and_files_that_a_campaign_leaves_are_found(capsys: pytest.CaptureFixture[str]) -> None:
    with ExitStack() as kept:

        def opens_a_socket_each_time(moment: CheckedStep) -> str | None:
            if moment.state == "ended":
                kept.enter_context(socket())
                kept.enter_context(Path("a file").open("w"))
            return None

        campaign = Campaign(1, "none", invariants=(opens_a_socket_each_time,))
        assert not simulating.simulate(campaign, 2, journals=Path())
    assert re.search(r"left behind +2 sockets, 2 files; ", capsys.readouterr().out)


@pytest.mark.slow
def test_a_violated_invariant_is_reported_once_for_a_call(capsys: pytest.CaptureFixture[str]) -> None:
    def nothing_is_ever_refused(moment: CheckedStep) -> str | None:
        return "something was" if any(step.reason for step in moment.steps) else None

    campaign = Campaign(1, "none", invariants=(nothing_is_ever_refused,))
    assert not simulating.simulate(campaign, 8, journals=Path("found"))
    shown = capsys.readouterr().out
    calls = re.findall(r"^Call \d+", shown, re.M)
    assert shown.count("  nothing_is_ever_refused: something was (fact ") == len(calls) > 0
    assert re.search(r"^invariants +0 of 1 held", shown, re.M)
    assert re.search(rf"broken in {len(calls)} call\(s\): nothing_is_ever_refused$", shown, re.M)


def test_a_replay_that_differs_is_reported() -> None:
    (finished,) = Campaign(1, "none").calls(1)
    head, beginning, *rest = finished.records
    assert isinstance(beginning, Handled)
    changed = evolve(beginning, effects=beginning.effects[1:])
    complaints = [str(each) for each in Auditor().complaints((head, changed, *rest))]
    assert len(complaints) == 1
    assert complaints[0].startswith("replayed: fact 0 leads elsewhere by the tables: ")


def test_an_exception_that_only_the_journal_holds_is_reported() -> None:
    (finished,) = Campaign(1, "none").calls(1)
    head, beginning, *_ = finished.records
    complaints = [str(each) for each in Auditor().complaints((head, beginning, Broke(Fact(), "seeded")))]
    assert complaints[0].startswith("replayed: fact 1 leads elsewhere by the tables: ")


@pytest.mark.slow
def test_a_journal_that_cannot_be_written_is_an_error() -> None:
    Path("found").write_text("a file")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Link, "close", lambda self: None)
        result = simulate("--calls", "1", "--journals", "found/here")
    assert result.exit_code == 1
    assert "Cannot write a journal into found" in result.output


# --- small things -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_progress_is_shown_only_on_a_terminal() -> None:
    for terminal in (True, False):
        screen = StringIO()
        console = Console(file=screen, force_terminal=terminal, width=80)
        calls = tuple(Campaign(1, "none").calls(2))
        assert tuple(simulating.shown(iter(calls), 2, console)) == calls
        assert ("2/2" in screen.getvalue()) is terminal


def test_percentiles_are_values_that_occurred() -> None:
    assert percentiles(()) == ()
    assert percentiles((3.0,)) == (3.0, 3.0, 3.0)
    assert percentiles(tuple(float(each) for each in range(1, 101))) == (50.0, 95.0, 99.0)


def test_transitions_that_no_call_has_taken_are_named() -> None:
    conversation, _ = coverage({})
    assert conversation.transitions_taken == 0
    assert "closing: everything_closed → ended" in conversation.never
