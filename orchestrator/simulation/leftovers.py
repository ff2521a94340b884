"""What this process holds: threads, sockets and other files, and memory. Linux and macOS."""

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
    """How many of each there were at one moment."""

    threads: int
    sockets: int
    files: int

    @classmethod
    def taken(cls) -> Census:
        """Now. What nobody can reach any more is closed first."""
        gc.collect()
        kinds = [_is_socket(int(each.name)) for each in _DESCRIPTORS.iterdir()]
        # The one that lists the folder is closed by now, and in no census.
        return cls(len(threading.enumerate()), kinds.count(True), kinds.count(False))

    def more_than(self, before: Census) -> dict[str, int]:
        """What there is more of now than there was before."""
        more = {each.name: getattr(self, each.name) - getattr(before, each.name) for each in fields(Census)}
        return {name: count for name, count in more.items() if count > 0}


def _is_socket(descriptor: int) -> bool | None:
    try:
        return stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError:
        return None


def peak_memory_mb() -> float:
    """The most memory that this process ever held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
