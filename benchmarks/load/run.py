"""One measurement: a fresh server on one core, callers and vendors on the other, for a number of calls."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from attrs import asdict, define, field, frozen

from benchmarks.load.callers import LATE_MS
from benchmarks.load.environments import ROOT, load_path
from benchmarks.load.processes import (
    LOAD_CORE,
    SERVER_CORE,
    BenchmarkError,
    Started,
    busy_seconds,
    cpu_seconds,
    pinned,
    rss_mib,
    running,
)
from benchmarks.load.servers import Server
from benchmarks.load.vendors import Budget

MOST_LATE = 0.01
"""A run in which more of the callers' frames were late is discarded."""
MOST_VENDOR_LATE_MS = 20.0
"""And one in which the vendors were later than this in one of a hundred of their moments."""


@frozen
class Wanted:
    """What is to be measured."""

    server: Server
    line: str
    calls: int
    seconds: int
    settings: Mapping[str, str]
    """More of the server's environment."""
    budget: Budget
    first: bool = False
    """All of it before other programs, by real-time scheduling."""
    while_measured: Callable[[int], None] | None = None
    """Called with the server's process id while it is measured, in a thread."""


@define
class Measured:
    """One row of the report. Times in ms."""

    server: str
    line: str
    calls: int
    seconds: float = 0.0
    turns: int = 0
    interruptions: int = 0
    answer_p50: float | None = None
    answer_p95: float | None = None
    answer_max: float | None = None
    clear_p50: float | None = None
    clear_p95: float | None = None
    gaps: int = 0
    gap_p95: float | None = None
    cpu_percent: float = 0.0
    """Of one core, by all of the server."""
    cpu_percent_per_call: float = 0.0
    rss_idle_mib: float = 0.0
    rss_mib: float = 0.0
    rss_mib_per_call: float = 0.0
    start_s: float = 0.0
    errors: dict[str, int] = field(factory=dict)
    notes: list[str] = field(factory=list)
    late_p99_ms: float = 0.0
    late_share: float = 0.0
    vendors_late_p99_ms: float = 0.0
    others_percent: float = 0.0
    """What other processes took of the server's core."""
    callers_percent: float = 0.0
    """What the callers took of their core."""
    vendors_percent: float = 0.0
    """What the vendors took of the same core."""
    questions: int = 0
    """Requests to the language model."""
    given_up: int = 0
    discarded: str = ""
    """Why this run does not count."""

    @property
    def wrong(self) -> int:
        """All errors."""
        return sum(self.errors.values())


def measure(wanted: Wanted, tell: Callable[[str], None]) -> Measured:
    """Start all, hold the calls, end all. Raises `BenchmarkError`."""
    latencies = [
        each
        for name, value in asdict(wanted.budget).items()
        for each in (f"--{name.replace('_', '-')}", str(value))
    ]
    command = [sys.executable, "-m", "benchmarks.load.vendors", *latencies]
    with running(command, r"vendors at (\d+)", LOAD_CORE, _here(), first=wanted.first) as vendors:
        port = int(vendors.said[1])
        environment = {**wanted.server.environment(port), **wanted.settings}
        started = running(
            wanted.server.command(port), wanted.server.ready, SERVER_CORE, environment, first=wanted.first
        )
        with started as server:
            return _hold_calls(wanted, server, vendors, tell)


def _here() -> dict[str, str]:
    return {"PYTHONPATH": load_path()}


