"""The command line of the load benchmarks: which runs, their progress, and where the report goes."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from attrs import asdict

from benchmarks.load import profile, report
from benchmarks.load.environments import ROOT
from benchmarks.load.processes import LOAD_CORE, BenchmarkError, machine, pinned
from benchmarks.load.run import Measured, Wanted, measure, results_directory
from benchmarks.load.servers import SERVERS, Server, vantum_of
from benchmarks.load.vendors import Budget

CALLS = (1, 8, 16, 24, 30, 45, 60, 75, 90)


def parser(line: str) -> argparse.ArgumentParser:
    """The options that all load benchmarks have."""
    made = argparse.ArgumentParser(
        description=f"Load of {line} calls on one core.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    made.add_argument("--calls", type=_numbers, default=CALLS, help="numbers of calls, divided by commas")
    made.add_argument("--repeats", type=int, default=1, help="runs for each number of calls")
    made.add_argument("--seconds", type=int, default=40, help="that are measured in each run")
    made.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the server, as in its environment; may be repeated",
    )
    made.add_argument(
        "--until-broken", action="store_true", help="no more calls after a number with errors in every run"
    )
    made.add_argument(
        "--profile", action="store_true", help="sample the server: flame graph and table (figures suffer)"
    )
    made.add_argument(
        "--first", action="store_true", help="before other programs, by real-time scheduling; needs root"
    )
    made.add_argument("--name", default="", help="of the results; by default the line and the time")
    for name, value in asdict(Budget()).items():
        made.add_argument(
            f"--{name.replace('_', '-')}", type=float, default=value, metavar="MS", help="of the vendors"
        )
    return made


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(each) for each in text.split(","))


def main(line: str, servers: tuple[Server, ...] = (SERVERS["vantum"],)) -> None:
    """Run what the command line asks for."""
    options = parser(line)
    options.add_argument(
        "--tree",
        action="append",
        type=Path,
        default=[],
        metavar="FOLDER",
        help="measure Vantum as it is in this checkout, too, run by run; may be repeated",
    )
    chosen = options.parse_args()
    others = tuple(vantum_of(each.resolve()) for each in chosen.tree)
    try:
        run(line, servers + others, chosen)
    except BenchmarkError as error:
        raise SystemExit(f"Nothing more can be measured: {error}") from None


def run(line: str, servers: tuple[Server, ...], chosen: argparse.Namespace, preface: str = "") -> Path:
    """Measure all, report all. Returns where the report is. Raises `BenchmarkError`."""
    pinned(LOAD_CORE)()
    name = chosen.name or f"{line}-{time.strftime('%Y%m%d-%H%M%S')}"
    directory = results_directory() / name
    directory.mkdir(parents=True, exist_ok=True)
    budget = Budget(**{each: getattr(chosen, each) for each in asdict(Budget())})
    settings = dict(each.partition("=")[::2] for each in chosen.set)
    head = report.Head(
        line,
        machine(),
        _version(),
        budget,
        {each.name: each.about for each in servers},
        settings,
        chosen.seconds,
        chosen.repeats,
        chosen.profile,
        chosen.first,
        preface,
    )
    rows: list[Measured] = []
    total = len(servers) * len(chosen.calls) * chosen.repeats
    done = 0
    broken: set[str] = set()
    for calls in chosen.calls:
        for server in servers:
            for repeat in range(chosen.repeats):
                done += 1
                if server.name in broken:
                    continue
                title = f"[{done}/{total}] {server.name}, {calls} calls"
                watch = partial(_profiled, directory, f"{server.name}-{calls}", chosen)
                wanted = Wanted(
                    server,
                    line,
                    calls,
                    chosen.seconds,
                    settings,
                    budget,
                    chosen.first,
                    watch if chosen.profile else None,
                )
                row = measure(wanted, partial(progress, title))
                row_text = report.line_of(row)
                progress("", "")
                print(f"{title}, run {repeat + 1}: {row_text}", flush=True)
                rows.append(row)
                report.write(directory, head, rows)
            runs = [row for row in rows if row.server == server.name and row.calls == calls]
            if chosen.until_broken and runs and all(row.wrong for row in runs):
                broken.add(server.name)
    print(report.table(rows))
    print(f"Report: {(directory / 'report.md').relative_to(ROOT)}")
    try:
        if len(chosen.calls) > 1:
            profile.plot(directory)
    except BenchmarkError as error:
        print(f"No plot: {error}")
    return directory


def _profiled(directory: Path, name: str, chosen: argparse.Namespace, pid: int) -> None:
    stem = name.lower().replace(" ", "-").replace(",", "")
    profile.record(pid, directory, stem, chosen.seconds, first=chosen.first)


def progress(title: str, text: str) -> None:
    """Show how far a run is: at a terminal always, elsewhere now and then."""
    if sys.stdout.isatty():
        print(f"\r\033[K{title + ': ' if title else ''}{text}", end="", flush=True)
    elif text and text.split()[0].isdigit() and int(text.split()[0]) % 10 == 0:
        print(f"{title}: {text}", flush=True)


def _version() -> str:
    try:
        command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return os.environ.get("VANTUM_VERSION", "unknown")
