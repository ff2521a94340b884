"""Leak detection: the threads, open sockets and files of this process, and its memory. Linux and macOS."""

from __future__ import annotations

import gc
import os
import resource
import stat
import sys
import threading
from pathlib import Path

from attrs import fields, frozen

_DESCRIPTORS = Path("/dev/fd")


@frozen
class Census:
    """How many of each the process had at one time."""

    threads: int
    sockets: int
    files: int

    @classmethod
    def taken(cls) -> Census:
        """Count them now, after a garbage collection has closed what is unreachable."""
        gc.collect()
        kinds = [_is_socket(int(each.name)) for each in _DESCRIPTORS.iterdir()]
        # The descriptor that lists the folder is closed by now: its kind is None, so it is not counted.
        return cls(len(threading.enumerate()), kinds.count(True), kinds.count(False))

    def more_than(self, before: Census) -> dict[str, int]:
        """What this census has more of than the one before, with the difference."""
        more = {each.name: getattr(self, each.name) - getattr(before, each.name) for each in fields(Census)}
        return {name: count for name, count in more.items() if count > 0}


def _is_socket(descriptor: int) -> bool | None:
    try:
        return stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError:
        return None


def peak_memory_mb() -> float:
    """The most memory that this process ever used, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
