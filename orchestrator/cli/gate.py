"""The body of `vantum replay --all`: all journals of a directory, in several processes."""

from __future__ import annotations

import gc
import json
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import attrs
from attrs import frozen
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from machines.policy import ConversationPolicy
from machines.system import Charts
from orchestrator.cli.printing import print_plain
from orchestrator.journal.gate import Verdict, changed, charts_by_tables, verdict_of
from orchestrator.journal.records import RecordError

_AT_ONCE = 8
"""Journals that a process takes at once."""
_COLLECT_AFTER = 100_000
"""New objects after which cycles are looked for. Replays leave none, and would take half as long again."""
_MOST_TOLD = 20
"""Calls that are named, of those that differ."""


class PolicyError(ValueError):
    """A file says nothing that a policy can be changed by. The text is one sentence."""


def read_changes(path: Path) -> dict[str, Any]:
    """The fields of a conversation's policy that a TOML file changes. Raises `PolicyError`."""
    try:
        changes = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PolicyError(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise PolicyError(f"{path} is not TOML: {error}.") from None
    try:
        changed(ConversationPolicy(), changes)
    except RecordError as error:
        raise PolicyError(f"{path} is not a policy: {error}.") from None
    return changes


# --- in several processes ---------------------------------------------------------------------------------


@frozen
class _Worker:
    """What a process needs for one journal after the other."""

    charts: Charts
    changes: Mapping[str, Any]


_worker: _Worker | None = None


def _begin(changes: Mapping[str, Any]) -> None:
    global _worker
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
    _worker = _Worker(charts_by_tables(), changes)


def _verdict(path: Path) -> Verdict:
    assert _worker is not None, "a process begins with `_begin`"
    return verdict_of(path, _worker.charts, _worker.changes)


def verdicts(paths: Sequence[Path], changes: Mapping[str, Any], jobs: int) -> Iterator[Verdict]:
    """What comes of each journal, in their order; in this process if one job is wanted."""
    if jobs == 1:
        with _seldom_collecting():
            charts = charts_by_tables()
            for path in paths:
                yield verdict_of(path, charts, changes)
        return
    # A copy of this process would lack the threads that draw the bar, and might wait for one of them.
    processes = get_context("spawn")
    with ProcessPoolExecutor(jobs, processes, _begin, (changes,)) as pool:
        yield from pool.map(_verdict, paths, chunksize=_AT_ONCE)


@contextmanager
def _seldom_collecting() -> Iterator[None]:
    usual = gc.get_threshold()
    gc.set_threshold(_COLLECT_AFTER)
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def shown(found: Iterator[Verdict], count: int) -> Iterator[Verdict]:
    """The same; on a terminal a bar is shown."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield from found
        return
    columns = (TextColumn("journals"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        yield from bar.track(found, total=count)


# --- the report -------------------------------------------------------------------------------------------


def as_json(found: Sequence[Verdict]) -> str:
    """All verdicts that are not "the same", with the number of those that are."""
    told = [attrs.asdict(each) for each in found if not each.same]
    return json.dumps({"same": sum(each.same for each in found), "others": told}, indent=2)


def tell(found: Sequence[Verdict], console: Console) -> None:
    """Print how many go the same, where the others differ first, and how a test is made of one."""
    different = [each for each in found if each.differs_at is not None]
    unreadable = [each for each in found if each.unreadable]
    same = len(found) - len(different) - len(unreadable)
    counts = {"Journals": len(found), "The same": same, "Different": len(different)}
    counts["Unreadable"] = len(unreadable)
    print_plain(console, " ".join(f"{what}: {count}." for what, count in counts.items()))
    for each in unreadable:
        print_plain(console, f"  {each.unreadable}")
    if different:
        _tell_differences(console, different)


def _tell_differences(console: Console, different: Sequence[Verdict]) -> None:
    print_plain(console, "They differ first in:")
    for (state, event), count in Counter((each.state, each.event) for each in different).most_common():
        print_plain(console, f"  {count:>6}  {state}, at {event}")
    print_plain(console, "For example:")
    for each in different[:_MOST_TOLD]:
        at = f"fact {each.differs_at}, {each.seconds:.3f} s"
        print_plain(console, f"  {each.path}: {at}, in {each.state} at {each.event}: {each.difference}")
    if len(different) > _MOST_TOLD:
        print_plain(console, f"  … and {len(different) - _MOST_TOLD} more (--json has all)")
    print_plain(console, f"One of them in full: vantum replay {different[0].path}")
    print_plain(console, f"As a test: vantum export-test {different[0].path} --out test_this_call.py")
