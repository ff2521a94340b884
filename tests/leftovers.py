"""Counting what this process holds: threads, child processes, sockets and other open files. Linux only."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections import Counter
from pathlib import Path

import trio
from attrs import frozen

PATIENCE_SECONDS = 60.0
"""How long something may take to disappear: the kernel and threads finish a little after their caller."""


@frozen
class Census:
    """What the process held at one moment, by name."""

    threads: Counter[str]
    children: Counter[str]
    files: Counter[str]

    @classmethod
    def take(cls) -> Census:
        gc.collect()
        return cls(_threads(), _children(), _open_files())

    def compare(self) -> None:
        """Fail, naming it, if the process holds more now than it did then."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        pause = threading.Event()
        while (more := self._more()) and time.monotonic() < deadline:
            pause.wait(0.02)
        assert not more, f"left behind: {', '.join(sorted(more.elements()))}"

    def _more(self) -> Counter[str]:
        now = Census.take()
        return (now.threads - self.threads) + (now.children - self.children) + (now.files - self.files)


def _threads() -> Counter[str]:
    """Threads at work. Trio keeps idle ones for reuse, for ten seconds: these are not counted."""
    idle = {worker._thread for worker in trio._core._thread_cache.THREAD_CACHE._idle_workers}
    return Counter(f"thread {thread.name}" for thread in threading.enumerate() if thread not in idle)


def _children() -> Counter[str]:
    own = str(os.getpid())
    children: Counter[str] = Counter()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, tail = stat.read_text().rpartition(")")
        except (FileNotFoundError, ProcessLookupError):  # ended while we looked
            continue
        if tail.split()[1] == own:
            children[f"process {head.replace('(', '')}"] += 1
    return children


def _open_files() -> Counter[str]:
    files: Counter[str] = Counter()
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            files[f"file {descriptor.readlink()}"] += 1
        except FileNotFoundError:  # the descriptor that listed the folder
            continue
    return files