def _hold_calls(wanted: Wanted, server: Started, vendors: Started, tell: Callable[[str], None]) -> Measured:
    pid = server.process.pid
    time.sleep(2)  # what a server does right after its start is not memory or work of calls
    row = Measured(wanted.server.name, wanted.line, wanted.calls, start_s=round(server.seconds, 2))
    row.rss_idle_mib = round(rss_mib(pid), 1)
    url = f"ws://127.0.0.1:{server.said[1]}{wanted.server.paths[wanted.line]}"
    command = [sys.executable, "-m", "benchmarks.load.callers", url, "--calls", str(wanted.calls)]
    command += ["--seconds", str(wanted.seconds), "--line", wanted.line]
    callers = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **_here()},
        cwd=ROOT,
        preexec_fn=pinned(LOAD_CORE, first=wanted.first),
    )
    said: list[str] = []
    listening = threading.Thread(target=_pass_on, args=(callers, said, tell), daemon=True)
    listening.start()
    before: _Work | None = None
    watching: threading.Thread | None = None
    try:
        assert callers.stdout is not None
        for line in callers.stdout:
            phase = json.loads(line)
            match phase.pop("phase"):
                case "measuring":
                    _report_of(vendors)
                    before = _Work.now(server, callers, vendors)
                    if wanted.while_measured is not None:
                        watching = threading.Thread(target=wanted.while_measured, args=(pid,))
                        watching.start()
                case "measured":
                    assert before is not None
                    _take_work(row, before, _Work.now(server, callers, vendors), _report_of(vendors))
                    row.rss_mib = round(rss_mib(pid), 1)
                    row.rss_mib_per_call = round((row.rss_mib - row.rss_idle_mib) / row.calls, 2)
                case "found":
                    _take_findings(row, phase)
        callers.wait()
    finally:
        if callers.poll() is None:
            callers.kill()
            callers.wait()
        if watching is not None:
            watching.join()
    listening.join(5)
    if server.process.poll() is not None:
        raise BenchmarkError(f"the server has ended with {server.process.returncode}")
    if callers.returncode:
        row.discarded = f"the callers failed: {said[-1] if said else callers.returncode}"
    return row


def _pass_on(process: subprocess.Popen[str], said: list[str], tell: Callable[[str], None]) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        said.append(line.rstrip())
        tell(line.rstrip())


def _report_of(vendors: Started) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{vendors.said[1]}/report", timeout=5) as answer:
        report: dict[str, Any] = json.load(answer)
        return report


@frozen
class _Work:
    """Seconds that had been worked by some moment."""

    at: float
    server: float
    callers: float
    vendors: float
    core: float
    """By anybody on the server's core."""

    @classmethod
    def now(cls, server: Started, callers: subprocess.Popen[str], vendors: Started) -> _Work:
        pids = server.process.pid, callers.pid, vendors.process.pid
        return cls(time.monotonic(), *map(cpu_seconds, pids), busy_seconds(SERVER_CORE))


def _take_work(row: Measured, before: _Work, after: _Work, vendors: dict[str, Any]) -> None:
    seconds = after.at - before.at

    def percent(worked: float) -> float:
        return round(worked / seconds * 100, 1)

    worked = after.server - before.server
    row.seconds = round(seconds, 1)
    row.cpu_percent = percent(worked)
    row.cpu_percent_per_call = round(worked / seconds * 100 / row.calls, 2)
    row.others_percent = percent(max(0.0, after.core - before.core - worked))
    row.callers_percent = percent(after.callers - before.callers)
    row.vendors_percent = percent(after.vendors - before.vendors)
    row.vendors_late_p99_ms = round(vendors["late_p99_ms"], 1)
    row.questions, row.given_up = vendors["questions"], vendors["given_up"]


def _take_findings(row: Measured, found: dict[str, Any]) -> None:
    row.turns, row.interruptions = found["turns"], found["interruptions"]
    answers, clears, gaps = found["answers_ms"], found["clears_ms"], found["gaps_ms"]
    row.answer_p50, row.answer_p95 = _percentile(answers, 50), _percentile(answers, 95)
    row.answer_max = max(answers, default=None)
    row.clear_p50, row.clear_p95 = _percentile(clears, 50), _percentile(clears, 95)
    row.gaps, row.gap_p95 = len(gaps), _percentile(gaps, 95)
    row.errors, row.notes = found["errors"], found["notes"]
    row.late_p99_ms, row.late_share = round(found["late_p99_ms"], 2), round(found["late_share"], 4)
    if row.late_share > MOST_LATE:
        row.discarded = f"{row.late_share:.1%} of the callers' frames were more than {LATE_MS:.0f} ms late"
    elif row.vendors_late_p99_ms > MOST_VENDOR_LATE_MS:
        row.discarded = f"the vendors were {row.vendors_late_p99_ms:.0f} ms late at p99"


def _percentile(values: list[float], percent: float) -> float | None:
    return round(float(np.percentile(values, percent)), 1) if values else None


def results_directory() -> Path:
    """Where results are kept; git ignores it but for a chosen one."""
    directory = ROOT / "benchmarks" / "results"
    directory.mkdir(exist_ok=True)
    return directory
