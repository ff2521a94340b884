"""The report of a load benchmark: JSON with everything, Markdown with what people read."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from attrs import asdict, frozen

from benchmarks.load.run import Measured
from benchmarks.load.vendors import Budget


@frozen
class Head:
    """What all rows have in common."""

    line: str
    machine: str
    version: str
    budget: Budget
    servers: Mapping[str, str]
    settings: Mapping[str, str]
    seconds: int
    repeats: int
    profiled: bool
    first: bool = False
    preface: str = ""


def line_of(row: Measured) -> str:
    """One run, for the terminal."""
    dropped = f"DISCARDED ({row.discarded}): " if row.discarded else ""
    return (
        f"{dropped}answer {_ms(row.answer_p50)} / {_ms(row.answer_p95)} ms, clear {_ms(row.clear_p50)} / "
        f"{_ms(row.clear_p95)} ms, {row.cpu_percent_per_call} % a call ({row.cpu_percent} %), "
        f"{row.rss_mib_per_call} MiB a call, {row.turns} turns, errors {row.errors or 'none'}, "
        f"{row.gaps} gaps, callers late p99 {row.late_p99_ms} ms, "
        f"vendors {row.vendors_late_p99_ms} ms, others {row.others_percent} %, callers "
        f"{row.callers_percent} % and vendors {row.vendors_percent} % of theirs"
    )


def table(rows: Sequence[Measured]) -> str:
    """All rows as Markdown: medians of the runs that count."""
    lines = [
        "| server | calls | turns | speech end → first audio p50 / p95 ms | onset → `clear` p50 / p95 ms "
        "| CPU a call | CPU in all | memory a call | gaps | errors | late | runs |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for server, calls in dict.fromkeys((row.server, row.calls) for row in rows):
        all_runs = [row for row in rows if (row.server, row.calls) == (server, calls)]
        runs = [row for row in all_runs if not row.discarded]
        dropped = len(all_runs) - len(runs)
        counted = f"{len(runs)}" + (f" ({dropped} discarded)" if dropped else "")
        if not runs:
            why = all_runs[-1].discarded
            lines.append(f"| {server} | {calls} | | | | | | | | | {why} | {counted} |")
            continue
        lines.append(
            f"| {server} | {calls} | {sum(row.turns for row in runs)} "
            f"| {_pair(runs, 'answer')} | {_pair(runs, 'clear')} "
            f"| {_median(row.cpu_percent_per_call for row in runs):.2f} % "
            f"| {_median(row.cpu_percent for row in runs):.0f} % "
            f"| {_median(row.rss_mib_per_call for row in runs):.1f} MiB "
            f"| {sum(row.gaps for row in runs)} | {_errors(runs)} "
            f"| {max(row.late_p99_ms for row in runs):.1f} ms | {counted} |"
        )
    return "\n".join(lines)


def _pair(runs: Sequence[Measured], name: str) -> str:
    both = (
        [value for row in runs if (value := getattr(row, f"{name}_{each}")) is not None]
        for each in ("p50", "p95")
    )
    return " / ".join(f"{statistics.median(values):.0f}" if values else "–" for values in both)


def _errors(runs: Sequence[Measured]) -> str:
    kinds = sorted({kind for row in runs for kind in row.errors})
    return ", ".join(f"{sum(row.errors.get(kind, 0) for row in runs)} {kind}" for kind in kinds) or "0"


def _median(values: Iterable[float]) -> float:
    return statistics.median(values)


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"


def write(directory: Path, head: Head, rows: Sequence[Measured]) -> None:
    """Write `report.json` and `report.md`."""
    about = asdict(head)
    content = {"about": about, "at": time.strftime("%Y-%m-%d %H:%M"), "rows": [asdict(row) for row in rows]}
    (directory / "report.json").write_text(json.dumps(content, indent=1) + "\n")
    budget = ", ".join(f"{name.replace('_', ' ')} {ms:g} ms" for name, ms in asdict(head.budget).items())
    lines = [
        f"# Load of {head.line} calls",
        "",
        f"{head.machine}. Revision {head.version}, {content['at']}. Each run measures {head.seconds} s; "
        f"{head.repeats} of each, medians are shown. The server has core 0 for itself, callers and vendors "
        "share core 1.",
        "",
        f"The simulated vendors take: {budget}; these are in every answer. A turn ends after 200 ms of "
        "silence unless it says otherwise.",
        "",
        *(f"* {name}: {about}" for name, about in head.servers.items()),
    ]
    if head.settings:
        lines.append(f"* settings: {', '.join(f'{name}={value}' for name, value in head.settings.items())}")
    if head.first:
        lines += ["", "Other programs ran on the machine; all of this ran before them (`--first`)."]
    if head.profiled:
        lines += [
            "",
            "**The server was sampled meanwhile: these figures are not those of an undisturbed run.**",
        ]
    if head.preface:
        lines += ["", head.preface]
    lines += ["", table(rows), ""]
    notes = [f"{row.server}, {row.calls} calls: {note}" for row in rows for note in row.notes[:10]]
    if notes:
        lines += ["## What went wrong", "", *(f"* {note}" for note in notes[:60]), ""]
    (directory / "report.md").write_text("\n".join(lines))
