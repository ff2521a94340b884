"""`vantum check`: what it prints of the walks, and its exit code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from machines.check.report import PLAN
from machines.link import Link
from orchestrator.cli import check as checking
from orchestrator.cli.main import main

pytestmark = [pytest.mark.slow, pytest.mark.repeats]

ONE_LINK = tuple(planned for planned in PLAN if planned.name in ("one link", "known down"))


@pytest.fixture(autouse=True, scope="module")
def short_walks_only() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(checking, "PLAN", ONE_LINK)
        yield


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def check(*arguments: str) -> Result:
    return CliRunner().invoke(main, ("check", *arguments))


@pytest.fixture(scope="module")
def printed() -> Result:
    """What the command prints without options."""
    return check()


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory, short_walks_only: None) -> str:
    """The report of the walks."""
    directory = tmp_path_factory.mktemp("reported")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(directory)
        check("--report", "check.md")
    return (directory / "check.md").read_text(encoding="utf-8")


@pytest.fixture
def links_are_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Link, "close", lambda self: None)


def test_each_walk_is_printed_with_its_counts(printed: Result) -> None:
    first = printed.output.splitlines()[0]
    assert first.startswith("one link ")
    for told in ("configurations", "facts", "transitions", "longest path", " s "):
        assert told in first


def test_each_invariant_is_printed_with_its_meaning(printed: Result) -> None:
    lines = printed.output.splitlines()
    line = next(line for line in lines if " one_attempt_per_link " in line)
    assert line.startswith("held ")
    assert line.endswith("A link is opened again only after its last attempt was closed or failed.")


def test_transitions_that_no_walk_meets_are_printed_and_fail(printed: Result) -> None:
    assert printed.exit_code == 1
    assert "conversation: recording_started in quiet is declared, and no walk meets it" in printed.output
    assert "link: link_released in idle" not in printed.output


@pytest.mark.usefixtures("links_are_left_open")
def test_a_violation_is_shown_with_the_shortest_path_to_it() -> None:
    result = check()
    assert result.exit_code == 1
    assert "In the walk “one link”, no_link_is_left_at_the_end: left open: " in result.output
    trace = result.output.split("no_link_is_left_at_the_end: left open")[1]
    assert "  stt link: idle → opening, taken: link_wanted(stt)\n" in trace
    assert "  stt link: opening → DOWN, taken: link_failed(stt, 1, fatal, 0.5)\n" in trace
    assert "  conversation: connecting → closing, taken: link_down(stt, fatal)\n" in trace
    assert "held       every_pair_is_declared " in result.output
    assert "broken     no_link_is_left_at_the_end " in result.output
    assert "not known  the_end_can_be_reached " in result.output


def test_walks_at_random_are_added_if_wanted() -> None:
    once, again, other = (
        [line.split(" s   ")[0].rsplit(maxsplit=1)[0] for line in check(*arguments).output.splitlines()[2:5]]
        for arguments in (
            ("--thorough", "1000"),
            ("--thorough", "1000", "--seed", "1"),
            ("--thorough", "1000", "--seed", "2"),
        )
    )
    assert [line.split()[0] for line in once] == ["interruptible", "uninterrupted", "half"]
    assert once == again != other
    assert all(1_000 <= int(line.split()[3].replace(",", "")) < 1_200 for line in once)


def test_the_report_is_of_the_exhaustive_walks_only(tmp_path: Path, reported: str) -> None:
    check("--report", "long.md", "--thorough", "500")
    assert (tmp_path / "long.md").read_text() == reported


def test_the_report_says_what_each_walk_leaves_out(reported: str) -> None:
    for planned in ONE_LINK:
        assert f"- **{planned.name}**: {planned.leaves_out}" in reported


def test_the_report_is_written_with_links_to_the_diagrams(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    result = check("--report", "docs/check.md")
    assert result.output.endswith("The report is in docs/check.md.\n")
    written = (tmp_path / "docs" / "check.md").read_text(encoding="utf-8")
    assert "](../diagrams/conversation.svg)" in written
    assert "| one link | " in written
    assert "| `one_attempt_per_link` |" in written


@pytest.mark.usefixtures("links_are_left_open")
def test_a_violation_is_in_the_report(tmp_path: Path) -> None:
    assert check("--report", "check.md").exit_code == 1
    written = (tmp_path / "check.md").read_text(encoding="utf-8")
    assert "no_link_is_left_at_the_end: left open" in written
    assert "](diagrams/link.svg)" in written


def test_the_same_walks_give_the_same_report(tmp_path: Path, reported: str) -> None:
    check("--report", "again.md")
    assert (tmp_path / "again.md").read_text() == reported


def test_a_report_that_cannot_be_written_is_an_error_at_once() -> None:
    result = check("--report", "no/such/directory/check.md")
    assert result.exit_code == 1
    assert (
        result.output
        == "Error: Cannot write the report to no/such/directory/check.md: No such file or directory.\n"
    )
