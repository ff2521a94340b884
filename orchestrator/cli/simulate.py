"""The body of `vantum simulate`: runs a campaign of simulated calls and prints its report."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from orchestrator.cli.printing import print_plain
from orchestrator.conversation.speculation_counts import ASKED, USED
from orchestrator.simulation.campaign import Campaign, Finished
from orchestrator.simulation.leftovers import Census, peak_memory_mb
from orchestrator.simulation.report import PERCENTILES, Failure, Report, coverage, names

SETTLED_AFTER = 1000
"""Calls after which the memory of the process should no longer grow."""
MOST_NEVER = 10
"""Transitions that no call has taken are listed if there are at most so many."""


def simulate(
    campaign: Campaign, calls: int, *, first: int = 1, as_json: bool = False, journals: Path
) -> bool:
    """Run calls of a campaign and print a report; returns whether all is well.

    With `as_json`, what depends on the computer (speed, memory, leaks) goes to standard error, so that the
    object on standard output is the same for the same seed.

    Args:
        campaign: runs the calls.
        calls: how many calls.
        first: the number of the first call.
        as_json: print one JSON object instead of a report for people.
        journals: the directory that journals of failing calls are written to; it is made if need be.

    Raises:
        OSError: a journal cannot be written.
    """
    report = Report(campaign.seed, campaign.faults, first)
    aside = Console(stderr=True)
    console = aside if as_json else Console()
    before, began, settled_mb = Census.taken(), time.perf_counter(), None
    for finished in shown(campaign.calls(calls, first), calls, aside):
        failure = report.add(finished)
        if failure is not None:
            _tell_failure(console, failure, _write_journal(journals, campaign, finished))
        if report.calls == SETTLED_AFTER:
            settled_mb = peak_memory_mb()
    seconds = time.perf_counter() - began
    left = Census.taken().more_than(before)
    if as_json:
        click.echo(report.as_json(campaign), nl=False)
    else:
        _tell(console, report, campaign)
    print_plain(
        console, f"{'speed':<14}{report.calls / seconds:,.0f} calls per second, {seconds:.1f} s in all"
    )
    print_plain(console, f"{'left behind':<14}{_told_left(left)}; {_told_memory(settled_mb)}")
    return not report.failures and not left


def shown(calls: Iterator[Finished], count: int, console: Console) -> Iterator[Finished]:
    """The same calls; on a terminal a progress bar is shown."""
    if not console.is_terminal:
        yield from calls
        return
    columns = (TextColumn("calls"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        yield from progress.track(calls, total=count)


# --- a call that failed -----------------------------------------------------------------------------------


def _write_journal(directory: Path, campaign: Campaign, finished: Finished) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"seed-{campaign.seed}-{campaign.faults}-call-{finished.number}.journal"
    path.write_bytes(finished.journal())
    if finished.trace:
        path.with_suffix(".txt").write_text(finished.trace, encoding="utf-8")
    return path


def _tell_failure(console: Console, failure: Failure, journal: Path) -> None:
    print_plain(console, f"Call {failure.number} ({failure.personality}) failed.")
    for complaint in failure.complaints:
        print_plain(console, f"  {complaint}")
    print_plain(console, f"  journal: {journal}")
    print_plain(console, f"  again:   {failure.again}")
    print_plain(console, "")


# --- the report -------------------------------------------------------------------------------------------


def _tell(console: Console, report: Report, campaign: Campaign) -> None:
    print_plain(
        console,
        f"{'calls':<14}{report.calls:,} with faults “{report.faults}” from seed {report.seed}:"
        f" {report.turns:,} turns, {report.answers:,} answers, {report.tool_calls:,} calls of tools,"
        f" {campaign.auditor.facts:,} facts, {report.virtual_ms / 3_600_000:.1f} hours of virtual time",
    )
    print_plain(console, f"{'callers':<14}{_counts(dict(report.personalities))}")
    print_plain(console, f"{'ends':<14}{_counts(dict(report.ends))}")
    total = report.injected.total()
    print_plain(console, f"{'faults':<14}{total:,} of {len(report.injected)} kinds")
    for kind, count in sorted(report.injected.items()):
        print_plain(console, f"{'':<14}{count:>7,} {kind}")
    for each in coverage(campaign.auditor.rows):
        print_plain(
            console,
            f"{each.machine:<14}{each.transitions_taken} of {each.transitions} transitions taken,"
            f" {each.edges_taken} of {each.edges} edges between states",
        )
        for never in each.never if len(each.never) <= MOST_NEVER else ():
            print_plain(console, f"{'':<14}never {never}")
    asked, used = report.speculations[ASKED], report.speculations[USED]
    print_plain(
        console,
        f"{'speculative':<14}{asked:,} answers asked for before the end of a turn, {used:,} of them used",
    )
    _tell_latencies(console, report)
    held = [name for name in names(campaign.invariants) if not report.broken[name]]
    print_plain(
        console,
        f"{'invariants':<14}{len(held)} of {len(campaign.invariants)} held at each of"
        f" {campaign.auditor.facts:,} facts",
    )
    for promise, count in sorted(report.broken.items()):
        print_plain(console, f"{'':<14}broken in {count:,} call(s): {promise}")
    print_plain(console, f"{'failed':<14}{len(report.failures):,}")


def _tell_latencies(console: Console, report: Report) -> None:
    title = "  ".join(f"{f'p{each}':>9}" for each in PERCENTILES)
    print_plain(console, f"{'virtual ms':<14}{'':<15}{title}    answers")
    for name, (count, values) in report.latencies().items():
        told = "  ".join(f"{value:>9,.1f}" for value in values)
        print_plain(console, f"{'':<14}{name:<15}{told}  {count:>9,}")


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items()))


def _told_left(left: dict[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in left.items()) or "nothing"


def _told_memory(settled_mb: float | None) -> str:
    now = peak_memory_mb()
    if settled_mb is None:
        return f"memory {now:.0f} MB at most"
    return (
        f"memory +{now - settled_mb:.1f} MB between call {SETTLED_AFTER:,} and the end ({now:.0f} MB at most)"
    )
