"""The body of `vantum check`: makes the exhaustive walks through the machines and prints what they saw."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

from rich.console import Console

from machines.check.admission import AdmissionReport, walk_admission
from machines.check.markdown import markdown
from machines.check.report import PLAN, Planned, Visited, complaints, coverage, findings, violations
from machines.check.thorough import thorough
from orchestrator.cli.printing import print_plain

DIAGRAMS = Path("diagrams")
"""Where `vantum diagrams` draws, in the working directory."""


def check(
    report: Path | None = None, console: Console | None = None, *, more_facts: int = 0, seed: int = 1
) -> bool:
    """Make all walks, each up to its first violation, and print what they saw; returns whether all is well.

    Args:
        report: the Markdown file that the report on the exhaustive walks is written to, with links to the
            diagrams of the working directory.
        console: where progress and findings are printed; standard output if not given.
        more_facts: how many facts are tried after that in each of the random walks.
        seed: decides how the random walks go.

    Raises:
        OSError: the report cannot be written.
    """
    console = console or Console()
    if report is not None:
        # Fails now, not after all walks, if the path cannot be written to.
        report.touch()
    began = time.perf_counter()
    visited = tuple(_walks(console, PLAN))
    beyond = tuple(_walks(console, thorough(more_facts, Random(seed).randrange))) if more_facts else ()
    admission = _admission(console)
    wrong = (*complaints(visited), *violations(beyond), *admission.violations)
    _tell_invariants(console, visited)
    _tell_coverage(console, visited)
    _tell_left_out(console, (*visited, *beyond))
    for complaint in wrong:
        print_plain(console, "")
        print_plain(console, complaint)
    print_plain(console, "")
    print_plain(console, _verdict((*visited, *beyond), len(wrong), time.perf_counter() - began))
    if report is not None:
        report.write_text(markdown(visited, admission, _way_to_diagrams(report)), encoding="utf-8")
        print_plain(console, f"The report is in {report}.")
    return not wrong


def _walks(console: Console, plan: Sequence[Planned]) -> Iterator[Visited]:
    """Make the walks, and print a line after each."""
    for number, planned in enumerate(plan, start=1):
        began = time.perf_counter()
        with console.status(f"Walk {number} of {len(plan)}: {planned.subject} ..."):
            one = planned.run(stop_at_violation=True)
        seen = one.report
        print_plain(
            console,
            f"{one.name:<14}{seen.configurations:>7,} configurations {seen.facts:>9,} facts"
            f" {len(seen.taken):>5} transitions   longest path {seen.longest:>3}"
            f" {time.perf_counter() - began:>6.1f} s   {one.subject}",
        )
        yield one


def _admission(console: Console) -> AdmissionReport:
    """Walk the admission machine, which belongs to no call, and print a line."""
    began = time.perf_counter()
    found = walk_admission()
    print_plain(
        console,
        f"{'admission':<14}{found.configurations:>7,} configurations {found.facts:>9,} facts"
        f" {found.transitions:>5} transitions{time.perf_counter() - began:>27.1f} s   the admission machine",
    )
    return found


def _tell_invariants(console: Console, visited: tuple[Visited, ...]) -> None:
    print_plain(console, "")
    for each in findings(visited):
        print_plain(console, f"{each.verdict:<11}{each.name:<46}{each.means}")


def _tell_coverage(console: Console, visited: tuple[Visited, ...]) -> None:
    print_plain(console, "")
    for each in coverage(visited):
        left = (
            f"; {each.before_the_call} cannot happen, as no call is so young" if each.before_the_call else ""
        )
        print_plain(
            console,
            f"{each.machine:<14}{each.transitions_taken} of {each.transitions} transitions taken,"
            f" {each.pairs_met} of {each.pairs} pairs of state and fact met{left}",
        )


def _tell_left_out(console: Console, visited: tuple[Visited, ...]) -> None:
    print_plain(console, "")
    for one in visited:
        print_plain(console, f"{one.name:<14}leaves out: {one.leaves_out}")


def _verdict(visited: tuple[Visited, ...], wrong: int, seconds: float) -> str:
    configurations = sum(one.report.configurations for one in visited)
    tried = sum(one.report.facts for one in visited)
    found = f"{wrong} found wrong" if wrong else "nothing found wrong"
    return f"{configurations:,} configurations, {tried:,} facts, {seconds:.1f} s: {found}."


def _way_to_diagrams(report: Path) -> str:
    return Path(os.path.relpath(DIAGRAMS.absolute(), report.absolute().parent)).as_posix()
