"""How many processors this process may use, and how many calls embedded models can serve on them."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

CALLS_PER_PROCESSOR = 1.5
"""On two cores of 2024, three calls at once lose no turn to the embedded models, and the fourth does."""

ROOT = Path("/")


def calls_that_fit(root: Path = ROOT) -> int:
    """How many calls at once the embedded models can serve here."""
    return max(1, int(processors(root) * CALLS_PER_PROCESSOR))


def processors(root: Path = ROOT) -> float:
    """The processors that this process may use: those it is bound to, or less if its container has a quota.

    `root` is where the file system begins.
    """
    bound_to = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([float(bound_to), *_quotas(root)])


def _quotas(root: Path) -> list[float]:
    """The quotas of this process's control group and of those around it, in processors."""
    found = []
    for group in _groups(root):
        with suppress(OSError, ValueError, ZeroDivisionError):
            # Version 2: "200000 100000", or "max 100000".
            quota, period = (group / "cpu.max").read_text("ascii").split()
            found.append(int(quota) / int(period))
        with suppress(OSError, ValueError, ZeroDivisionError):
            # Version 1: -1 means that there is no quota.
            quota, period = (
                (group / f"cpu.cfs_{name}_us").read_text("ascii") for name in ("quota", "period")
            )
            found.append(int(quota) / int(period))
    return [each for each in found if each > 0]


def _groups(root: Path) -> list[Path]:
    """The folders of the control groups that this process is in. In a container its own is the topmost."""
    groups = root / "sys/fs/cgroup"
    paths = [groups, groups / "cpu", groups / "cpu,cpuacct"]
    with suppress(OSError, UnicodeError):
        for line in (root / "proc/self/cgroup").read_text("utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            below = Path(path.lstrip("/"))
            if not controllers or "cpu" in controllers.split(","):
                paths += [groups / controllers / each for each in (below, *below.parents)]
    return list(dict.fromkeys(paths))
