"""Processes of a benchmark: pinned to a core, waited for, ended; and what the kernel knows of them."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from attrs import frozen

TICKS = os.sysconf("SC_CLK_TCK")
SERVER_CORE, LOAD_CORE = 0, 1
"""The server has one core for itself, callers and vendors share the other one."""
START_SECONDS = 90.0


class BenchmarkError(Exception):
    """The benchmark cannot go on. The text is for people."""


def pinned(core: int, *, first: bool = False) -> Callable[[], None]:
    """For `preexec_fn`: this process and what it starts run on this core, if there is such a core.

    `first`: before all other programs, by real-time scheduling.
    """

    def pin() -> None:
        if core < (os.cpu_count() or 1):
            os.sched_setaffinity(0, {core})
        if first:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))

    return pin


@frozen
class Started:
    """A process that has said it is ready."""

    process: subprocess.Popen[str]
    said: re.Match[str]
    seconds: float
    """From its start until it was ready."""


@contextmanager
def running(
    command: Sequence[str],
    ready: str,
    core: int,
    environment: Mapping[str, str] | None = None,
    *,
    first: bool = False,
) -> Iterator[Started]:
    """Run a process as long as the block runs. Raises `BenchmarkError` if it never is ready."""
    with tempfile.TemporaryFile("w+") as complaints:
        begun = time.monotonic()
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            env={**os.environ, **(environment or {})},
            preexec_fn=pinned(core, first=first),
        )
        try:
            said = _until_ready(process, ready, complaints)
            yield Started(process, said, time.monotonic() - begun)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _until_ready(process: subprocess.Popen[str], ready: str, complaints: IO[str]) -> re.Match[str]:
    assert process.stdout is not None
    deadline = time.monotonic() + START_SECONDS
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([process.stdout], [], [], left)[0]:
            break
        line = process.stdout.readline()
        if not line:
            break
        if said := re.search(ready, line):
            return said
    complaints.seek(0)
    raise BenchmarkError(f"{process.args!r} is not ready: {complaints.read()[-2000:]}")


# --- what the kernel knows ----------------------------------------------------------------------------------


def _descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    found = [pid]
    if children.exists():
        for child in children.read_text().split():
            found += _descendants(int(child))
    return found


def cpu_seconds(pid: int) -> float:
    """Processor time of a process, all its threads and its children."""
    total = 0
    for each in _descendants(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def rss_mib(pid: int) -> float:
    """Resident memory of a process and its children, in MiB."""
    total = 0
    for each in _descendants(pid):
        status = Path(f"/proc/{each}/status").read_text()
        if found := re.search(r"VmRSS:\s+(\d+) kB", status):
            total += int(found[1])
    return total / 1024


def busy_seconds(core: int) -> float:
    """For how long this core has worked since the machine started, for anybody."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, irq, softirq, *more = map(int, fields)
            return (user + nice + system + irq + softirq + (more[0] if more else 0)) / TICKS
    return 0.0


def machine() -> str:
    """The machine in words."""
    text = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*:\s*(.*)", text)
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    return (
        f"{os.cpu_count()} × {model[1] if model else 'unknown processor'}, "
        f"{int(memory[1]) / 2**20 if memory else 0:.0f} GiB, Linux {os.uname().release}, "
        f"Python {'.'.join(map(str, __import__('sys').version_info[:3]))}"
    )
