"""Sampling profiles and plots, by tools in an environment of their own, never among our dependencies."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

from benchmarks.load.environments import ROOT, environment
from benchmarks.load.processes import LOAD_CORE, BenchmarkError, pinned

TOOLS = ("py-spy", "matplotlib")
_RATE = 50
_ROWS = 45
_IDLE = ("WorkerThread._work ", "EpollIOManager._epoll_wait ")
"""Where threads wait, which the sampler does not always see."""


def record(pid: int, directory: Path, name: str, seconds: int, *, first: bool = False) -> None:
    """Sample a process: a flame graph in `NAME.svg`, stacks in `NAME.folded`, a table in `NAME.md`."""
    try:
        spy = environment("tools", TOOLS) / "py-spy"
    except BenchmarkError as error:
        print(f"No profile: {error}", file=sys.stderr)
        return
    half = max(2, seconds // 2 - 1)
    for kind, path in (("raw", directory / f"{name}.folded"), ("flamegraph", directory / f"{name}.svg")):
        command = [str(spy), "record", "--pid", str(pid), "--duration", str(half), "--rate", str(_RATE)]
        command += ["--format", kind, "--output", str(path), "--threads"]
        # The process is stopped for each sample, so who takes it must not have to wait for others.
        run = subprocess.run(
            command, capture_output=True, text=True, check=False, preexec_fn=pinned(LOAD_CORE, first=first)
        )
        if run.returncode:
            print(f"No {path.name}: {run.stderr[-500:]}", file=sys.stderr)
    folded = directory / f"{name}.folded"
    if folded.exists():
        (directory / f"{name}.md").write_text(_summary(folded.read_text()))


def _summary(folded: str) -> str:
    """Which functions the samples were in, by thread: by themselves, and with what they call."""
    threads: Counter[str] = Counter()
    own: dict[str, Counter[str]] = {}
    within: dict[str, Counter[str]] = {}
    for line in folded.splitlines():
        stack, _, count_text = line.rpartition(" ")
        thread, *frames = stack.split(";")
        if frames and frames[-1].startswith(_IDLE):
            continue
        count = int(count_text)
        functions = [each.rpartition(":")[0] + ")" if each.endswith(")") else each for each in frames]
        threads[thread] += count
        own.setdefault(thread, Counter())[functions[-1] if functions else "?"] += count
        for each in set(functions[_first_task_frame(functions) :]):
            within.setdefault(thread, Counter())[each] += count
    total = threads.total() or 1
    lines = ["# Where the samples were", "", f"{total} samples of threads that worked.", ""]
    for thread, samples in threads.most_common(6):
        lines += [f"## {thread}: {samples / total:.0%} of all samples", ""]
        lines += ["| by itself | function |", "|---|---|"]
        lines += [f"| {n / samples:.1%} | `{name}` |" for name, n in own[thread].most_common(_ROWS)]
        lines += ["", "| with what it calls | function |", "|---|---|"]
        lines += [f"| {n / samples:.1%} | `{name}` |" for name, n in within[thread].most_common(2 * _ROWS)]
        lines.append("")
    return "\n".join(lines)


def _first_task_frame(functions: list[str]) -> int:
    """Where the frames begin that are of one task, below those of the event loop and of what started it."""
    loops = ("unrolled_run ", "_run_once ")
    return next((at + 1 for at, each in enumerate(functions) if each.startswith(loops)), 0)


def plot(directory: Path) -> None:
    """Draw `report.svg` of `report.json`. Raises `BenchmarkError`."""
    python = environment("tools", TOOLS) / "python"
    command = [str(python), str(Path(__file__).with_name("plot.py")), str(directory)]
    drawn = subprocess.run(command, capture_output=True, text=True, check=False)
    if drawn.returncode:
        raise BenchmarkError(drawn.stderr[-500:])
    print(f"Plot: {(directory / 'report.svg').relative_to(ROOT)}")
